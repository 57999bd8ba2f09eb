// SPDX-License-Identifier: Apache-2.0
#include "host/api/query_protocol.hpp"

#include <cstring>
#include <pugixml.hpp>

#include "catch.hpp"

using namespace mirrornic;
using Catch::Matchers::Contains;

namespace {

/// A query of an action with further parameters as they stand on the wire.
std::string query(const std::string& action, const std::string& rest = "") {
    return "Action=" + action + "&Version=2016-11-15" + (rest.empty() ? "" : "&") + rest;
}

Json parameters(const std::string& action, const std::string& rest = "") {
    return Query(query(action, rest)).parameters();
}

/// What checking the whole query ends with: the code, or "" when all is well.
std::string code(const std::string& form, std::string* message = nullptr) {
    try {
        const Query q(form);
        checked_parameters(q.action(), q.parameters());
        return "";
    } catch (const RequestError& error) {
        if (message) *message = error.what();
        return to_string(error.code);
    }
}

pugi::xml_document parsed(const std::string& xml) {
    pugi::xml_document document;
    const auto result = document.load_string(
        xml.c_str(), pugi::parse_default | pugi::parse_ws_pcdata | pugi::parse_declaration);
    INFO(xml);
    REQUIRE(result);
    CHECK(xml.compare(0, 38, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>") == 0);
    return document;
}

std::string reply(const std::string& action, const Json& body) {
    return reply_xml(*find_action(action), body, "r-1");
}

const std::string head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";
std::string response(const std::string& action, const std::string& content) {
    return head + "<" + action + "Response xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">" +
           "<requestId>r-1</requestId>" + content + "</" + action + "Response>";
}

}  // namespace

TEST_CASE("S1 a form is decoded: plus is a blank, and escapes are bytes") {
    const auto description = [](const std::string& value) {
        return parameters("CreateTrafficMirrorFilter", "Description=" + value)["Description"];
    };
    CHECK(description("") == "");
    CHECK(description("a+b") == "a b");
    CHECK(description("a%2Bb%20c") == "a+b c");
    CHECK(description("caf%C3%a9") == "caf\xc3\xa9");
    CHECK(description("a=b==") == "a=b==");
    CHECK(description("%26%3D%25") == "&=%");
    CHECK(description("%00") == std::string(1, '\0'));
    CHECK(description("x%0D%0A%09") == "x\r\n\t");
    CHECK(parameters("CreateTrafficMirrorFilter", "Desc%72iption=x")["Description"] == "x");
}

TEST_CASE("S7 a bad query is a MalformedQueryString") {
    for (const char* bad :
         {"Description=%", "Description=%4", "Description=%4g", "Description=%g4",
          "Description=%%41", "D%=x", "Description=a%4", "=x", "=", "DryRun", "&", "", "a=b&",
          "Description=x&Description=y", "Description=x&Description=x",
          "Description=x&Desc%72iption=x", "Action=CreateTags", "Version=2016-11-15",
          "X-Amz-Date=1&X-Amz-Date=1"}) {
        INFO(bad);
        const auto form = "Action=CreateTrafficMirrorFilter&Version=2016-11-15&" + std::string(bad);
        CHECK(code(form) == "MalformedQueryString");
        if (*bad) CHECK(code(std::string(bad) + "&" + bad) == "MalformedQueryString");
    }
    CHECK(code("&" + query("DescribeTags")) == "MalformedQueryString");
    CHECK(code("{\"Action\": \"DescribeTags\"}") == "MalformedQueryString");
    std::string message;
    CHECK(code(query("DescribeTags", "NextToken=a&NextToken=b"), &message) ==
          "MalformedQueryString");
    CHECK_THAT(message, Contains("NextToken"));
}

TEST_CASE("S7 a query has at most 20,000 parameters") {
    std::string form = query("DescribeTrafficMirrorSessions");
    for (std::size_t i = 2; i < Query::parameter_limit; ++i)
        form += "&TrafficMirrorSessionId." + std::to_string(i) + "=tms-1";
    CHECK(Query(form).parameters()["TrafficMirrorSessionIds"].size() == Query::parameter_limit - 2);
    CHECK(code(form + "&X-Amz-Date=1") == "MalformedQueryString");
}

TEST_CASE("S7 as many filters and values as are allowed fit into one query") {
    std::string form = query("DescribeTrafficMirrorSessions", "NextToken=x&MaxResults=5&DryRun=no");
    for (int filter = 1; filter <= 50; ++filter) {
        const std::string name = "&Filter." + std::to_string(filter);
        form += name + ".Name=tag:" + std::to_string(filter);
        for (int value = 1; value <= 200; ++value)
            form += name + ".Value." + std::to_string(value) + "=tms-0123456789abcdef0";
    }
    CHECK(form.size() < 1 << 20);
    const Json filters = Query(form).parameters()["Filters"];
    CHECK(filters.size() == 50);
    CHECK(filters[49]["Values"].size() == 200);
}

TEST_CASE("S7 action and version have codes of their own, in this order") {
    CHECK(code("") == "MissingAction");
    CHECK(code("Version=2016-11-15") == "MissingAction");
    CHECK(code("Action=&Version=2016-11-15") == "MissingAction");
    CHECK(code("Version=1") == "MissingAction");
    CHECK(code("Action=CreateVpc") == "NoSuchVersion");
    CHECK(code("Action=DescribeTags&Version=2016-11-1") == "NoSuchVersion");
    CHECK(code("Action=DescribeTags&Version=") == "NoSuchVersion");
    CHECK(code("Action=CreateVpc&Version=2016-11-15") == "InvalidAction");
    CHECK(code("Action=describeTags&Version=2016-11-15") == "InvalidAction");
    CHECK(code("action=DescribeTags&Version=2016-11-15") == "MissingAction");
    CHECK(Query(query("DescribeTags")).action().name == "DescribeTags");
}

TEST_CASE("S1 parameters have botocore's names and types") {
    CHECK(parameters("CreateTrafficMirrorSession",
                     "NetworkInterfaceId=eni-1&TrafficMirrorTargetId=tmt-1&TrafficMirrorFilterId="
                     "tmf-1&SessionNumber=7&PacketLength=0064&VirtualNetworkId=-0&DryRun=true&"
                     "TagSpecification.1.ResourceType=traffic-mirror-session&"
                     "TagSpecification.1.Tag.1.Key=Team&TagSpecification.1.Tag.1.Value=net+ops&"
                     "TagSpecification.1.Tag.2.Key=12&ClientToken=12") ==
          Json{{"NetworkInterfaceId", "eni-1"},
               {"TrafficMirrorTargetId", "tmt-1"},
               {"TrafficMirrorFilterId", "tmf-1"},
               {"SessionNumber", 7},
               {"PacketLength", 64},
               {"VirtualNetworkId", 0},
               {"DryRun", true},
               {"TagSpecifications",
                {{{"ResourceType", "traffic-mirror-session"},
                  {"Tags", {{{"Key", "Team"}, {"Value", "net ops"}}, {{"Key", "12"}}}}}}},
               {"ClientToken", "12"}});
    CHECK(parameters("CreateTrafficMirrorFilterRule",
                     "SourcePortRange.ToPort=65535&SourcePortRange.FromPort=0") ==
          Json{{"SourcePortRange", {{"FromPort", 0}, {"ToPort", 65535}}}});
    CHECK(parameters("CreateTags",
                     "ResourceId.1=tms-1&ResourceId.2=tmf-1&Tag.1.Key=k&Tag.1.Value=") ==
          Json{{"Resources", {"tms-1", "tmf-1"}}, {"Tags", {{{"Key", "k"}, {"Value", ""}}}}});
    CHECK(parameters("DescribeTrafficMirrorSessions",
                     "TrafficMirrorSessionId.1=tms-1&Filter.1.Name=owner-id&Filter.1.Value.1=1&"
                     "Filter.1.Value.2=2&Filter.2.Name=tag-key&Filter.2.Value.1=k&MaxResults=5&"
                     "NextToken=5") == Json{{"TrafficMirrorSessionIds", {"tms-1"}},
                                            {"Filters",
                                             {{{"Name", "owner-id"}, {"Values", {"1", "2"}}},
                                              {{"Name", "tag-key"}, {"Values", {"k"}}}}},
                                            {"MaxResults", 5},
                                            {"NextToken", "5"}});
    CHECK(parameters("ModifyTrafficMirrorSession", "RemoveField.1=description") ==
          Json{{"RemoveFields", {"description"}}});
    CHECK(parameters("ModifyTrafficMirrorFilterNetworkServices",
                     "AddNetworkService.1=amazon-dns&RemoveNetworkService.1=amazon-dns") ==
          Json{{"AddNetworkServices", {"amazon-dns"}}, {"RemoveNetworkServices", {"amazon-dns"}}});
    CHECK(parameters("DescribeTags") == Json::object());
    CHECK(parameters("DescribeTags", "X-Amz-Date=20260101T000000Z&X-Amz-Signature=0") ==
          Json::object());
}

TEST_CASE("S1 a list's elements come in the order of their indices, however far apart") {
    CHECK(parameters("DescribeTrafficMirrorSessions",
                     "TrafficMirrorSessionId.10=c&TrafficMirrorSessionId.9=b&"
                     "TrafficMirrorSessionId.99999999999999999999999999=e&"
                     "TrafficMirrorSessionId.2=a&TrafficMirrorSessionId.18446744073709551616=d")
              ["TrafficMirrorSessionIds"] == Json{"a", "b", "c", "d", "e"});
    CHECK(parameters("CreateTags", "Tag.7.Key=b&Tag.3.Key=a&Tag.7.Value=2&Tag.3.Value=1")["Tags"] ==
          Json{{{"Key", "a"}, {"Value", "1"}}, {{"Key", "b"}, {"Value", "2"}}});
}

TEST_CASE("S7 a parameter that the action does not have is named as it was sent") {
    for (const char* bad : {"Name",
                            "SignatureVersion",
                            "AWSAccessKeyId",
                            "x-amz-date",
                            "TrafficMirrorSessionIds.1",
                            "TrafficMirrorSessionId",
                            "TrafficMirrorSessionId.0",
                            "TrafficMirrorSessionId.01",
                            "TrafficMirrorSessionId.",
                            "TrafficMirrorSessionId.-1",
                            "TrafficMirrorSessionId.%2B1",
                            "TrafficMirrorSessionId.x",
                            "TrafficMirrorSessionId.1.",
                            "TrafficMirrorSessionId.1.1",
                            "TrafficMirrorSessionId.member.1",
                            "TrafficMirrorSessionId..1",
                            "Filter",
                            "Filter.1",
                            "Filter.1.",
                            "Filter.1.Values.1",
                            "Filter.1.Value",
                            "Filter.1.Value.1.2",
                            "Filter.1.Name.1",
                            "Filter.Name",
                            "filter.1.Name",
                            "DryRun.",
                            "DryRun.x",
                            ".DryRun",
                            "Description",
                            "."}) {
        INFO(bad);
        std::string message;
        CHECK(code(query("DescribeTrafficMirrorSessions",
                         "NextToken=%ff&MaxResults=x&DryRun=no&" + std::string(bad) + "=v"),
                   &message) == "UnknownParameter");
        if (!std::strchr(bad, '%')) CHECK_THAT(message, Contains(Json(bad).dump()));
    }
    CHECK(code(query("CreateTrafficMirrorFilterRule", "SourcePortRange=1")) == "UnknownParameter");
    CHECK(code(query("CreateTrafficMirrorFilterRule", "SourcePortRange.1.FromPort=1")) ==
          "UnknownParameter");
    CHECK(code(query("CreateTags", "%FF=1")) == "UnknownParameter");
}

TEST_CASE("S7 what reads as no number or boolean is an InvalidParameterValue") {
    for (const char* bad : {"", "+5", "%2B5", "5+", "0x5", "5.0", "5e0", "five", "%2D", "4", "1001",
                            "-5", "99999999999999999999", "%D9%A5"}) {
        INFO(bad);
        std::string message;
        CHECK(code(query("DescribeTags", "MaxResults=" + std::string(bad)), &message) ==
              "InvalidParameterValue");
        CHECK_THAT(message, Contains("MaxResults"));
    }
    for (const char* good : {"true", "True", "FALSE", "false"})
        CHECK(parameters("DescribeTags", "DryRun=" + std::string(good))["DryRun"].is_boolean());
    for (const char* bad : {"", "1", "0", "yes", "tru", "true+"})
        CHECK(code(query("DescribeTags", "DryRun=" + std::string(bad))) == "InvalidParameterValue");
    CHECK(code(query("CreateTrafficMirrorFilter", "Description=%FF")) == "InvalidParameterValue");
    CHECK(code(query("CreateTrafficMirrorFilter", "Description=%00")) == "InvalidParameterValue");
    CHECK(code(query("CreateTags", "Tag.1.Key=a&Tag.1.Value=b")) == "MissingParameter");
    CHECK(code(query("DescribeTags", "Filter.1.Value.1=x")) == "MissingParameter");
}

TEST_CASE("S1 S10 replies are those of EC2") {
    const Json rule = {{"TrafficMirrorFilterRuleId", "tmfr-1"},
                       {"TrafficMirrorFilterId", "tmf-1"},
                       {"TrafficDirection", "ingress"},
                       {"RuleNumber", 5},
                       {"RuleAction", "accept"},
                       {"Protocol", 6},
                       {"SourcePortRange", {{"FromPort", 1}, {"ToPort", 2}}},
                       {"SourceCidrBlock", "::/0"},
                       {"DestinationCidrBlock", "2001:db8::/32"},
                       {"Tags", Json::array()}};
    const std::string rule_xml =
        "<trafficMirrorFilterRuleId>tmfr-1</trafficMirrorFilterRuleId>"
        "<trafficMirrorFilterId>tmf-1</trafficMirrorFilterId>"
        "<trafficDirection>ingress</trafficDirection><ruleNumber>5</ruleNumber>"
        "<ruleAction>accept</ruleAction><protocol>6</protocol>"
        "<sourcePortRange><fromPort>1</fromPort><toPort>2</toPort></sourcePortRange>"
        "<destinationCidrBlock>2001:db8::/32</destinationCidrBlock>"
        "<sourceCidrBlock>::/0</sourceCidrBlock>";
    CHECK(reply("CreateTrafficMirrorFilter", {{"TrafficMirrorFilter",
                                               {{"TrafficMirrorFilterId", "tmf-1"},
                                                {"IngressFilterRules", {rule}},
                                                {"EgressFilterRules", Json::array()},
                                                {"NetworkServices", {"amazon-dns"}},
                                                {"Tags", {{{"Key", "a"}, {"Value", ""}}}}}},
                                              {"ClientToken", "t"}}) ==
          response("CreateTrafficMirrorFilter",
                   "<trafficMirrorFilter><trafficMirrorFilterId>tmf-1</trafficMirrorFilterId>"
                   "<ingressFilterRuleSet><item>" +
                       rule_xml +
                       "<tagSet/></item></ingressFilterRuleSet><egressFilterRuleSet/>"
                       "<networkServiceSet><item>amazon-dns</item></networkServiceSet>"
                       "<tagSet><item><key>a</key><value></value></item></tagSet>"
                       "</trafficMirrorFilter><clientToken>t</clientToken>"));
    Json bare = rule;
    bare.erase("Tags");
    CHECK(reply("ModifyTrafficMirrorFilterRule", {{"TrafficMirrorFilterRule", bare}}) ==
          response("ModifyTrafficMirrorFilterRule",
                   "<trafficMirrorFilterRule>" + rule_xml + "</trafficMirrorFilterRule>"));
    CHECK(reply("DescribeTrafficMirrorSessions",
                {{"TrafficMirrorSessions",
                  {{{"TrafficMirrorSessionId", "tms-1"}, {"VirtualNetworkId", 16777215}}}},
                 {"NextToken", "n"}}) ==
          response("DescribeTrafficMirrorSessions",
                   "<trafficMirrorSessionSet><item><trafficMirrorSessionId>tms-1"
                   "</trafficMirrorSessionId><virtualNetworkId>16777215</virtualNetworkId></item>"
                   "</trafficMirrorSessionSet><nextToken>n</nextToken>"));
    CHECK(reply("DescribeTrafficMirrorTargets", {{"TrafficMirrorTargets", Json::array()}}) ==
          response("DescribeTrafficMirrorTargets", "<trafficMirrorTargetSet/>"));
    CHECK(reply("DescribeTags", {{"Tags",
                                  {{{"Key", "k"},
                                    {"Value", "v"},
                                    {"ResourceId", "tms-1"},
                                    {"ResourceType", "traffic-mirror-session"}}}}}) ==
          response("DescribeTags",
                   "<tagSet><item><key>k</key><resourceId>tms-1</resourceId><resourceType>"
                   "traffic-mirror-session</resourceType><value>v</value></item></tagSet>"));
    CHECK(reply("DeleteTrafficMirrorTarget", {{"TrafficMirrorTargetId", "tmt-1"}}) ==
          response("DeleteTrafficMirrorTarget",
                   "<trafficMirrorTargetId>tmt-1</trafficMirrorTargetId>"));
    for (const char* action : {"CreateTags", "DeleteTags"})
        CHECK(reply(action, Json::object()) == response(action, "<return>true</return>"));
}

TEST_CASE("S1 every action has a reply, and a reply holds nothing that is not written") {
    REQUIRE(actions().size() > 20);
    for (const auto& action : actions()) {
        INFO(action.name);
        CHECK_NOTHROW(reply_members(action));
        CHECK_THROWS_AS(reply_xml(action, {{"Surprise", 1}}, "r"), std::logic_error);
    }
}

TEST_CASE("S9 a listing that is sent in pieces is the reply as a whole") {
    const std::pair<const char*, Json> listings[] = {
        {"DescribeTrafficMirrorSessions",
         {{{"TrafficMirrorSessionId", "tms-1"}, {"SessionNumber", 1}},
          {{"TrafficMirrorSessionId", "tms-2"},
           {"Description", "<&\t>"},
           {"Tags", Json::array()}}}},
        {"DescribeTags", {{{"Key", "k"}, {"Value", ""}}, {{"Key", ""}, {"Value", "v"}}}},
        {"DescribeTrafficMirrorTargets", Json::array()}};
    for (const auto& [name, items] : listings)
        for (const char* next : {"", "n"}) {
            CAPTURE(name, next);
            const auto& action = *find_action(name);
            ListXml list(action, "r-1");
            const auto before = list.begin(), behind = list.end(next);
            Json body = {{reply_members(action).front().name, items}};
            if (*next) body["NextToken"] = next;
            std::string pieces = before;
            for (const auto& item : items) pieces += list.items(Json::array({item}));
            CHECK(before + list.items(items) + behind == pieces + behind);
            if (items.empty())
                CHECK(pieces + behind ==
                      response(name, "<trafficMirrorTargetSet></trafficMirrorTargetSet>" +
                                         std::string(*next ? "<nextToken>n</nextToken>" : "")));
            else
                CHECK(pieces + behind == reply(name, body));
        }
}

TEST_CASE("S1 every character survives the reply") {
    const std::string all =
        " a\tb\nc\r\nd\re <>&\"' ]]> caf\xc3\xa9 \xf0\x9f\x98\x80 \x7f &amp; %41 ";
    const auto description = [](const std::string& text) {
        const auto xml =
            reply("CreateTrafficMirrorTarget", {{"TrafficMirrorTarget", {{"Description", text}}}});
        for (const char c : {'\t', '\n', '\r'}) CHECK(xml.find(c) == std::string::npos);
        return std::string(parsed(xml)
                               .document_element()
                               .child("trafficMirrorTarget")
                               .child("description")
                               .text()
                               .get());
    };
    for (const auto& text : {all, std::string(), std::string("\n"), std::string(" ")})
        CHECK(description(text) == text);
    // What XML cannot hold, as a configuration may have it.
    CHECK(description(std::string("a\0b\x01", 4)) ==
          "a\xef\xbf\xbd"
          "b\xef\xbf\xbd");
    CHECK(description("\xef\xbf\xbf\xff") == "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

TEST_CASE("S7 an error is told as EC2 tells it") {
    CHECK(
        error_xml("InvalidParameterValue", "SessionNumber: 0 is not in 1 to 32766", "r-1") ==
        head +
            "<Response><Errors><Error><Code>InvalidParameterValue</Code><Message>SessionNumber: 0 "
            "is not in 1 to 32766</Message></Error></Errors><RequestID>r-1</RequestID></Response>");
    const auto document =
        parsed(error_xml("InvalidAction", "Action: \"<\x01&\" is not known", "r"));
    CHECK(std::string(document.select_node("/Response/Errors/Error/Message").node().text().get()) ==
          "Action: \"<\xef\xbf\xbd&\" is not known");
}

TEST_CASE("S7 the codes of HTTP, signatures and permissions have their status") {
    CHECK(http_status(ErrorCode::auth_failure) == 401);
    CHECK(http_status(ErrorCode::request_expired) == 400);
    CHECK(http_status(ErrorCode::unauthorized_operation) == 403);
    CHECK(http_status(ErrorCode::malformed_query_string) == 400);
    CHECK(std::string(to_string(ErrorCode::vpc_id_not_found)) == "InvalidVpcID.NotFound");
}
