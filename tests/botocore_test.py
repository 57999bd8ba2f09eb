#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the service's table of the API against botocore's model of EC2, and its wire form against botocore's own
serializer and parser.

usage: botocore_test.py API_TABLE ENVIRONMENT

API_TABLE is the program of that name; ENVIRONMENT the directory of the Python environment of clients/requirements.txt.
Exit status 77: skipped, for botocore cannot be fetched."""
import datetime
import html
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import environment

# Where we insist on what the model leaves open, because the service does: (members of the structure, member).
STRICTER = {("Filters", "Name"), ("Filters", "Values"), ("Tags", "Key"), ("TagSpecifications", "ResourceType"),
            ("TagSpecifications", "Tags"), ("SourcePortRange", "FromPort"), ("SourcePortRange", "ToPort"),
            ("DestinationPortRange", "FromPort"), ("DestinationPortRange", "ToPort")}

# Lists of values that the model has and that we take or answer as they stand, of types other than ours.
OPEN_VALUES = {"ResourceType"}

TIME = "2026-01-31T12:34:56.000Z"

# Characters that a wire form can lose.
AWKWARD = " a+b&c=d%41 <e>\t\n\r\"' caf\u00e9 \U0001f600 "


class Comparison:
    def __init__(self):
        self.faults = []

    def same(self, where, what, ours, theirs):
        if ours != theirs:
            self.faults.append(f"{where}: {what} is {ours!r} here and {theirs!r} in botocore")

    def names(self, where, what, ours, theirs):
        for name in sorted(set(ours) - set(theirs)):
            self.faults.append(f"{where}: botocore has no {what} {name}")
        for name in sorted(set(theirs) - set(ours)):
            self.faults.append(f"{where}: the {what} {name} is missing")


def type_of(shape):
    if shape.type_name == "list":
        return ("structure" if shape.member.type_name == "structure" else "string") + " list"
    return shape.type_name


def element_of(shape):
    return shape.member if shape.type_name == "list" else shape


def wire_name(shape, name):
    """As the "ec2" protocol has it for what is sent."""
    if "queryName" in shape.serialization:
        return shape.serialization["queryName"]
    name = shape.serialization.get("name", name)
    return name[0].upper() + name[1:]


def compare_parameters(c, where, parent, ours, shape):
    c.names(where, "parameter", [p["name"] for p in ours], shape.members)
    for p in ours:
        at = f"{where}.{p['name']}"
        theirs = shape.members.get(p["name"])
        if theirs is None:
            continue
        c.same(at, "the type", p["type"], type_of(theirs))
        c.same(at, "the name in a query", p["wire"], wire_name(theirs, p["name"]))
        required = p["name"] in shape.required_members
        if not (p["required"] and (parent, p["name"]) in STRICTER):
            c.same(at, "required", p["required"], required)
        element = element_of(theirs)
        if "min" in theirs.metadata:
            c.same(at, "the range", (p["minimum"], p["maximum"]), (theirs.metadata["min"], theirs.metadata["max"]))
        if p["name"] not in OPEN_VALUES:
            c.same(at, "the values", sorted(p["values"]), sorted(element.metadata.get("enum", [])))
        if element.type_name == "structure":
            compare_parameters(c, at, p["name"], p["members"], element)
        elif theirs.type_name == "list":
            c.same(at, "the elements' type", element.type_name, "string")


def compare_reply(c, where, ours, shape):
    c.names(where, "member", [m["name"] for m in ours], shape.members)
    for m in ours:
        at = f"{where}.{m['name']}"
        theirs = shape.members.get(m["name"])
        if theirs is None:
            continue
        c.same(at, "the type", m["type"], type_of(theirs))
        c.same(at, "the name in a reply", m["wire"], theirs.serialization.get("name", m["name"]))
        element = element_of(theirs)
        if theirs.type_name == "list":
            c.same(at, "the elements' name", "item", element.serialization.get("name"))
        if element.type_name == "structure":
            compare_reply(c, at, m["members"], element)


def documented_filters(shape):
    names = re.findall(r"<li> <p> <code>(.*?)</code>", shape.members["Filters"].documentation)
    return {html.unescape(name) for name in names} - {"tag", "tag:<key>"}


def has_member(structure, path):
    name, _, rest = path.partition(".")
    found = [m for m in structure["members"] if m["name"] == name]
    return bool(found) and (not rest or has_member(found[0], rest))


def plain(value):
    """What the parser gives, with its times as the texts that they were."""
    if isinstance(value, dict):
        return {name: plain(member) for name, member in value.items()}
    if isinstance(value, list):
        return [plain(element) for element in value]
    return TIME if isinstance(value, datetime.datetime) and value.isoformat() == TIME[:-5] + "+00:00" else value


def sample(members, leaf):
    """A value for each member; lists have elements enough for two digits."""
    out = {}
    for m in members:
        if not m.get("supported", True):
            continue
        kind, _, of_list = m["type"].partition(" ")
        values = [sample(m["members"], leaf) if kind == "structure" else leaf(kind, f"{m['name']}{i}")
                  for i in range(11 if of_list else 1)]
        out[m["name"]] = values if of_list else values[0]
    return out


def main():
    program, directory = sys.argv[1], Path(sys.argv[2]).resolve()
    python = environment.python(directory)
    if Path(sys.prefix) != directory:
        os.execv(python, [python, __file__, program, directory])

    import botocore
    import botocore.awsrequest
    import botocore.parsers
    import botocore.serialize
    import botocore.session

    def ask(*arguments, text=""):
        return subprocess.run([program, *arguments], input=text.encode(), stdout=subprocess.PIPE, check=True).stdout

    model = botocore.session.get_session().get_service_model("ec2")
    serializer = botocore.serialize.create_serializer("ec2")
    parser = botocore.parsers.create_parser("ec2")
    leaves = {"boolean": lambda _: True, "integer": lambda _: 7, "string": lambda name: name + AWKWARD,
              "timestamp": lambda _: TIME}

    def leaf(kind, name):
        return leaves[kind](name)

    c = Comparison()
    c.same("the service", "the API version", "2016-11-15", model.api_version)
    table = environment.some(json.loads(ask()), "the actions")
    for action in table:
        name, before = action["name"], len(c.faults)
        operation = model.operation_model(name)
        compare_parameters(c, name, "", action["parameters"], operation.input_shape)
        if operation.output_shape:
            compare_reply(c, name, action["reply"], operation.output_shape)
        else:
            c.same(name, "the reply", action["reply"], [])
        if "Filters" in operation.input_shape.members:
            # tag-key is a filter of any resource with tags, though not everywhere documented.
            c.names(name, "filter", set(action["filters"]) - {"tag-key"},
                    documented_filters(operation.input_shape) - {"tag-key"})
            for filter_name, member in action["filters"].items():
                if not has_member(next(m for m in action["reply"] if m["type"] == "structure list"), member):
                    c.faults.append(f"{name}: the filter {filter_name} compares {member}, which no reply has")

        if len(c.faults) > before:
            continue
        parameters = sample(action["parameters"], leaf)
        request = serializer.serialize_to_request(parameters, operation)
        form = botocore.awsrequest.AWSRequest("POST", "http://localhost/", data=request["body"]).prepare().body
        if isinstance(form, bytes):
            form = form.decode()
        c.same(name, "the query", json.loads(ask("query", text=form)), parameters)

        body = sample(action["reply"], leaf)
        xml = ask("reply", name, text=json.dumps(body))
        parsed = parser.parse({"status_code": 200, "headers": {}, "body": xml}, operation.output_shape)
        c.same(name, "the request id", "r-1", parsed.pop("ResponseMetadata", {}).get("RequestId"))
        c.same(name, "the reply", body, plain(parsed))

    xml = ask("error", "InvalidParameterValue", text=AWKWARD)
    parsed = parser.parse({"status_code": 400, "headers": {}, "body": xml}, None)
    c.same("an error", "the content", {"Code": "InvalidParameterValue", "Message": AWKWARD}, parsed["Error"])
    c.same("an error", "the request id", "r-1", parsed["ResponseMetadata"]["RequestId"])

    for fault in c.faults:
        print(fault)
    print(f"{len(table)} actions beside botocore {botocore.__version__}: differences: {len(c.faults)}")
    sys.exit(bool(c.faults))


if __name__ == "__main__":
    main()
