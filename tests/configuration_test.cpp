// SPDX-License-Identifier: Apache-2.0
#include "host/configuration/configuration.hpp"

#include <chrono>
#include <filesystem>
#include <fstream>

#include "catch.hpp"
#include "folder.hpp"
#include "host/account/desired_tables.hpp"

using namespace mirrornic;
using Catch::Matchers::Contains;

namespace {

const TableSizes default_sizes = {256, 3, 256, 16, 1024, 16};

/// What the AWS CLI prints for an account with six interfaces and four sessions.
std::vector<std::string> listings() {
    const auto folder = std::filesystem::path(__FILE__).parent_path() / "config";
    std::vector<std::string> files;
    for (const char* name : {"network-interfaces.json", "vpcs.json", "traffic-mirror-targets.json",
                             "traffic-mirror-filters.json", "traffic-mirror-sessions.json"})
        files.push_back((folder / name).string());
    return files;
}

Configuration parse(const std::string& text) { return parse_configuration({{"a.json", text}}); }

/// A small account: one source, one interface target, one filter; more can be joined to it.
const char* const small = R"({
  "NetworkInterfaces": [
    {"NetworkInterfaceId": "eni-1", "MacAddress": "02:00:00:00:00:01",
     "PrivateIpAddress": "10.0.0.1", "VpcId": "vpc-1"},
    {"NetworkInterfaceId": "eni-2", "MacAddress": "02:00:00:00:00:02",
     "PrivateIpAddress": "10.0.0.2"},
    {"NetworkInterfaceId": "eni-6", "MacAddress": "02:00:00:00:00:06",
     "Ipv6Addresses": [{"Ipv6Address": "2001:db8::6"}]}],
  "TrafficMirrorTargets": [
    {"TrafficMirrorTargetId": "tmt-1", "NetworkInterfaceId": "eni-2"},
    {"TrafficMirrorTargetId": "tmt-6", "NetworkInterfaceId": "eni-6"}],
  "TrafficMirrorFilters": [{"TrafficMirrorFilterId": "tmf-1"}]})";

std::string session(const std::string& id, const std::string& interface, const std::string& target,
                    int number, const std::string& more = "") {
    return R"({"TrafficMirrorSessionId": ")" + id + R"(", "NetworkInterfaceId": ")" + interface +
           R"(", "TrafficMirrorTargetId": ")" + target +
           R"(", "TrafficMirrorFilterId": "tmf-1", "VirtualNetworkId": 7, "SessionNumber": )" +
           std::to_string(number) + more + "}";
}

Configuration with_sessions(const std::string& sessions, bool skip = false) {
    return parse_configuration(
        {{"a.json", small}, {"s.json", R"({"TrafficMirrorSessions": [)" + sessions + "]}"}}, skip);
}

std::string rule(const std::string& more) {
    return R"({"TrafficMirrorFilters": [{"TrafficMirrorFilterId": "tmf-1", "IngressFilterRules": [
        {"TrafficMirrorFilterRuleId": "tmfr-1", "RuleNumber": 1, "RuleAction": "accept",
         "SourceCidrBlock": "0.0.0.0/0", "DestinationCidrBlock": "0.0.0.0/0")" +
           more + "}]}]}";
}

}  // namespace

TEST_CASE("S1 what the AWS CLI prints is read as it is") {
    const auto configuration = read_configuration(listings());
    const auto& account = configuration.account;
    CHECK(configuration.warnings.empty());
    CHECK(account.interfaces().size() == 6);
    const auto& eni = *account.interfaces().find("eni-0a22222222222222b");
    CHECK(to_string(eni.mac) == "06:2f:10:9c:3a:02");
    CHECK(eni.ipv4->to_string() == "10.20.2.12");  // the primary, not a secondary one
    REQUIRE(eni.ipv6.size() == 2);
    CHECK(eni.ipv6[0].to_string() == "2600:1f18:abcd:1200::12");
    CHECK(eni.mtu == 9001);
    CHECK(eni.tags == Tags{{"Name", "web"}});
    CHECK(resolver(account, eni)->to_string() == "10.20.0.2");

    const auto rules = account.rules_of_filter("tmf-0b00000000000000a");
    REQUIRE(rules.size() == 3);
    const auto& ssh = *account.rules().find("tmfr-0c0000000000000a1");
    CHECK(ssh.source.to_string() == "10.20.0.0/16");  // S2: host bits cleared
    CHECK(ssh.destination_ports == PortRange{22, 22});
    CHECK(ssh.protocol == 6);
    CHECK_FALSE(ssh.accept);
    CHECK(account.filters().find("tmf-0b00000000000000a")->amazon_dns);
    CHECK(account.targets().find("tmt-0a00000000000000b")->type ==
          TargetType::network_load_balancer);
    CHECK(account.sessions().find("tms-0d00000000000000d")->packet_length == 100);
    CHECK_FALSE(account.sessions().find("tms-0d00000000000000a")->packet_length);
}

TEST_CASE("S1 P8 P10 T1 the tables of a configuration hold what its sessions ask for") {
    const auto tables = table_state(read_configuration(listings()).account);
    REQUIRE(tables.sessions.size() == 4);
    REQUIRE(tables.interfaces.size() == 2);  // those with a session
    CHECK(tables.interfaces.at("eni-0a11111111111111a").resolver->to_string() == "10.20.0.2");
    const auto& filter = *tables.filters.at("tmf-0b00000000000000a");
    CHECK(filter.amazon_dns);
    REQUIRE(filter.ingress.size() == 2);
    CHECK(filter.ingress[0].id == "tmfr-0c0000000000000a1");  // P10: ascending rule number
    CHECK(filter.ingress[1].id == "tmfr-0c0000000000000a2");
    REQUIRE(filter.egress.size() == 1);
    CHECK(filter.egress[0].source_ports == PortRange{4000, 5000});

    const auto& first = tables.sessions.at("tms-0d00000000000000a");
    CHECK(first.vni == 7654321);
    CHECK(first.number == 2);
    CHECK(to_string(first.source_mac) == "06:2f:10:9c:3a:01");
    CHECK(to_string(first.target_mac) == "06:2f:10:9c:3a:03");
    CHECK(first.source_address.to_string() == "10.20.1.11");
    CHECK(first.target_address.to_string() == "10.20.1.13");
    CHECK(first.mtu == 9001);
    CHECK_FALSE(first.packet_length);
    // A load balancer's interface in the source's zone, and PacketLength 8500 unless set.
    CHECK(tables.sessions.at("tms-0d00000000000000b").target_address.to_string() == "10.20.1.21");
    CHECK(tables.sessions.at("tms-0d00000000000000c").target_address.to_string() == "10.20.2.21");
    CHECK(tables.sessions.at("tms-0d00000000000000c").packet_length == 8500);
    // An endpoint has none in this source's zone: the first there is.
    CHECK(tables.sessions.at("tms-0d00000000000000d").target_address.to_string() == "10.20.2.31");
    CHECK(tables.sessions.at("tms-0d00000000000000d").packet_length == 100);
}

TEST_CASE("lists of several files are joined and objects with one id merge by member") {
    const auto account =
        parse_configuration(
            {{"a.json", small},
             {"b.json", R"({"NetworkInterfaces": [{"NetworkInterfaceId": "eni-1", "Mtu": 1500},
                            {"NetworkInterfaceId": "eni-3", "MacAddress": "02:00:00:00:00:03"}]})"},
             {"c.json", R"({"NetworkInterfaces": [{"NetworkInterfaceId": "eni-1",
                            "PrivateIpAddress": "10.0.0.9"}]})"}})
            .account;
    CHECK(account.interfaces().size() == 4);
    const auto& eni = *account.interfaces().find("eni-1");
    CHECK(eni.mtu == 1500);
    CHECK(eni.ipv4->to_string() == "10.0.0.9");
    CHECK(to_string(eni.mac) == "02:00:00:00:00:01");
    CHECK(eni.vpc_id == "vpc-1");
}

TEST_CASE("a rule is one object wherever it is listed") {
    const auto account = parse_configuration({{"filters.json", rule("")},
                                              {"rules.json", R"({"TrafficMirrorFilterRules": [
                 {"TrafficMirrorFilterRuleId": "tmfr-1", "RuleAction": "reject"},
                 {"TrafficMirrorFilterRuleId": "tmfr-2", "TrafficMirrorFilterId": "tmf-1",
                  "TrafficDirection": "egress", "RuleNumber": 1, "RuleAction": "accept",
                  "SourceCidrBlock": "::/0", "DestinationCidrBlock": "::/0"}]})"}})
                             .account;
    REQUIRE(account.rules().size() == 2);
    CHECK_FALSE(account.rules().find("tmfr-1")->accept);
    CHECK(account.rules().find("tmfr-1")->direction == Direction::ingress);
    CHECK(account.rules().find("tmfr-2")->direction == Direction::egress);
}

TEST_CASE("members that are not used are ignored, whatever they hold") {
    CHECK(parse(R"({"ResponseMetadata": {"HTTPStatusCode": 200}, "NetworkInterfaces": [
        {"NetworkInterfaceId": "eni-1", "MacAddress": "00:00:00:00:00:00", "Status": null,
         "Colour": 7, "Attachment": {"Screws": "many"}}]})")
              .account.interfaces()
              .size() == 1);
}

TEST_CASE("a member that is null is absent, at every level") {
    const auto configuration = parse_configuration(
        {{"a.json", small},
         {"b.json", R"({"NextToken": null, "Vpcs": null, "TrafficMirrorTargets": null,
           "NetworkInterfaces": [{"NetworkInterfaceId": "eni-1", "MacAddress": null,
            "PrivateIpAddress": null, "VpcId": null, "SubnetId": null, "InterfaceType": null,
            "Description": null, "AvailabilityZone": null, "OwnerId": null, "TagSet": null,
            "Mtu": null, "Ipv6Addresses": null, "PrivateIpAddresses": [
            {"PrivateIpAddress": "10.0.0.1", "Association": null}]},
            {"NetworkInterfaceId": "eni-2", "TagSet": [{"Key": "a", "Value": null}]}],
           "TrafficMirrorFilters": [{"TrafficMirrorFilterId": "tmf-1", "NetworkServices": null,
            "EgressFilterRules": null, "IngressFilterRules": [
            {"TrafficMirrorFilterRuleId": "tmfr-1", "RuleNumber": 1, "RuleAction": "accept",
             "SourceCidrBlock": "0.0.0.0/0", "DestinationCidrBlock": "0.0.0.0/0", "Protocol": null,
             "SourcePortRange": null, "DestinationPortRange": null, "Description": null}]}],
           "TrafficMirrorSessions": [)" +
                        session("tms-1", "eni-1", "tmt-1", 1,
                                R"(, "PacketLength": null, "Description": null, "Tags": null)") +
                        "]}"}});
    const auto& account = configuration.account;
    CHECK(configuration.warnings.empty());
    const auto& eni = *account.interfaces().find("eni-1");
    CHECK(to_string(eni.mac) == "02:00:00:00:00:01");
    CHECK(eni.vpc_id == "vpc-1");
    CHECK(eni.mtu == 9001);
    CHECK(eni.private_ipv4.size() == 1);
    CHECK(account.interfaces().find("eni-2")->tags == Tags{{"a", ""}});
    CHECK(account.rules_of_filter("tmf-1").size() == 1);
    CHECK_FALSE(account.rules().find("tmfr-1")->protocol);
    CHECK_FALSE(account.sessions().find("tms-1")->packet_length);

    // What is required and null is missing.
    for (const auto& [text, why] : std::vector<std::pair<std::string, std::string>>{
             {R"({"NetworkInterfaces": [{"NetworkInterfaceId": null}]})",
              "NetworkInterfaces[0]: NetworkInterfaceId is missing"},
             {R"({"NetworkInterfaces": [{"NetworkInterfaceId": "eni-1", "MacAddress": null}]})",
              "(eni-1): MacAddress is missing"}}) {
        CAPTURE(text);
        CHECK_THROWS_WITH(parse(text), Contains(why));
    }
}

TEST_CASE("P8 a configured filter lets Amazon DNS through when its list of services says so") {
    for (const auto& [services, holds] :
         {std::pair(R"(["amazon-dns"])", true), std::pair("[]", false), std::pair("null", false)}) {
        CAPTURE(services);
        const auto account = parse(std::string(R"({"TrafficMirrorFilters": [
            {"TrafficMirrorFilterId": "tmf-1", "NetworkServices": )") +
                                   services + "}]}")
                                 .account;
        CHECK(account.filters().find("tmf-1")->amazon_dns == holds);
    }
}

TEST_CASE("an element that is null is an error, in every list that is read") {
    const std::string eni =
        R"({"NetworkInterfaceId": "eni-1", "MacAddress": "02:00:00:00:00:01", )";
    for (const auto& [text, where] : std::vector<std::pair<std::string, std::string>>{
             {R"({"NetworkInterfaces": [null]})", "NetworkInterfaces[0]: null"},
             {R"({"Reservations": [null]})", "Reservations[0]: null"},
             {R"({"Reservations": [{"Instances": [{}, null]}]})",
              "Reservations[0].Instances[1]: null"},
             {R"({"Instances": [{"NetworkInterfaces": [null]}]})",
              "Instances[0].NetworkInterfaces[0]: null"},
             {R"({"Vpcs": [null]})", "Vpcs[0]: null"},
             {R"({"RouteTables": [null]})", "RouteTables[0]: null"},
             {R"({"TrafficMirrorTargets": [null]})", "TrafficMirrorTargets[0]: null"},
             {R"({"TrafficMirrorFilters": [null]})", "TrafficMirrorFilters[0]: null"},
             {R"({"TrafficMirrorFilterRules": [null]})", "TrafficMirrorFilterRules[0]: null"},
             {R"({"TrafficMirrorSessions": [null]})", "TrafficMirrorSessions[0]: null"},
             {R"({"NetworkInterfaces": [)" + eni + R"("Ipv6Addresses": [null]}]})",
              "NetworkInterfaces[0].Ipv6Addresses[0]: null"},
             {R"({"NetworkInterfaces": [)" + eni + R"("PrivateIpAddresses": [null]}]})",
              "NetworkInterfaces[0].PrivateIpAddresses[0]: null"},
             {R"({"NetworkInterfaces": [)" + eni + R"("TagSet": [null]}]})",
              "NetworkInterfaces[0].TagSet[0]: null"},
             {R"({"NetworkInterfaces": [)" + eni + R"("Groups": [null]}]})",
              "NetworkInterfaces[0].Groups[0]: null"},
             {R"({"TrafficMirrorFilters": [{"TrafficMirrorFilterId": "tmf-1",
                  "NetworkServices": [null]}]})",
              "TrafficMirrorFilters[0].NetworkServices[0]: null"},
             {R"({"TrafficMirrorFilters": [{"TrafficMirrorFilterId": "tmf-1",
                  "IngressFilterRules": [null]}]})",
              "TrafficMirrorFilters[0].IngressFilterRules[0]: null"}}) {
        CAPTURE(text);
        CHECK_THROWS_WITH(parse(text), Contains("a.json: " + where + " is not"));
    }
}

TEST_CASE("an id that a list has twice is an error that names both places") {
    const std::string eni = R"({"NetworkInterfaceId": "eni-1", "MacAddress": "02:00:00:00:00:01"})";
    const std::string other =
        R"({"NetworkInterfaceId": "eni-2", "MacAddress": "02:00:00:00:00:02"})";
    const std::string rule_text =
        R"({"TrafficMirrorFilterRuleId": "tmfr-1", "TrafficMirrorFilterId": "tmf-1",
            "TrafficDirection": "ingress", "RuleNumber": 1, "RuleAction": "accept",
            "SourceCidrBlock": "0.0.0.0/0", "DestinationCidrBlock": "0.0.0.0/0"})";
    const auto list = [](const std::string& name, const std::string& elements) {
        return "{\"" + name + "\": [" + elements + "]}";
    };
    for (const auto& [text, words] : std::vector<std::pair<std::string, std::vector<std::string>>>{
             {list("NetworkInterfaces", eni + "," + other + "," + eni),
              {"NetworkInterfaces[2]: eni-1", "NetworkInterfaces[0]"}},
             {list("Reservations", R"({"Instances": [{"NetworkInterfaces": [)" + other + R"(]}]},
                      {"Instances": [{"NetworkInterfaces": [)" +
                                       eni + "," + other + "]}]}"),
              {"Reservations[1].Instances[0].NetworkInterfaces[1]: eni-2", "Reservations[0]"}},
             {list("Vpcs", R"({"VpcId": "vpc-1"}, {"VpcId": "vpc-1"})"),
              {"Vpcs[1]: vpc-1", "Vpcs[0]"}},
             {list("RouteTables", R"({"RouteTableId": "rtb-1"}, {"RouteTableId": "rtb-1"})"),
              {"RouteTables[1]: rtb-1", "RouteTables[0]"}},
             {list("TrafficMirrorTargets",
                   R"({"TrafficMirrorTargetId": "tmt-1"}, {"TrafficMirrorTargetId": "tmt-1"})"),
              {"TrafficMirrorTargets[1]: tmt-1", "TrafficMirrorTargets[0]"}},
             {list("TrafficMirrorFilters",
                   R"({"TrafficMirrorFilterId": "tmf-1"}, {"TrafficMirrorFilterId": "tmf-1"})"),
              {"TrafficMirrorFilters[1]: tmf-1", "TrafficMirrorFilters[0]"}},
             {list("TrafficMirrorFilters",
                   R"({"TrafficMirrorFilterId": "tmf-1", "IngressFilterRules": [)" + rule_text +
                       "," + rule_text + "]}"),
              {"IngressFilterRules[1]: tmfr-1", "TrafficMirrorFilters[0]"}},
             {list("TrafficMirrorFilterRules", rule_text + "," + rule_text),
              {"TrafficMirrorFilterRules[1]: tmfr-1", "TrafficMirrorFilterRules[0]"}},
             {list("TrafficMirrorSessions",
                   R"({"TrafficMirrorSessionId": "tms-1"}, {"TrafficMirrorSessionId": "tms-1"})"),
              {"TrafficMirrorSessions[1]: tms-1", "TrafficMirrorSessions[0]"}}}) {
        CAPTURE(text);
        for (const auto& word : words) CHECK_THROWS_WITH(parse(text), Contains(word));
    }
    // Other lists and other files say more of one object.
    const auto both = parse_configuration(
        {{"a.json", "{\"NetworkInterfaces\": [" + eni +
                        R"(], "Reservations": [{"Instances": [{"NetworkInterfaces": [)" + eni +
                        "]}]}]}"},
         {"b.json", list("NetworkInterfaces", eni)}});
    CHECK(both.account.interfaces().size() == 1);
}

TEST_CASE("a number that no type holds is an error that says where it stands") {
    for (const auto& [text, words] : std::vector<std::pair<std::string, std::string>>{
             {R"({"NetworkInterfaces": [{"NetworkInterfaceId": "eni-1", "Mtu": 1e999}]})",
              "a.json: NetworkInterfaces[0].Mtu: the number \"1e999\" is too large"},
             {R"({"Other": {"a": [1, -1e999]}})",
              "a.json: Other.a[1]: the number \"-1e999\" is too large"},
             {R"({"Other": 1e999})", "a.json: Other: the number \"1e999\" is too large"},
             {R"({"Other": [1, 1e999]})", "a.json: Other[1]: the number \"1e999\" is too large"},
             {"1e999", "a.json: the number \"1e999\" is too large"}}) {
        CAPTURE(text);
        CHECK_THROWS_WITH(parse(text), words);
    }
}

TEST_CASE("an empty NextToken means that there is none") {
    CHECK(parse(R"({"NetworkInterfaces": [], "NextToken": ""})").warnings.empty());
}

TEST_CASE("a file in UTF-16 or with a byte order mark reads as it does in UTF-8") {
    const test::Folder folder;
    const std::u16string text =
        uR"({"NetworkInterfaces": [{"NetworkInterfaceId": "eni-1", "MacAddress": "02:00:00:00:00:01",)"
        uR"( "Description": "a\u00e9 )"
        u"\u00e9\u20ac\U0001f600"
        uR"("}]})";
    const std::string description = "a\u00e9 \u00e9\u20ac\U0001f600";
    const auto bytes = [](const std::u16string& units, bool big_endian) {
        std::string out = big_endian ? "\xfe\xff" : "\xff\xfe";
        for (const char16_t unit : units) {
            out += char(big_endian ? unit >> 8 : unit & 0xff);
            out += char(big_endian ? unit & 0xff : unit >> 8);
        }
        return out;
    };
    const auto described = [&](const std::string& content) {
        const auto name = (folder / "eni.json").string();
        std::ofstream(name, std::ios::binary) << content;
        return read_configuration({name}).account.interfaces().find("eni-1")->description;
    };
    CHECK(described(bytes(text, false)) == description);
    CHECK(described(bytes(text, true)) == description);
    CHECK(described("\xef\xbb\xbf"
                    R"({"NetworkInterfaces": [{"NetworkInterfaceId": "eni-1",
                     "MacAddress": "02:00:00:00:00:01", "Description": "a"}]})") == "a");

    const auto whole = bytes(text, false);
    const auto lone = [&](char16_t unit) {
        return bytes(std::u16string(u"{\"a\": \"") + unit + u"\"}", true);
    };
    for (const auto& broken : {whole.substr(0, whole.size() - 1), lone(0xd800), lone(0xdfff),
                               bytes(std::u16string(1, char16_t(0xd83d)), false)})
        CHECK_THROWS_WITH(described(broken), Contains("eni.json: begins with the byte "
                                                      "order mark of UTF-16 and is not"));

    // Without a mark, and UTF-32, also from what cannot be read twice.
    const auto plain = [](std::string text, const std::string& before, const std::string& behind) {
        std::string out;
        for (const char c : text) out += before + c + behind;
        return out;
    };
    const std::string zero(1, '\0'), zeros(3, '\0'), ascii = R"({"Vpcs": []})";
    for (const auto& other :
         {plain(ascii, "", zero), plain(ascii, zero, ""), plain(ascii, "", zeros),
          plain(ascii, zeros, ""), "\xff\xfe" + zero + zero + plain(ascii, "", zeros),
          zero + zero + "\xfe\xff" + plain(ascii, zeros, ""), zero, "{" + zero})
        CHECK_THROWS_WITH(described(other),
                          Contains("eni.json: is UTF-32, or UTF-16 without a "
                                   "byte order mark, or no text; save it as UTF-8"));
}

TEST_CASE("S1 describe-instances and run-instances hold interfaces too") {
    const std::string instance =
        R"({"InstanceId": "i-0a1", "NetworkInterfaces": [
             {"NetworkInterfaceId": "eni-1", "MacAddress": "02:00:00:00:00:01",
              "PrivateIpAddress": "10.0.0.1", "VpcId": "vpc-1", "Description": "web",
              "PrivateIpAddresses": [{"PrivateIpAddress": "10.0.0.1", "Primary": true}],
              "Ipv6Addresses": [{"Ipv6Address": "2001:db8::1"}],
              "Attachment": {"AttachmentId": "eni-attach-1", "DeviceIndex": 0}},
             {"NetworkInterfaceId": "eni-2", "MacAddress": "02:00:00:00:00:02"}],
            "Placement": {"AvailabilityZone": "us-east-1a", "Tenancy": "default"}})";
    const std::string other =
        R"({"InstanceId": "i-0a2", "NetworkInterfaces": [
             {"NetworkInterfaceId": "eni-3", "MacAddress": "02:00:00:00:00:03"}]})";
    for (const auto& text :
         {R"({"Reservations": [{"OwnerId": "111122223333", "Instances": [)" + instance +
              R"(]}, {"Instances": [)" + other + R"(]}, {"Instances": []}]})",
          R"({"ReservationId": "r-1", "Instances": [)" + instance + ", " + other + "]}"}) {
        const auto configuration = parse(text);
        CHECK(configuration.warnings.empty());
        const auto& interfaces = configuration.account.interfaces();
        REQUIRE(interfaces.size() == 3);
        const auto& eni = *interfaces.find("eni-1");
        CHECK(to_string(eni.mac) == "02:00:00:00:00:01");
        CHECK(eni.ipv4->to_string() == "10.0.0.1");
        CHECK(eni.ipv6.front().to_string() == "2001:db8::1");
        CHECK(eni.availability_zone == "us-east-1a");  // of its instance
        Json attachment = Json::parse(eni.shown)["Attachment"];
        // Who started the instance owns it; run-instances has no owner here.
        CHECK(attachment["InstanceOwnerId"] ==
              (text.find("111122223333") != std::string::npos ? Json("111122223333") : Json()));
        attachment.erase("InstanceOwnerId");
        CHECK(attachment ==
              Json{{"AttachmentId", "eni-attach-1"}, {"DeviceIndex", 0}, {"InstanceId", "i-0a1"}});
        CHECK(Json::parse(interfaces.find("eni-3")->shown)["Attachment"]["InstanceId"] == "i-0a2");
        CHECK(interfaces.find("eni-2")->availability_zone == "us-east-1a");
        CHECK(interfaces.find("eni-3")->availability_zone.empty());
    }
    CHECK_THROWS_WITH(parse(R"({"Reservations": [{"Instances": [{"NetworkInterfaces": [
                  {"NetworkInterfaceId": "eni-1", "MacAddress": 7}]}]}]})"),
                      Contains("Reservations[0].Instances[0].NetworkInterfaces[0].MacAddress: 7"));
}

TEST_CASE("the variable part of an id is letters and digits, as in AWS's own examples") {
    const auto reached = [](const std::string& description, const std::string& target) {
        const auto account = parse_configuration({{"a.json", R"({"NetworkInterfaces": [
                    {"NetworkInterfaceId": "eni-0A1B2C3D4EXAMPLE", "MacAddress":
                     "02:00:00:00:00:01", "VpcId": "vpc-1A2B3C4D", "SubnetId": "subnet-9d4a7b6c",
                     "Description": ")" + description +
                                                                 R"("}], "TrafficMirrorTargets": [
                    {"TrafficMirrorTargetId": "tmt-07f75d8feEXAMPLE", )" +
                                                                 target + "}]}"}})
                                 .account;
        return account.interfaces_of(*account.targets().find("tmt-07f75d8feEXAMPLE")).size() == 1;
    };
    for (const std::string start :
         {"arn:aws:elasticloadbalancing:us-east-1:111111111111:loadbalancer/",
          "arn:aws-cn:elasticloadbalancing:cn-north-1:111111111111:loadbalancer/",
          "arn:aws-us-gov:elasticloadbalancing:us-gov-west-1:111111111111:loadbalancer/"})
        for (const std::string name : {"net/NLB/7cdec873fEXAMPLE", "net/my-nlb/50dc6c495c0c9188"})
            CHECK(reached("ELB " + name, R"("NetworkLoadBalancerArn": ")" + start + name + '"'));
    for (const std::string id :
         {"vpce-0123456789abcdef0", "vpce-0123456789EXAMPLE", "vpce-1a2b3c4d"})
        CHECK(reached("VPC Endpoint Interface " + id,
                      R"("GatewayLoadBalancerEndpointId": ")" + id + '"'));
}

TEST_CASE("P14 a gateway load balancer endpoint's MTU is 8500, or the configured one if smaller") {
    const auto cut = [](int mtu, const std::string& target) {
        const auto account =
            parse_configuration(
                {{"a.json",
                  R"({"NetworkInterfaces": [
                      {"NetworkInterfaceId": "eni-1", "MacAddress": "02:00:00:00:00:01",
                       "PrivateIpAddress": "10.0.0.1"},
                      {"NetworkInterfaceId": "eni-2", "MacAddress": "02:00:00:00:00:02",
                       "PrivateIpAddress": "10.0.0.2", "Description": "for vpce-1", "Mtu": )" +
                      std::to_string(mtu) +
                      R"(}], "TrafficMirrorFilters": [{"TrafficMirrorFilterId": "tmf-1"}],
                      "TrafficMirrorTargets": [{"TrafficMirrorTargetId": "tmt-1", )" +
                      target + R"(}], "TrafficMirrorSessions": [)" +
                      session("tms-1", "eni-1", "tmt-1", 1) + "]}"}})
                .account;
        const auto shown =
            description_of(account, default_sizes)["Interfaces"][0]["Sessions"][0]["Mtu"];
        const int mtu_in_force = table_state(account).sessions.at("tms-1").mtu;
        CHECK(shown == mtu_in_force);
        return mtu_in_force;
    };
    const std::string endpoint = R"("GatewayLoadBalancerEndpointId": "vpce-1")";
    CHECK(cut(9216, endpoint) == 8500);
    CHECK(cut(9001, endpoint) == 8500);
    CHECK(cut(8501, endpoint) == 8500);
    CHECK(cut(8500, endpoint) == 8500);
    CHECK(cut(8499, endpoint) == 8499);
    CHECK(cut(576, endpoint) == 576);
    CHECK(cut(9216, R"("NetworkInterfaceId": "eni-2")") == 9216);  // any other target's is its own
}

TEST_CASE("S1 S2 S4 a wrong value is named with its file and path") {
    const auto interface = [](const std::string& more) {
        return R"({"NetworkInterfaces": [
            {"NetworkInterfaceId": "eni-1", "MacAddress": "02:00:00:00:00:01"},
            {"NetworkInterfaceId": "eni-2", "MacAddress": "02:00:00:00:00:02", )" +
               more + "}]}";
    };
    const std::string eni = "a.json: NetworkInterfaces[1].";
    const auto target = [](const std::string& more) {
        return R"({"TrafficMirrorTargets": [{"TrafficMirrorTargetId": "tmt-1")" + more + "}]}";
    };
    const std::string session_path = "a.json: TrafficMirrorSessions[0].";
    const auto one_session = [](const std::string& more) {
        return R"({"TrafficMirrorSessions": [{"TrafficMirrorSessionId": "tms-1", )" + more + "}]}";
    };
    const std::string rule_path = "a.json: TrafficMirrorFilters[0].IngressFilterRules[0]";
    const std::pair<std::string, std::string> cases[] = {
        {"", "a.json: line 1, column 1: "},
        {"[]", "a.json: [] is not an object"},
        {"{\"NetworkInterfaces\": [\n{]}", "a.json: line 2, column 2: "},
        {R"({"NetworkInterfaces": {}})", "a.json: NetworkInterfaces: {} is not a list"},
        {R"({"NetworkInterfaces": [7]})", "a.json: NetworkInterfaces[0]: 7 is not an object"},
        {R"({"NetworkInterfaces": [{}]})",
         "a.json: NetworkInterfaces[0]: NetworkInterfaceId is missing"},
        {R"({"NetworkInterfaces": [{"NetworkInterfaceId": "eni-1"}]})",
         "a.json: NetworkInterfaces[0] (eni-1): MacAddress is missing"},
        {R"({"NetworkInterfaces": [], "NextToken": "eyJ"})",
         "a.json: NextToken: \"eyJ\" is left over: the listing was cut"},
        {interface(R"("MacAddress": "02:00")"),
         "a.json: NetworkInterfaces[1]: member "
         "\"MacAddress\" appears twice"},
        {interface(R"("TagSet": [{"Key": "a", "Key": "b"}])"),
         "a.json: NetworkInterfaces[1].TagSet[0]: member \"Key\" appears twice"},
        {interface(R"("PrivateIpAddress": "10.0.0.256")"),
         eni + "PrivateIpAddress: \"10.0.0.256\" is not an IPv4 address"},
        {interface(R"("PrivateIpAddress": "2001:db8::1")"), "is not an IPv4 address"},
        {interface(R"("PrivateIpAddress": 7)"), eni + "PrivateIpAddress: 7 is not a string"},
        {interface(R"("Ipv6Addresses": [{"Ipv6Address": "10.0.0.1"}])"),
         eni + "Ipv6Addresses[0].Ipv6Address: \"10.0.0.1\" is not an IPv6 address"},
        {interface(R"("Ipv6Addresses": [{}])"), eni + "Ipv6Addresses[0]: {} has no Ipv6Address"},
        {interface(R"("PrivateIpAddresses": [{"Primary": true}])"),
         eni + "PrivateIpAddresses[0]: {\"Primary\":true} has no PrivateIpAddress"},
        {interface(R"("Mtu": 575)"), eni + "Mtu: 575 is not a whole number from 576 to 9216"},
        {interface(R"("Mtu": 9217)"), eni + "Mtu: 9217 is not"},
        {interface(R"("Mtu": 1500.5)"), eni + "Mtu: 1500.5 is not"},
        {interface(R"("Mtu": 18446744073709551615)"), eni + "Mtu: 18446744073709551615 is not"},
        {interface(R"("VpcId": "10.0.0.0/8")"),
         eni + "VpcId: \"10.0.0.0/8\" is not an id that starts with vpc-"},
        {interface(R"("TagSet": [{"Value": "b"}])"),
         eni + "TagSet[0]: {\"Value\":\"b\"} has no Key"},
        {R"({"NetworkInterfaces": [{"NetworkInterfaceId": "eni-1", "MacAddress": "02:00"}]})",
         "a.json: NetworkInterfaces[0].MacAddress: \"02:00\" is not a MAC address"},
        {R"({"NetworkInterfaces": [{"NetworkInterfaceId": "eni-1",
            "MacAddress": "03:00:00:00:00:00"}]})",
         "\"03:00:00:00:00:00\" is a group address"},
        {R"({"Vpcs": [{"VpcId": "vpc-1", "CidrBlock": "10.0.0.0"}]})",
         "a.json: Vpcs[0].CidrBlock: \"10.0.0.0\" is not a CIDR block"},
        {R"({"Vpcs": [{"VpcId": "vpc-1", "CidrBlock": "::/0"}]})", "is not an IPv4 CIDR block"},
        {target(""), "a.json: TrafficMirrorTargets[0] (tmt-1): exactly one of NetworkInterfaceId"},
        {target(R"(, "NetworkInterfaceId": "eni-1", "GatewayLoadBalancerEndpointId": "vpce-1")"),
         "there are 2"},
        {target(R"(, "NetworkLoadBalancerArn": "arn:aws:elasticloadbalancing:r:1:x")"),
         "NetworkLoadBalancerArn: \"arn:aws:elasticloadbalancing:r:1:x\" is not arn:aws:"},
        {target(R"(, "NetworkInterfaceId": "eni-1", "Type": "nlb")"), "Type: \"nlb\" is none of"},
        {target(R"(, "NetworkInterfaceId": "eni-1", "Type": "network-load-balancer")"),
         "Type \"network-load-balancer\" does not go with NetworkInterfaceId"},
        {one_session(R"("PacketLength": 0)"),
         session_path + "PacketLength: 0 is not a whole number from 1 to 8500"},
        {one_session(R"("PacketLength": 8501)"), session_path + "PacketLength: 8501 is not"},
        {one_session(R"("SessionNumber": 0)"), session_path + "SessionNumber: 0 is not"},
        {one_session(R"("SessionNumber": 32767)"), session_path + "SessionNumber: 32767 is not"},
        {one_session(R"("SessionNumber": "1")"), session_path + "SessionNumber: \"1\" is not"},
        {one_session(R"("VirtualNetworkId": 16777216)"), session_path + "VirtualNetworkId: "},
        {one_session(R"("VirtualNetworkId": -1)"), session_path + "VirtualNetworkId: -1 is not"},
        {one_session(R"("SessionNumber": 1)"),
         "a.json: TrafficMirrorSessions[0] (tms-1): NetworkInterfaceId is missing"},
        {rule(R"(, "Protocol": 256)"), rule_path + ".Protocol: 256 is not"},
        {rule(R"(, "TrafficDirection": "egress")"),
         rule_path + ".TrafficDirection: \"egress\" stands in the list of the other direction"},
        {rule(R"(, "TrafficMirrorFilterId": "tmf-2")"), "stands in a list of tmf-1"},
        {rule(R"(, "SourcePortRange": {"FromPort": 1})"),
         rule_path + ".SourcePortRange: {\"FromPort\":1} has no FromPort or no ToPort"},
        {rule(R"(, "Protocol": 6, "SourcePortRange": {"FromPort": 2, "ToPort": 1})"),
         "(tmfr-1): SourcePortRange: FromPort 2 is above ToPort 1"},
        {rule(R"(, "Protocol": 1, "SourcePortRange": {"FromPort": 1, "ToPort": 1})"),
         "(tmfr-1): SourcePortRange needs Protocol 6 (TCP) or 17 (UDP), not 1"},
        {R"({"TrafficMirrorFilters": [{"TrafficMirrorFilterId": "tmf-1",
            "NetworkServices": ["amazon-ntp"]}]})",
         "NetworkServices[0]: \"amazon-ntp\" is none of amazon-dns"},
    };
    for (const auto& [text, message] : cases) {
        INFO(text);
        CHECK_THROWS_WITH(parse(text), Contains(message));
        CHECK_THROWS_AS(parse(text), ConfigurationError);
    }
}

TEST_CASE("S1 S2 a configured rule has CIDRs of one IP version, and a number of its own") {
    const auto listed = [](const std::string& second) {
        return R"({"TrafficMirrorFilterRules": [{"TrafficMirrorFilterRuleId": "tmfr-1",
            "TrafficMirrorFilterId": "tmf-1", "TrafficDirection": "egress", "RuleNumber": 1,
            "RuleAction": "accept", "SourceCidrBlock": "::/0", "DestinationCidrBlock": "::/0"},
            {"TrafficMirrorFilterRuleId": "tmfr-2", "TrafficMirrorFilterId": "tmf-1",
             "RuleAction": "accept", "SourceCidrBlock": "::/0", )" +
               second + "}]}";
    };
    CHECK_THROWS_WITH(
        parse(listed(
            R"("TrafficDirection": "egress", "RuleNumber": 2, "DestinationCidrBlock": "0.0.0.0/0")")),
        Contains("SourceCidrBlock ::/0 and DestinationCidrBlock 0.0.0.0/0 are not of one IP"));
    CHECK_THROWS_WITH(
        parse(listed(
            R"("TrafficDirection": "egress", "RuleNumber": 1, "DestinationCidrBlock": "::/0")")),
        Contains("(tmfr-2): RuleNumber 1 of tmf-1 is taken by tmfr-1"));
    const auto other_direction = parse(listed(
        R"("TrafficDirection": "ingress", "RuleNumber": 1, "DestinationCidrBlock": "::/0")"));
    CHECK(other_direction.warnings ==
          std::vector<std::string>{
              "2 rules are left out: their filter tmf-1 is not in the configuration"});
}

TEST_CASE("S4 a configured session obeys what a requested one does") {
    CHECK_THROWS_WITH(with_sessions(session("tms-1", "eni-1", "tmt-1", 1) + "," +
                                    session("tms-2", "eni-1", "tmt-1", 1)),
                      "s.json: TrafficMirrorSessions[1] (tms-2): SessionNumber 1 of eni-1 is taken "
                      "by tms-1");
    CHECK_THROWS_WITH(with_sessions(session("tms-1", "eni-2", "tmt-1", 1)),
                      "s.json: TrafficMirrorSessions[0] (tms-1): its source eni-2 is the target "
                      "tmt-1, and a target cannot be a source");
    CHECK_THROWS_WITH(with_sessions(session("tms-1", "eni-1", "tmt-6", 1)),
                      "s.json: TrafficMirrorSessions[0] (tms-1): its source eni-1 and its target "
                      "tmt-6 have addresses of no common IP version");
}

TEST_CASE("S3 quotas do not bind a configuration") {
    std::string sessions;
    for (int i = 1; i <= 5; ++i)
        sessions += (i > 1 ? "," : "") + session("tms-" + std::to_string(i), "eni-1", "tmt-1", i);
    const auto account = with_sessions(sessions).account;
    CHECK(account.sessions().size() == 5);
    const auto description = description_of(account, default_sizes);
    CHECK_FALSE(description["Fits"].get<bool>());  // three slots
    CHECK_THAT(description_text(description),
               Contains("sessions of one interface: 5 of 3, more than the device holds"));
}

TEST_CASE("everything that sessions name and nobody configured is in one message") {
    const std::string sessions =
        session("tms-1", "eni-9", "tmt-1", 1) + "," + session("tms-2", "eni-1", "tmt-9", 1) + "," +
        session("tms-3", "eni-1", "tmt-8", 2) + "," + session("tms-4", "eni-1", "tmt-7", 3) + "," +
        session("tms-5", "eni-1", "tmt-5", 4) + "," + session("tms-6", "eni-1", "tmt-1", 5) +
        R"(,{"TrafficMirrorSessionId": "tms-7", "NetworkInterfaceId": "eni-1", "SessionNumber": 6,
             "TrafficMirrorTargetId": "tmt-1", "TrafficMirrorFilterId": "tmf-9",
             "VirtualNetworkId": 7})";
    const std::vector<ConfigurationText> files = {
        {"a.json", small},
        {"t.json", R"({"TrafficMirrorTargets": [
            {"TrafficMirrorTargetId": "tmt-8", "NetworkInterfaceId": "eni-8"},
            {"TrafficMirrorTargetId": "tmt-7", "NetworkLoadBalancerArn":
             "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/net/m/0a"},
            {"TrafficMirrorTargetId": "tmt-5", "GatewayLoadBalancerEndpointId": "vpce-5"}]})"},
        {"s.json", R"({"TrafficMirrorSessions": [)" + sessions + "]}"}};
    const std::vector<std::string> lines = {
        "tms-1: interface eni-9 is missing: aws ec2 describe-network-interfaces "
        "--network-interface-ids eni-9",
        "tms-2: target tmt-9 is missing: aws ec2 describe-traffic-mirror-targets "
        "--traffic-mirror-target-ids tmt-9",
        "tms-3: the interface of target tmt-8, eni-8 is missing: aws ec2 "
        "describe-network-interfaces --network-interface-ids eni-8",
        "tms-4: an interface of target tmt-7, "
        "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/net/m/0a, is missing: "
        "aws ec2 describe-network-interfaces --filters 'Name=description,Values=ELB net/m/0a'",
        "tms-5: an interface of target tmt-5, vpce-5, is missing: aws ec2 "
        "describe-network-interfaces --filters 'Name=description,Values=*vpce-5*'",
        "tms-7: filter tmf-9 is missing: aws ec2 describe-traffic-mirror-filters "
        "--traffic-mirror-filter-ids tmf-9"};
    std::string message =
        "sessions name what the configuration does not hold; add it with --config, or leave these "
        "sessions out with --skip-unresolved";
    for (const auto& line : lines) message += "\n  " + line;
    CHECK_THROWS_WITH(parse_configuration(files), message);

    const auto skipped = parse_configuration(files, true);
    CHECK(skipped.account.sessions().size() == 1);
    CHECK(skipped.account.sessions().find("tms-6"));
    REQUIRE(skipped.warnings.size() == lines.size());
    for (std::size_t i = 0; i < lines.size(); ++i)
        CHECK(skipped.warnings[i] == "left out: " + lines[i]);
}

TEST_CASE("P17 S4 a copy goes over IPv6 where source and target have no IPv4 in common") {
    const auto tables = [](const char* source, const char* target) {
        return table_state(
            parse_configuration({{"a.json", small},
                                 {"b.json", std::string(R"({"NetworkInterfaces": [
                     {"NetworkInterfaceId": "eni-3", "MacAddress": "02:00:00:00:00:03", )") +
                                                source +
                                                R"(},{"NetworkInterfaceId": "eni-4", "MacAddress":
                       "02:00:00:00:00:04", "Mtu": 1500, )" +
                                                target +
                                                R"(}], "TrafficMirrorTargets": [
                     {"TrafficMirrorTargetId": "tmt-4", "NetworkInterfaceId": "eni-4"}]})"},
                                 {"s.json", R"({"TrafficMirrorSessions": [)" +
                                                session("tms-1", "eni-3", "tmt-4", 1) + "]}"}})
                .account);
    };
    const auto v4 = R"("PrivateIpAddress": "10.0.0.7")";
    const auto v6 = R"("Ipv6Addresses": [{"Ipv6Address": "2001:db8::1"},
                                         {"Ipv6Address": "2001:db8::2"}])";
    const auto both = std::string(v4) + "," + v6;
    const auto way = [&](const char* source, const char* target) {
        const auto entry = tables(source, target).sessions.at("tms-1");
        CHECK(entry.mtu == 1500);
        return entry.source_address.to_string() + " " + entry.target_address.to_string();
    };
    CHECK(way(both.c_str(), both.c_str()) == "10.0.0.7 10.0.0.7");
    CHECK(way(v4, both.c_str()) == "10.0.0.7 10.0.0.7");
    CHECK(way(both.c_str(), v6) == "2001:db8::1 2001:db8::1");
    CHECK(way(v6, both.c_str()) == "2001:db8::1 2001:db8::1");
    CHECK_THROWS_AS(tables(v4, v6), ConfigurationError);
    CHECK_THROWS_AS(tables(v6, v4), ConfigurationError);
}

TEST_CASE("P8 the resolver is the base of the VPC's primary CIDR plus two") {
    const auto of = [](const std::string& vpc) {
        const auto account = parse_configuration({{"a.json", small}, {"v.json", vpc}}).account;
        const auto address = resolver(account, *account.interfaces().find("eni-1"));
        return address ? address->to_string() : "none";
    };
    CHECK(of(R"({"Vpcs": []})") == "none");
    CHECK(of(R"({"Vpcs": [{"VpcId": "vpc-1", "CidrBlock": "172.31.0.0/16"}]})") == "172.31.0.2");
    CHECK(of(R"({"Vpcs": [{"VpcId": "vpc-1", "CidrBlock": "10.0.0.254/31"}]})") == "10.0.1.0");
    CHECK(of(R"({"Vpcs": [{"VpcId": "vpc-1", "CidrBlockAssociationSet": [
              {"CidrBlock": "10.8.0.0/16"}, {"CidrBlock": "10.9.0.0/16"}]}]})") == "10.8.0.2");
}

TEST_CASE("a MAC address of two interfaces and a file without a list are warned of") {
    CHECK(parse_configuration({{"a.json", small},
                               {"b.json", R"({"NetworkInterfaces": [{"NetworkInterfaceId": "eni-9",
                                   "MacAddress": "02:00:00:00:00:01"}]})"}})
              .warnings == std::vector<std::string>{
                               "02:00:00:00:00:01 is the MAC address of 2 interfaces; its frames "
                               "are taken for those of eni-1"});
    const auto empty = parse(R"({"NetworkInterface": []})").warnings;
    REQUIRE(empty.size() == 1);
    CHECK_THAT(empty[0], Contains("a.json: holds none of NetworkInterfaces"));
}

TEST_CASE("a file that cannot be read is named") {
    CHECK_THROWS_WITH(read_configuration({"/nowhere/eni.json"}),
                      "/nowhere/eni.json: No such file or directory");
    CHECK_THROWS_AS(read_configuration({"/"}), ConfigurationError);
}

TEST_CASE("ten thousand interfaces are read in well under a second") {
    Json list = Json::array();
    for (int i = 0; i < 10000; ++i) {
        char mac[18];
        std::snprintf(mac, sizeof mac, "02:00:00:00:%02x:%02x", i >> 8, i & 255);
        list.push_back(
            {{"NetworkInterfaceId", "eni-" + std::to_string(i)},
             {"MacAddress", mac},
             {"PrivateIpAddress", "10.0." + std::to_string(i >> 8) + "." + std::to_string(i & 255)},
             {"Groups", Json::array({{{"GroupId", "sg-1"}}})},
             {"Description", "interface " + std::to_string(i)}});
    }
    const auto text = Json{{"NetworkInterfaces", list}}.dump();
    const auto start = std::chrono::steady_clock::now();
    CHECK(parse(text).account.interfaces().size() == 10000);
    // Ten times what an optimized build takes, so that sanitizers pass and a quadratic step fails.
    CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(10));
}

TEST_CASE("P12 P14 a description names the longest copy of each session, and what is tried first") {
    const auto account = read_configuration(listings()).account;
    const auto description = description_of(account, default_sizes);
    const auto& source = description["Interfaces"][0];
    CHECK(source["NetworkInterfaceId"] == "eni-0a11111111111111a");
    CHECK(source["Resolver"] == "10.20.0.2");
    REQUIRE(source["Sessions"].size() == 3);
    CHECK(source["Sessions"][0]["TrafficMirrorSessionId"] == "tms-0d00000000000000b");
    CHECK(source["Sessions"][0]["LongestCopy"] == 8500);
    CHECK(source["Sessions"][1]["TrafficMirrorSessionId"] == "tms-0d00000000000000a");
    CHECK(source["Sessions"][1]["LongestCopy"] == 9001 - 36);
    CHECK(source["Sessions"][2]["LongestCopy"] == 100);
    CHECK(description["Filters"][0]["IngressFilterRules"][0] ==
          "100 reject TCP from 10.20.0.0/16 to 10.20.1.11/32 port 22 (tmfr-0c0000000000000a1)");
    CHECK(description["Fits"].get<bool>());
    CHECK(description["Tables"][0] ==
          Json{{"Table", "interfaces with a session"}, {"Used", 2}, {"Size", 256}});

    const auto text = description_text(description);
    CHECK_THAT(text, Contains("session 1 tms-0d00000000000000b: what tmf-0b00000000000000a accepts "
                              "goes to tmt-0a00000000000000b with VNI 1, from 10.20.1.11 to "
                              "10.20.1.21 (eni-0a44444444444444d 06:2f:10:9c:3a:04), at most 8500 "
                              "bytes of a frame, PacketLength 8500, MTU 9001"));
    CHECK_THAT(text, Contains("ingress 200 accept any protocol from 0.0.0.0/0 to 0.0.0.0/0"));
    CHECK_THAT(text, Contains("Amazon DNS accepted"));
    CHECK_THAT(text, Contains("sessions: 4 of 1024"));
}

TEST_CASE("a description as text says of each object what it is and what uses it") {
    const auto account =
        parse(R"({"Vpcs": [{"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/16"}],
        "NetworkInterfaces": [
          {"NetworkInterfaceId": "eni-1", "MacAddress": "02:00:00:00:00:01", "VpcId": "vpc-1",
           "PrivateIpAddress": "10.0.0.1", "Ipv6Addresses": [{"Ipv6Address": "2001:db8::1"}]},
          {"NetworkInterfaceId": "eni-2", "MacAddress": "02:00:00:00:00:02", "Mtu": 1500,
           "PrivateIpAddress": "10.0.0.2"},
          {"NetworkInterfaceId": "eni-3", "MacAddress": "02:00:00:00:00:03"}],
        "TrafficMirrorTargets": [
          {"TrafficMirrorTargetId": "tmt-1", "NetworkInterfaceId": "eni-2"},
          {"TrafficMirrorTargetId": "tmt-2",
           "GatewayLoadBalancerEndpointId": "vpce-0123456789abcdef0"}],
        "TrafficMirrorFilters": [
          {"TrafficMirrorFilterId": "tmf-1", "NetworkServices": ["amazon-dns"],
           "IngressFilterRules": [
             {"TrafficMirrorFilterRuleId": "tmfr-2", "RuleNumber": 200, "RuleAction": "reject",
              "SourceCidrBlock": "::/0", "DestinationCidrBlock": "2001:db8::/32"},
             {"TrafficMirrorFilterRuleId": "tmfr-1", "RuleNumber": 100, "RuleAction": "accept",
              "SourceCidrBlock": "0.0.0.0/0", "DestinationCidrBlock": "10.0.0.0/8", "Protocol": 6,
              "SourcePortRange": {"FromPort": 1024, "ToPort": 65535},
              "DestinationPortRange": {"FromPort": 80, "ToPort": 80}}]},
          {"TrafficMirrorFilterId": "tmf-2", "EgressFilterRules": [
             {"TrafficMirrorFilterRuleId": "tmfr-3", "RuleNumber": 1, "RuleAction": "accept",
              "SourceCidrBlock": "0.0.0.0/0", "DestinationCidrBlock": "0.0.0.0/0",
              "Protocol": 89}]}],
        "TrafficMirrorSessions": [)" +
              session("tms-2", "eni-1", "tmt-1", 7) + "," +
              session("tms-1", "eni-1", "tmt-1", 3, R"(, "PacketLength": 64)") + "]}")
            .account;
    TableSizes sizes{};
    sizes.interfaces = 1;
    sizes.slots = 1;
    sizes.filters = sizes.rules_per_direction = sizes.sessions = 2;
    const auto description = description_of(account, sizes);
    CHECK(description["Fits"] == false);
    CHECK(description_text(description) == R"(Interfaces
  eni-1 02:00:00:00:00:01 10.0.0.1 2001:db8::1, MTU 9001, resolver 10.0.0.2
    session 3 tms-1: what tmf-1 accepts goes to tmt-1 with VNI 7, from 10.0.0.1 to 10.0.0.2 (eni-2 02:00:00:00:00:02), at most 64 bytes of a frame, PacketLength 64, MTU 1500
    session 7 tms-2: what tmf-1 accepts goes to tmt-1 with VNI 7, from 10.0.0.1 to 10.0.0.2 (eni-2 02:00:00:00:00:02), at most 1464 bytes of a frame, MTU 1500
  eni-2 02:00:00:00:00:02 10.0.0.2, MTU 1500, resolver not known, target tmt-1
  1 more, neither source nor target
Filters
  tmf-1, used by 2 sessions, Amazon DNS accepted
    ingress 100 accept TCP from 0.0.0.0/0 port 1024-65535 to 10.0.0.0/8 port 80 (tmfr-1)
    ingress 200 reject any protocol from ::/0 to 2001:db8::/32 (tmfr-2)
    egress rejects everything else
  tmf-2, used by 0 sessions, Amazon DNS rejected
    ingress rejects everything else
    egress 1 accept protocol 89 from 0.0.0.0/0 to 0.0.0.0/0 (tmfr-3)
Targets
  tmt-1 = eni-2, used by 2 sessions, interfaces eni-2
  tmt-2 = vpce-0123456789abcdef0, used by 0 sessions, interfaces none that is configured
Tables
  interfaces with a session: 1 of 1
  sessions of one interface: 2 of 1, more than the device holds
  filters in use: 1 of 2
  rules of one direction of a filter: 2 of 2
  sessions: 2 of 2
)");
    sizes.slots = 2;
    CHECK(description_of(account, sizes)["Fits"] == true);
}

TEST_CASE("a file is read one element at a time: messages name the path, wherever they stop") {
    const auto message = [](const std::string& text) -> std::string {
        try {
            parse(text);
        } catch (const ConfigurationError& error) {
            return error.what();
        }
        return "";
    };
    const std::string good =
        R"({"NetworkInterfaceId": "eni-1", "MacAddress": "02:00:00:00:00:01"})";
    CHECK(message(R"({"NetworkInterfaces": [)" + good + R"(], "NetworkInterfaces": []})") ==
          "a.json: member \"NetworkInterfaces\" appears twice");
    CHECK(message(R"({"Other": {"a": [{}, {"b": 1, "b": 2}]}})") ==
          "a.json: Other.a[1]: member \"b\" appears twice");
    CHECK(message(R"({"Other": [[{"b": 1, "b": 2}]]})") ==
          "a.json: Other[0][0]: member \"b\" appears twice");
    CHECK(message(R"({"NetworkInterfaces": 5})") == "a.json: NetworkInterfaces: 5 is not a list");
    CHECK(message("[1]") == "a.json: [1] is not an object");
    CHECK(message("7") == "a.json: 7 is not an object");
    CHECK_THAT(message(R"({"NetworkInterfaces": [)" + good), Contains("a.json: line 1"));
    CHECK_THAT(message(R"({"NetworkInterfaces": [)" + good + "]} x"), Contains("a.json: line 1"));
    // Sixty-four levels, from the outermost on.
    const auto nested = [](int levels) {
        return R"({"Other": )" + std::string(std::size_t(levels - 1), '[') +
               std::string(std::size_t(levels - 1), ']') + "}";
    };
    CHECK(message(nested(64)) == "");
    CHECK(message(nested(65)) == "a.json: more than 64 levels of nesting");
}

TEST_CASE("members that are only shown are kept as one text, the later file's first") {
    const std::string name = R"("NetworkInterfaceId": "eni-1", "MacAddress": "02:00:00:00:00:01")";
    const auto account =
        parse_configuration(
            {{"a.json",
              R"({"NetworkInterfaces": [{)" + name + R"(, "Status": "available", "Groups": []}]})"},
             {"b.json", R"({"NetworkInterfaces": [{)" + name + R"(, "Status": "in-use"}]})"}})
            .account;
    const auto& interface = *account.interfaces().find("eni-1");
    CHECK(Json::parse(interface.shown) == Json{{"Groups", Json::array()}, {"Status", "in-use"}});
}

TEST_CASE("an interface with id, MAC, address and VPC takes few bytes") {
    CHECK(sizeof(NetworkInterface) <= 352);
}
