// SPDX-License-Identifier: Apache-2.0

// Command client takes the steps of a scenario file with the Go SDK; clients/scenario.py says what a step is.
// usage: client SCENARIO ENDPOINT; AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION are set.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	transport "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/smithy-go"
)

type step struct {
	Call    string
	Input   map[string]any
	Keep    map[string]string
	Expect  any
	Error   string
	Status  int
	Message []string
	Repeat  int
	Clients []string
}

type scenario struct {
	Groups []struct {
		Name    string
		Clients []string
		Steps   []step
	}
}

var names = map[string]any{"client": "go"}

var whole, part = regexp.MustCompile(`^\$\{(\w+)\}$`), regexp.MustCompile(`\$\{(\w+)\}`)

func filled(value any) any {
	switch v := value.(type) {
	case string:
		if match := whole.FindStringSubmatch(v); match != nil {
			return names[match[1]]
		}
		return part.ReplaceAllStringFunc(v, func(name string) string { return fmt.Sprint(names[name[2:len(name)-1]]) })
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = filled(v[i])
		}
		return list
	case map[string]any:
		object := map[string]any{}
		for name, member := range v {
			object[fmt.Sprint(filled(name))] = filled(member)
		}
		return object
	}
	return value
}

// Where what was found is not what was expected; empty when it is.
func difference(expected, found any, path string) string {
	if expected == "*" && found != nil {
		return ""
	}
	switch e := expected.(type) {
	case map[string]any:
		f, ok := found.(map[string]any)
		if !ok {
			break
		}
		for name := range e {
			if wrong := difference(e[name], f[name], path+"."+name); wrong != "" {
				return wrong
			}
		}
		return ""
	case []any:
		f, ok := found.([]any)
		if !ok || len(f) != len(e) {
			break
		}
		for i := range e {
			if wrong := difference(e[i], f[i], path+"."+strconv.Itoa(i)); wrong != "" {
				return wrong
			}
		}
		return ""
	}
	if reflect.DeepEqual(expected, found) {
		return ""
	}
	return fmt.Sprintf("%s: %#v rather than %#v", path, found, expected)
}

func at(reply any, path string) any {
	for _, name := range strings.Split(path, ".") {
		object, _ := reply.(map[string]any)
		reply = object[name]
	}
	return reply
}

type operation func(input []byte) (any, error)

// One of the SDK's operations with its input and output as JSON. Members that are absent are null there.
func of[Input, Output any](call func(context.Context, *Input, ...func(*ec2.Options)) (*Output, error)) operation {
	return func(input []byte) (any, error) {
		var in Input
		if err := json.Unmarshal(input, &in); err != nil {
			return nil, err
		}
		out, err := call(context.Background(), &in)
		if err != nil {
			return nil, err
		}
		text, err := json.Marshal(out)
		if err != nil {
			return nil, err
		}
		var reply any
		return reply, json.Unmarshal(text, &reply)
	}
}

// Does a step; gives what is wrong, or nothing.
func fault(step step, operations map[string]operation) string {
	call, known := operations[step.Call]
	if !known {
		return "this client does not have it"
	}
	input, err := json.Marshal(filled(step.Input))
	if err != nil {
		return err.Error()
	}
	reply, err := call(input)
	if err != nil {
		var failure smithy.APIError
		var response *transport.ResponseError
		if !errors.As(err, &failure) || !errors.As(err, &response) || failure.ErrorCode() != step.Error {
			return err.Error()
		}
		if status := response.HTTPStatusCode(); status != step.Status && !(step.Status == 0 && status == 400) {
			return fmt.Sprint("the status is ", status)
		}
		for _, word := range step.Message {
			if word = fmt.Sprint(filled(word)); !strings.Contains(failure.ErrorMessage(), word) {
				return fmt.Sprintf("%q is not in the message %q", word, failure.ErrorMessage())
			}
		}
		return ""
	}
	if step.Error != "" {
		return "succeeded rather than to fail with " + step.Error
	}
	if step.Expect != nil {
		if wrong := difference(filled(step.Expect), reply, step.Call); wrong != "" {
			return wrong
		}
	}
	for name, path := range step.Keep {
		names[fmt.Sprint(filled(name))] = at(reply, path)
	}
	return ""
}

func has(clients []string) bool {
	return strings.Contains(" "+strings.Join(clients, " ")+" ", " go ")
}

func main() {
	text, err := os.ReadFile(os.Args[1])
	var all scenario
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	key := aws.Credentials{AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY")}
	client := ec2.New(ec2.Options{
		BaseEndpoint:     aws.String(os.Args[2]),
		Region:           os.Getenv("AWS_REGION"),
		RetryMaxAttempts: 1,
		Credentials:      aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return key, nil }),
	})
	operations := map[string]operation{
		"CreateTags":                               of(client.CreateTags),
		"CreateTrafficMirrorFilter":                of(client.CreateTrafficMirrorFilter),
		"CreateTrafficMirrorFilterRule":            of(client.CreateTrafficMirrorFilterRule),
		"CreateTrafficMirrorSession":               of(client.CreateTrafficMirrorSession),
		"CreateTrafficMirrorTarget":                of(client.CreateTrafficMirrorTarget),
		"DeleteTags":                               of(client.DeleteTags),
		"DeleteTrafficMirrorFilter":                of(client.DeleteTrafficMirrorFilter),
		"DeleteTrafficMirrorFilterRule":            of(client.DeleteTrafficMirrorFilterRule),
		"DeleteTrafficMirrorSession":               of(client.DeleteTrafficMirrorSession),
		"DeleteTrafficMirrorTarget":                of(client.DeleteTrafficMirrorTarget),
		"DescribeNetworkInterfaces":                of(client.DescribeNetworkInterfaces),
		"DescribeRouteTables":                      of(client.DescribeRouteTables),
		"DescribeTags":                             of(client.DescribeTags),
		"DescribeTrafficMirrorFilters":             of(client.DescribeTrafficMirrorFilters),
		"DescribeTrafficMirrorSessions":            of(client.DescribeTrafficMirrorSessions),
		"DescribeTrafficMirrorTargets":             of(client.DescribeTrafficMirrorTargets),
		"DescribeVpcAttribute":                     of(client.DescribeVpcAttribute),
		"DescribeVpcs":                             of(client.DescribeVpcs),
		"ModifyTrafficMirrorFilterNetworkServices": of(client.ModifyTrafficMirrorFilterNetworkServices),
		"ModifyTrafficMirrorFilterRule":            of(client.ModifyTrafficMirrorFilterRule),
		"ModifyTrafficMirrorSession":               of(client.ModifyTrafficMirrorSession),
	}

	taken, faults := 0, 0
	fmt.Println("aws-sdk-go-v2", aws.SDKVersion)
	for _, group := range all.Groups {
		if !has(group.Clients) {
			continue
		}
		for _, step := range group.Steps {
			title := group.Name + ": " + step.Call
			if step.Clients != nil && !has(step.Clients) {
				fmt.Printf("left out: %s: go has no such operation or member\n", title)
				continue
			}
			for n := 1; n == 1 || n <= step.Repeat; n++ {
				names["n"] = n
				wrong, result := fault(step, operations), "ok"
				taken++
				if wrong != "" {
					faults++
					result, wrong = "FAILED", ": "+wrong
				}
				fmt.Println(strings.TrimRight(result+": "+title+" "+step.Error, " ") + wrong)
			}
		}
	}
	fmt.Printf("go: %d steps, %d failed\n", taken, faults)
	if taken == 0 || faults > 0 {
		os.Exit(1)
	}
}
