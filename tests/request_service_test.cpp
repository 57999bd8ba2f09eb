// SPDX-License-Identifier: Apache-2.0
#include "host/requests/request_service.hpp"

#include <set>

#include "catch.hpp"
#include "driver/mirror_device.hpp"
#include "host/configuration/configuration.hpp"

using namespace mirrornic;
using Catch::Matchers::Contains;

namespace {

/// Whether two states have the same of all that is not touched, as far as a test needs to tell.
bool same_but_for(const Touched& touched, const TableState& a, const TableState& b) {
    const auto left = [&](const TableState& state) {
        std::map<std::string, std::string> out;
        for (const auto& [id, session] : state.sessions)
            if (touched.interfaces.count(session.interface) == 0)
                out[id] = session.interface + session.filter + std::to_string(session.number) +
                          to_string(session.target_mac) + std::to_string(session.vni);
        for (const auto& [id, filter] : state.filters)
            if (touched.filters.count(id) == 0)
                out[id] = std::to_string(filter->ingress.size() + filter->egress.size()) +
                          (filter->amazon_dns ? "dns" : "");
        return out;
    };
    return left(a) == left(b);
}

/// Takes tables as a device of a given size does, and fails when told to.
struct FakePlane : Device {
    std::size_t room = 1000;
    bool fails = false;
    TableState in_force;
    int commits = 0, probes = 0, whole_plans = 0;
    Touched touched;  ///< of the last stage() that had it
    std::function<void()> before_stage = [] {}, before_commit = [] {}, before_probe = [] {};

    TableSizes sizes() const override { return {20, 3, 4, 16, std::uint32_t(room), 16}; }
    Staged stage(const TableState& desired, const Touched* may_differ) override {
        before_stage();
        if (may_differ) {
            touched = *may_differ;
            CHECK(same_but_for(touched, desired, in_force));
        } else {
            ++whole_plans;
        }
        if (desired.sessions.size() > room) throw TableFull("session", "no entry is free");
        std::map<std::string, int> slots;
        std::set<std::string> filters;
        for (const auto& [id, session] : desired.sessions) {
            if (++slots[session.interface] > 3) throw TableFull("slot", "no slot is free");
            filters.insert(session.filter);
            if (desired.filters.at(session.filter)->ingress.size() > 16)
                throw TableFull("filter rule", "17 ingress rules");
        }
        if (slots.size() > 20) throw TableFull("interface", "no index is free");
        if (filters.size() > 4) throw TableFull("filter", "no filter is free");
        return std::make_shared<const TableState>(desired);
    }
    void commit(const Staged& staged) override {
        before_commit();
        if (fails) throw std::runtime_error("the device does not answer");
        in_force = *std::static_pointer_cast<const TableState>(staged);
        ++commits;
    }
    void probe() override {
        before_probe();
        ++probes;
    }
};

struct FakeStore : MemoryStore {
    using MemoryStore::MemoryStore;
    int commits = 0;
    std::function<void()> before_commit = [] {}, before_look = [] {};
    void look(const Account&) override { before_look(); }
    void commit(const std::vector<Change>& changes) override {
        before_commit();
        MemoryStore::commit(changes);
        ++commits;
    }
};

/// eni-0..eni-29 with IPv4, eni-dual with both, eni-six with IPv6 alone, a load balancer's and an
/// endpoint's interface.
Account interfaces() {
    Json list = Json::array();
    const auto add = [&](const std::string& id, Json more) {
        char mac[18];
        std::snprintf(mac, sizeof mac, "02:00:00:00:00:%02x", unsigned(list.size()));
        more["NetworkInterfaceId"] = id;
        more["MacAddress"] = mac;
        list.push_back(more);
    };
    const Json v6 = Json::array({{{"Ipv6Address", "2001:db8::1"}}});
    for (int i = 0; i < 30; ++i)
        add("eni-" + std::to_string(i), {{"PrivateIpAddress", "10.0.0." + std::to_string(i + 1)}});
    add("eni-dual", {{"PrivateIpAddress", "10.0.1.1"}, {"Ipv6Addresses", v6}});
    add("eni-six", {{"Ipv6Addresses", v6}});
    add("eni-nlb",
        {{"PrivateIpAddress", "10.0.1.2"}, {"Description", "ELB net/m/50dc6c495c0c9188"}});
    add("eni-gwlb", {{"PrivateIpAddress", "10.0.1.3"},
                     {"Description", "VPC Endpoint Interface vpce-0123456789abcdef0"}});
    return parse_configuration({{"a.json", Json{{"NetworkInterfaces", list}}.dump()}}).account;
}

const std::string nlb =
    "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/net/m/50dc6c495c0c9188";

struct Bench {
    FakeStore store{interfaces()};
    FakePlane plane;
    std::chrono::system_clock::time_point now{std::chrono::hours(1000)};
    Settings settings;
    Requests requests;

    explicit Bench(Settings wanted = {})
        : settings([&] {
              wanted.now = [this] { return now; };
              return wanted;
          }()),
          requests(store.load(), store, plane, settings) {}

    Reply handle(const std::string& action, const Json& parameters) {
        return requests.handle({action, parameters});
    }
    /// The body of a request that succeeds.
    Json ask(const std::string& action, const Json& parameters = Json::object()) {
        const auto reply = handle(action, parameters);
        INFO(action << " " << parameters << " " << reply.code << ": " << reply.message);
        REQUIRE(reply.ok());
        CHECK(reply.status == 200);
        return reply.body;
    }
    /// The code of a request that fails, and that nothing changed by it.
    std::string error(const std::string& action, const Json& parameters) {
        const auto before = everything();
        const auto commits = store.commits, device = plane.commits;
        const auto reply = handle(action, parameters);
        CHECK(everything() == before);
        CHECK(store.commits == commits);
        CHECK(plane.commits == device);
        CHECK(reply.body == Json::object());
        if (!reply.ok()) CHECK_FALSE(reply.message.empty());
        message = reply.message;
        return reply.code;
    }
    Json everything() {
        Json all;
        for (const char* what : {"Sessions", "Targets", "Filters", "FilterRules"})
            all[what] = ask(std::string("DescribeTrafficMirror") + what);
        all["Tags"] = ask("DescribeTags");
        all["tables"] = requests.tables().sessions.size() * 1000 + requests.tables().filters.size();
        return all;
    }
    std::string target(const Json& parameters = {{"NetworkInterfaceId", "eni-0"}}) {
        return ask("CreateTrafficMirrorTarget",
                   parameters)["TrafficMirrorTarget"]["TrafficMirrorTargetId"];
    }
    std::string filter() {
        return ask("CreateTrafficMirrorFilter")["TrafficMirrorFilter"]["TrafficMirrorFilterId"];
    }
    Json rule(const std::string& filter, int number, const Json& more = Json::object()) {
        Json p = {{"TrafficMirrorFilterId", filter},
                  {"TrafficDirection", "ingress"},
                  {"RuleNumber", number},
                  {"RuleAction", "accept"},
                  {"SourceCidrBlock", "0.0.0.0/0"},
                  {"DestinationCidrBlock", "0.0.0.0/0"}};
        p.update(more);
        return p;
    }
    std::string create_rule(const std::string& filter, int number,
                            const Json& more = Json::object()) {
        return ask(
            "CreateTrafficMirrorFilterRule",
            rule(filter, number, more))["TrafficMirrorFilterRule"]["TrafficMirrorFilterRuleId"];
    }
    Json session(const std::string& interface, const std::string& target, const std::string& filter,
                 int number, const Json& more = Json::object()) {
        Json p = {{"NetworkInterfaceId", interface},
                  {"TrafficMirrorTargetId", target},
                  {"TrafficMirrorFilterId", filter},
                  {"SessionNumber", number}};
        p.update(more);
        return p;
    }
    std::string create_session(const std::string& interface, const std::string& target,
                               const std::string& filter, int number,
                               const Json& more = Json::object()) {
        return ask("CreateTrafficMirrorSession",
                   session(interface, target, filter, number,
                           more))["TrafficMirrorSession"]["TrafficMirrorSessionId"];
    }
    Json described(const std::string& what, const Json& parameters) {
        return ask("DescribeTrafficMirror" + what, parameters)["TrafficMirror" + what];
    }

    std::string message;  ///< of the last error()
};

Json tags(const Json& pairs) {
    Json out = Json::array();
    for (const auto& [key, value] : pairs.items()) out.push_back({{"Key", key}, {"Value", value}});
    return out;
}

Json specification(const std::string& type, const Json& pairs) {
    return {{"TagSpecifications", Json::array({{{"ResourceType", type}, {"Tags", tags(pairs)}}})}};
}

Json filters(const std::string& name, const std::vector<std::string>& values) {
    return {{"Filters", Json::array({{{"Name", name}, {"Values", values}}})}};
}

bool is_new_id(const std::string& id, const std::string& prefix) {
    return id.size() == prefix.size() + 17 && id.compare(0, prefix.size(), prefix) == 0 &&
           id.find_first_not_of("0123456789abcdef", prefix.size()) == std::string::npos;
}

}  // namespace

TEST_CASE("S1 S10 a life cycle of all objects has the replies of the AWS CLI") {
    Bench b;
    const auto target = b.ask(
        "CreateTrafficMirrorTarget",
        {{"NetworkInterfaceId", "eni-0"}, {"Description", "collector"}, {"ClientToken", "t-1"}});
    const std::string tmt = target["TrafficMirrorTarget"]["TrafficMirrorTargetId"];
    CHECK(is_new_id(tmt, "tmt-"));
    CHECK(target == Json{{"TrafficMirrorTarget",
                          {{"TrafficMirrorTargetId", tmt},
                           {"NetworkInterfaceId", "eni-0"},
                           {"Type", "network-interface"},
                           {"Description", "collector"},
                           {"OwnerId", "000000000000"},
                           {"Tags", Json::array()}}},
                         {"ClientToken", "t-1"}});

    const auto filter = b.ask("CreateTrafficMirrorFilter",
                              specification("traffic-mirror-filter", {{"team", "net"}}));
    const std::string tmf = filter["TrafficMirrorFilter"]["TrafficMirrorFilterId"];
    CHECK(is_new_id(tmf, "tmf-"));
    CHECK(filter == Json{{"TrafficMirrorFilter",
                          {{"TrafficMirrorFilterId", tmf},
                           {"IngressFilterRules", Json::array()},
                           {"EgressFilterRules", Json::array()},
                           {"NetworkServices", Json::array()},
                           {"Tags", tags({{"team", "net"}})}}}});

    const auto rule = b.ask("CreateTrafficMirrorFilterRule",
                            b.rule(tmf, 100,
                                   {{"Protocol", 6},
                                    {"SourceCidrBlock", "10.1.2.3/8"},
                                    {"DestinationPortRange", {{"FromPort", 80}, {"ToPort", 81}}}}));
    const std::string tmfr = rule["TrafficMirrorFilterRule"]["TrafficMirrorFilterRuleId"];
    CHECK(is_new_id(tmfr, "tmfr-"));
    const Json shown_rule = {{"TrafficMirrorFilterRuleId", tmfr},
                             {"TrafficMirrorFilterId", tmf},
                             {"TrafficDirection", "ingress"},
                             {"RuleNumber", 100},
                             {"RuleAction", "accept"},
                             {"Protocol", 6},
                             {"DestinationPortRange", {{"FromPort", 80}, {"ToPort", 81}}},
                             {"SourceCidrBlock", "10.0.0.0/8"},
                             {"DestinationCidrBlock", "0.0.0.0/0"},
                             {"Tags", Json::array()}};
    CHECK(rule == Json{{"TrafficMirrorFilterRule", shown_rule}});

    const auto modified =
        b.ask("ModifyTrafficMirrorFilterNetworkServices",
              {{"TrafficMirrorFilterId", tmf}, {"AddNetworkServices", {"amazon-dns"}}});
    CHECK(modified["TrafficMirrorFilter"]["NetworkServices"] == Json::array({"amazon-dns"}));
    CHECK(modified["TrafficMirrorFilter"]["IngressFilterRules"] == Json::array({shown_rule}));

    const auto session = b.ask("CreateTrafficMirrorSession",
                               b.session("eni-1", tmt, tmf, 1, {{"VirtualNetworkId", 4711}}));
    const std::string tms = session["TrafficMirrorSession"]["TrafficMirrorSessionId"];
    CHECK(is_new_id(tms, "tms-"));
    const Json shown_session = {{"TrafficMirrorSessionId", tms}, {"TrafficMirrorTargetId", tmt},
                                {"TrafficMirrorFilterId", tmf},  {"NetworkInterfaceId", "eni-1"},
                                {"OwnerId", "000000000000"},     {"SessionNumber", 1},
                                {"VirtualNetworkId", 4711},      {"Tags", Json::array()}};
    CHECK(session == Json{{"TrafficMirrorSession", shown_session}});
    CHECK(b.ask("DescribeTrafficMirrorSessions") ==
          Json{{"TrafficMirrorSessions", Json::array({shown_session})}});
    CHECK(b.plane.in_force.sessions.at(tms).vni == 4711);
    CHECK(b.plane.in_force.filters.at(tmf)->amazon_dns);
    CHECK(b.plane.in_force.filters.at(tmf)->ingress.at(0).id == tmfr);

    // A rule's Modify shows no empty tag list.
    Json without_tags = shown_rule;
    without_tags.erase("Tags");
    without_tags["RuleNumber"] = 7;
    CHECK(b.ask("ModifyTrafficMirrorFilterRule",
                {{"TrafficMirrorFilterRuleId", tmfr}, {"RuleNumber", 7}}) ==
          Json{{"TrafficMirrorFilterRule", without_tags}});

    CHECK(b.ask("DeleteTrafficMirrorSession", {{"TrafficMirrorSessionId", tms}}) ==
          Json{{"TrafficMirrorSessionId", tms}});
    CHECK(b.plane.in_force.sessions.empty());
    CHECK(b.plane.in_force.interfaces.empty());
    CHECK(b.ask("DeleteTrafficMirrorFilterRule", {{"TrafficMirrorFilterRuleId", tmfr}}) ==
          Json{{"TrafficMirrorFilterRuleId", tmfr}});
    CHECK(b.plane.in_force.filters.at(tmf)->ingress.empty());
    CHECK(b.ask("DeleteTrafficMirrorTarget", {{"TrafficMirrorTargetId", tmt}}) ==
          Json{{"TrafficMirrorTargetId", tmt}});
    CHECK(b.ask("DeleteTrafficMirrorFilter", {{"TrafficMirrorFilterId", tmf}}) ==
          Json{{"TrafficMirrorFilterId", tmf}});
    for (const char* what : {"Sessions", "Targets", "Filters", "FilterRules"})
        CHECK(b.described(what, Json::object()) == Json::array());
}

TEST_CASE("S7 every action of the table is carried out, and no other is known") {
    Bench b;
    REQUIRE(actions().size() > 20);
    for (const auto& action : actions()) {
        INFO(action.name);
        Json p = Json::object();
        for (const auto& parameter : action.parameters)
            if (parameter.required)
                p[parameter.name] =
                    parameter.type == ParameterType::integer           ? Json(1)
                    : parameter.name == "Tags"                         ? tags({{"a", "b"}})
                    : parameter.type == ParameterType::string_list     ? Json::array({"tms-0"})
                    : !parameter.values.empty()                        ? Json(parameter.values[0])
                    : parameter.name.find("Cidr") != std::string::npos ? Json("::/0")
                                                                       : Json("x");
        const auto code = b.handle(action.name, p).code;
        CHECK(code != "InternalError");
        CHECK(code != "InvalidAction");
        CHECK(code != "MissingParameter");
    }
    CHECK(b.error("CreateVpc", Json::object()) == "InvalidAction");
    CHECK(b.error("", Json::object()) == "MissingAction");
}

TEST_CASE("S7 a parameter that is unknown, unsupported, missing or of a wrong type has its code") {
    Bench b;
    const auto filter = b.filter();
    CHECK(b.error("CreateTrafficMirrorFilter", {{"Name", "x"}}) == "UnknownParameter");
    CHECK(b.error("CreateTrafficMirrorFilterRule",
                  b.rule(filter, 1, {{"SourcePortRange", {{"Port", 1}}}})) == "UnknownParameter");
    CHECK_THAT(b.message, Contains("SourcePortRange.Port"));
    CHECK(b.error("DeleteTrafficMirrorFilter", Json::object()) == "MissingParameter");
    CHECK_THAT(b.message, Contains("TrafficMirrorFilterId"));
    for (const char* name : {"TrafficMirrorFilterId", "TrafficDirection", "RuleNumber",
                             "RuleAction", "SourceCidrBlock", "DestinationCidrBlock"}) {
        auto p = b.rule(filter, 1);
        p.erase(name);
        CHECK(b.error("CreateTrafficMirrorFilterRule", p) == "MissingParameter");
    }
    CHECK(b.error("CreateTrafficMirrorFilterRule",
                  b.rule(filter, 1, {{"Protocol", 6}, {"SourcePortRange", {{"FromPort", 1}}}})) ==
          "MissingParameter");
    CHECK_THAT(b.message, Contains("SourcePortRange.ToPort"));
    CHECK(b.error("CreateTags", {{"Resources", {filter}}, {"Tags", Json::array()}}) ==
          "MissingParameter");
    for (const Json& value : {Json("1"), Json(1.5), Json(nullptr), Json(true), Json(Json::array())})
        CHECK(b.error("CreateTrafficMirrorFilterRule",
                      b.rule(filter, 1, {{"RuleNumber", value}})) == "InvalidParameterValue");
    CHECK(b.error("DeleteTrafficMirrorFilter", {{"TrafficMirrorFilterId", 7}}) ==
          "InvalidParameterValue");
    CHECK(b.error("CreateTrafficMirrorFilter", {{"DryRun", "true"}}) == "InvalidParameterValue");
    CHECK(b.error("CreateTrafficMirrorFilter", {{"TagSpecifications", "x"}}) ==
          "InvalidParameterValue");
    CHECK(b.error("CreateTrafficMirrorFilter", Json::array()) == "InvalidParameterValue");
    // Empty lists and structures never reach the wire.
    CHECK(b.ask("DescribeTrafficMirrorFilters",
                {{"TrafficMirrorFilterIds", Json::array()}})["TrafficMirrorFilters"]
              .size() == 1);
    b.create_rule(filter, 1, {{"SourcePortRange", Json::object()}});

    CHECK(b.error("DescribeNetworkInterfaces", {{"IncludeManagedResources", true}}) ==
          "UnsupportedOperation");
    CHECK_THAT(b.message, Contains("IncludeManagedResources"));
    Action action{"Test", {{"New", ParameterType::string, false, false}}};
    CHECK_THROWS_WITH(checked_parameters(action, {{"New", "x"}}), "New is not supported");
    try {
        checked_parameters(action, {{"New", "x"}});
        FAIL("nothing was thrown");
    } catch (const RequestError& error) {
        CHECK(error.code == ErrorCode::unsupported_operation);
    }
}

TEST_CASE("S1 numbers have their ranges, both ends included") {
    Bench b;
    const auto target = b.target(), filter = b.filter();
    struct Range {
        const char* name;
        std::int64_t minimum, maximum;
    };
    for (const auto& [name, minimum, maximum] :
         {Range{"SessionNumber", 1, 32766}, Range{"PacketLength", 1, 8500},
          Range{"VirtualNetworkId", 0, 16777215}}) {
        for (const Json& bad :
             {Json(minimum - 1), Json(maximum + 1), Json(-1), Json(18446744073709551615u)}) {
            CHECK(b.error("CreateTrafficMirrorSession",
                          b.session("eni-1", target, filter, 1, {{name, bad}})) ==
                  "InvalidParameterValue");
            CHECK_THAT(b.message, Contains(std::string(name) + ": " + bad.dump()));
        }
        for (const auto good : {minimum, maximum}) {
            const auto id = b.create_session("eni-1", target, filter, 5, {{name, good}});
            CHECK(b.described("Sessions", {{"TrafficMirrorSessionIds", {id}}})[0][name] == good);
            b.ask("DeleteTrafficMirrorSession", {{"TrafficMirrorSessionId", id}});
        }
    }
    for (const auto& [name, minimum, maximum] :
         {Range{"RuleNumber", 1, 32766}, Range{"Protocol", 0, 255}}) {
        for (const auto bad : {minimum - 1, maximum + 1})
            CHECK(b.error("CreateTrafficMirrorFilterRule", b.rule(filter, 1, {{name, bad}})) ==
                  "InvalidParameterValue");
        for (const auto good : {minimum, maximum})
            b.ask("DeleteTrafficMirrorFilterRule",
                  {{"TrafficMirrorFilterRuleId", b.create_rule(filter, 9, {{name, good}})}});
    }
    for (const auto bad : {-1, 65536})
        CHECK(b.error("CreateTrafficMirrorFilterRule",
                      b.rule(filter, 1,
                             {{"Protocol", 17},
                              {"SourcePortRange", {{"FromPort", bad}, {"ToPort", 65535}}}})) ==
              "InvalidParameterValue");
    b.create_rule(filter, 1,
                  {{"Protocol", 17}, {"SourcePortRange", {{"FromPort", 0}, {"ToPort", 65535}}}});
}

TEST_CASE("S1 strings are UTF-8 of XML 1.0 characters, and not too long") {
    Bench b;
    const auto create = [&](const std::string& text) {
        return b.error("CreateTrafficMirrorFilter", {{"Description", text}, {"DryRun", true}});
    };
    const std::string e_acute = "\xc3\xa9";
    std::string longest;
    for (int i = 0; i < 255; ++i) longest += e_acute;
    CHECK(create(longest) == "DryRunOperation");
    CHECK(create(longest + "x") == "InvalidParameterValue");
    CHECK(create("tab\t newline\n \xf0\x9f\x98\x80 \xef\xbf\xbd") == "DryRunOperation");
    for (const char* bad :
         {"\x01", "\x1f", "\xff", "\xc3", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80",
          "\xf4\x90\x80\x80", "\xf0\x80\x80\x80", "\xef\xbf\xbe", "\xef\xbf\xbf", "a\x80", "\xc3("})
        CHECK(create(bad) == "InvalidParameterValue");
    CHECK(create(std::string("a\0b", 3)) == "InvalidParameterValue");
    CHECK(b.error("DeleteTrafficMirrorFilter", {{"TrafficMirrorFilterId", "\xff"}}) ==
          "InvalidParameterValue");
}

TEST_CASE("S1 a VNI that is not given is drawn, and unlike any other session's") {
    Bench b;
    const auto target = b.target(), filter = b.filter();
    std::set<int> seen;
    for (int i = 1; i <= 9; ++i) {
        const auto id = b.create_session("eni-" + std::to_string(i), target, filter, 1);
        seen.insert(
            b.described("Sessions", {{"TrafficMirrorSessionIds", {id}}})[0]["VirtualNetworkId"]
                .get<int>());
    }
    CHECK(seen.size() == 9);
    CHECK(*seen.rbegin() <= 0xffffff);
    // What a caller chooses may be another's (ours).
    b.create_session("eni-1", target, filter, 2, {{"VirtualNetworkId", *seen.begin()}});
    const auto id =
        b.create_session("eni-2", target, filter, 2, {{"VirtualNetworkId", *seen.begin()}});
    const auto drawn = b.ask("ModifyTrafficMirrorSession",
                             {{"TrafficMirrorSessionId", id},
                              {"RemoveFields", {"virtual-network-id"}}})["TrafficMirrorSession"];
    CHECK_FALSE(seen.count(drawn["VirtualNetworkId"]));
}

TEST_CASE("S8 equal seeds give equal ids and VNIs, and a request that fails draws none") {
    const auto play = [](std::uint64_t seed, bool failures) {
        Settings settings;
        settings.seed = seed;
        Bench b(settings);
        const auto target = b.target(), filter = b.filter();
        if (failures) {
            b.error("CreateTrafficMirrorFilter", {{"DryRun", true}});
            b.error("CreateTrafficMirrorSession", b.session("eni-0", target, filter, 1));
        }
        b.create_session("eni-1", target, filter, 1);
        return b.everything();
    };
    CHECK(play(1, false) == play(1, false));
    CHECK(play(1, false) == play(1, true));
    CHECK(play(1, false) != play(2, false));
}

TEST_CASE("S1 an absent packet length is 8500 while the target is a network load balancer") {
    Bench b;
    const auto eni = b.target(), balancer = b.target({{"NetworkLoadBalancerArn", nlb}}),
               filter = b.filter();
    const auto id = b.create_session("eni-1", balancer, filter, 1);
    const auto shows = [&](const Json& change) {
        Json p = {{"TrafficMirrorSessionId", id}};
        p.update(change);
        const auto reply = b.ask("ModifyTrafficMirrorSession", p)["TrafficMirrorSession"];
        const auto entry = b.plane.in_force.sessions.at(id);
        CHECK(reply.value("PacketLength", 0) == entry.packet_length.value_or(0));
        return reply.value("PacketLength", 0);
    };
    CHECK(shows(Json::object()) == 8500);
    CHECK(shows({{"TrafficMirrorTargetId", eni}}) == 0);
    CHECK(shows({{"TrafficMirrorTargetId", balancer}}) == 8500);
    CHECK(shows({{"PacketLength", 100}}) == 100);
    CHECK(shows({{"TrafficMirrorTargetId", eni}}) == 100);
    CHECK(shows({{"RemoveFields", {"packet-length"}}}) == 0);
    CHECK(shows({{"TrafficMirrorTargetId", balancer}}) == 8500);
    CHECK(b.described("Sessions", filters("packet-length", {"8500"})).size() == 1);
}

TEST_CASE("S2 a rule has CIDRs of one IP version and ports with TCP or UDP alone") {
    Bench b;
    const auto filter = b.filter();
    const Json ports = {{"FromPort", 80}, {"ToPort", 80}};
    const auto create = [&](const Json& more) {
        return b.error("CreateTrafficMirrorFilterRule", b.rule(filter, 1, more));
    };
    CHECK(create({{"SourceCidrBlock", "::/0"}}) == "InvalidParameterValue");
    CHECK(create({{"SourceCidrBlock", "10.0.0.0"}}) == "InvalidParameterValue");
    CHECK_THAT(b.message, Contains("SourceCidrBlock: \"10.0.0.0\""));
    CHECK(create({{"TrafficDirection", "both"}}) == "InvalidParameterValue");
    CHECK(create({{"RuleAction", "drop"}}) == "InvalidParameterValue");
    CHECK(create({{"SourcePortRange", ports}}) == "InvalidParameterCombination");
    CHECK(create({{"SourcePortRange", ports}, {"Protocol", 1}}) == "InvalidParameterCombination");
    CHECK(create({{"SourcePortRange", {{"FromPort", 2}, {"ToPort", 1}}}, {"Protocol", 6}}) ==
          "InvalidParameterValue");

    const auto id = b.create_rule(
        filter, 1, {{"Protocol", 6}, {"SourcePortRange", ports}, {"Description", "web"}});
    const auto modify = [&](const Json& more) {
        Json p = {{"TrafficMirrorFilterRuleId", id}};
        p.update(more);
        return p;
    };
    const auto modify_error = [&](const Json& more) {
        return b.error("ModifyTrafficMirrorFilterRule", modify(more));
    };
    CHECK(modify_error({{"SourceCidrBlock", "::/0"}}) == "InvalidParameterValue");
    CHECK(modify_error({{"Protocol", 1}}) == "InvalidParameterCombination");
    CHECK(modify_error({{"RemoveFields", {"protocol"}}}) == "InvalidParameterCombination");
    CHECK(modify_error({{"DestinationPortRange", ports}}) == "InvalidParameterCombination");
    CHECK_THAT(b.message, Contains("in the same request"));
    for (const auto& [field, member, value] :
         {std::tuple{"description", "Description", Json("x")},
          std::tuple{"protocol", "Protocol", Json(6)},
          std::tuple{"source-port-range", "SourcePortRange", ports},
          std::tuple{"destination-port-range", "DestinationPortRange", ports}})
        CHECK(modify_error({{member, value}, {"RemoveFields", {field}}, {"Protocol", 6}}) ==
              "InvalidParameterCombination");
    CHECK(modify_error({{"RemoveFields", {"rule-number"}}}) == "InvalidParameterValue");

    const auto both = b.ask("ModifyTrafficMirrorFilterRule",
                            modify({{"SourceCidrBlock", "2001:DB8::5/33"},
                                    {"DestinationCidrBlock", "::/0"},
                                    {"DestinationPortRange", ports},
                                    {"Protocol", 17}}))["TrafficMirrorFilterRule"];
    CHECK(both["SourceCidrBlock"] == "2001:db8::/33");
    CHECK(both["SourcePortRange"] == ports);
    CHECK(both["DestinationPortRange"] == ports);
    const auto bare = b.ask("ModifyTrafficMirrorFilterRule",
                            modify({{"RemoveFields",
                                     {"protocol", "source-port-range", "destination-port-range",
                                      "description"}}}))["TrafficMirrorFilterRule"];
    for (const char* name : {"Protocol", "SourcePortRange", "DestinationPortRange", "Description"})
        CHECK_FALSE(bare.contains(name));
}

TEST_CASE("S1 a rule number is taken once in its filter and direction") {
    Bench b;
    const auto filter = b.filter(), other = b.filter();
    b.create_rule(filter, 1);
    b.create_rule(other, 1);
    const auto egress = b.create_rule(filter, 1, {{"TrafficDirection", "egress"}});
    CHECK(b.error("CreateTrafficMirrorFilterRule", b.rule(filter, 1)) ==
          "TrafficMirrorFilterRuleAlreadyExists");
    CHECK(b.error("ModifyTrafficMirrorFilterRule",
                  {{"TrafficMirrorFilterRuleId", egress}, {"TrafficDirection", "ingress"}}) ==
          "TrafficMirrorFilterRuleAlreadyExists");
    b.ask("ModifyTrafficMirrorFilterRule", {{"TrafficMirrorFilterRuleId", egress},
                                            {"TrafficDirection", "ingress"},
                                            {"RuleNumber", 2}});
    b.ask("ModifyTrafficMirrorFilterRule",
          {{"TrafficMirrorFilterRuleId", egress}, {"RuleNumber", 2}});
}

TEST_CASE(
    "S3 the fourth session of an interface is refused with "
    "TrafficMirrorSessionsPerInterfaceLimitExceeded") {
    Bench b;
    const auto target = b.target(), filter = b.filter();
    for (int number = 1; number <= 3; ++number) b.create_session("eni-1", target, filter, number);
    CHECK(b.error("CreateTrafficMirrorSession", b.session("eni-1", target, filter, 4)) ==
          "TrafficMirrorSessionsPerInterfaceLimitExceeded");
    b.create_session("eni-2", target, filter, 4);
}

TEST_CASE("S3 the eleventh source of an interface target is refused, on Modify too") {
    Bench b;
    const auto target = b.target(), other = b.target({{"NetworkInterfaceId", "eni-29"}}),
               filter = b.filter();
    std::string only;  // the one session of its source
    for (int i = 1; i <= 10; ++i)
        only = b.create_session("eni-" + std::to_string(i), target, filter, 1);
    b.create_session("eni-1", target, filter, 2);  // no new source
    CHECK(b.error("CreateTrafficMirrorSession", b.session("eni-11", target, filter, 1)) ==
          "TrafficMirrorSourcesPerTargetLimitExceeded");
    const auto moving = b.create_session("eni-11", other, filter, 1);
    CHECK(b.error("ModifyTrafficMirrorSession",
                  {{"TrafficMirrorSessionId", moving}, {"TrafficMirrorTargetId", target}}) ==
          "TrafficMirrorSourcesPerTargetLimitExceeded");
    const auto known = b.create_session("eni-2", other, filter, 2);
    b.ask("ModifyTrafficMirrorSession",
          {{"TrafficMirrorSessionId", known}, {"TrafficMirrorTargetId", target}});
    // A second target that is the same interface has the same sources.
    const auto twin = b.target();
    CHECK(b.error("CreateTrafficMirrorSession", b.session("eni-12", twin, filter, 1)) ==
          "TrafficMirrorSourcesPerTargetLimitExceeded");
    // A session that stays with its target is no new source, however many there are.
    auto strict = b.settings;
    strict.quotas.sources_per_target = 1;
    FakePlane apart;
    Requests restarted(b.store.load(), b.store, apart, strict);
    CHECK(restarted
              .handle({"ModifyTrafficMirrorSession",
                       {{"TrafficMirrorSessionId", only}, {"SessionNumber", 3}}})
              .ok());
    // A load balancer takes any number.
    const auto balancer = b.target({{"NetworkLoadBalancerArn", nlb}});
    for (int i = 1; i <= 11; ++i) b.create_session("eni-" + std::to_string(i), balancer, filter, 9);
}

TEST_CASE("S3 the other quotas are settings and have codes of their own") {
    Settings settings;
    for (const char* quota : {"sessions=2", "targets=3", "filters=2", "rules-per-filter=4",
                              "sources-per-target=1", "sessions-per-interface=1"})
        settings.quotas.set(quota);
    Bench b(settings);
    const auto target = b.target(), second = b.target({{"NetworkInterfaceId", "eni-9"}}),
               third = b.target({{"NetworkInterfaceId", "eni-8"}});
    CHECK(b.error("CreateTrafficMirrorTarget", {{"NetworkInterfaceId", "eni-7"}}) ==
          "TrafficMirrorTargetLimitExceeded");
    const auto filter = b.filter();
    b.filter();
    CHECK(b.error("CreateTrafficMirrorFilter", Json::object()) ==
          "TrafficMirrorFilterLimitExceeded");
    b.create_session("eni-1", target, filter, 1);
    CHECK(b.error("CreateTrafficMirrorSession", b.session("eni-1", second, filter, 2)) ==
          "TrafficMirrorSessionsPerInterfaceLimitExceeded");
    CHECK(b.error("CreateTrafficMirrorSession", b.session("eni-2", target, filter, 1)) ==
          "TrafficMirrorSourcesPerTargetLimitExceeded");
    b.create_session("eni-2", second, filter, 1);
    CHECK(b.error("CreateTrafficMirrorSession", b.session("eni-3", third, filter, 1)) ==
          "TrafficMirrorSessionLimitExceeded");
    for (int i = 1; i <= 4; ++i)
        b.create_rule(filter, i, {{"TrafficDirection", i % 2 ? "ingress" : "egress"}});
    CHECK(b.error("CreateTrafficMirrorFilterRule", b.rule(filter, 5)) ==
          "TrafficMirrorFilterRuleLimitExceeded");
    Quotas quotas;
    CHECK(quotas.rules_per_filter == 10);
    CHECK(quotas.sessions == 10000);
    CHECK_THROWS_WITH(quotas.set("vpcs=1"),
                      "no quota is named \"vpcs\"; there are sessions-per-interface, "
                      "sources-per-target, rules-per-filter, sessions, targets, filters");
    for (const char* bad : {"sessions", "sessions=", "sessions=-1", "sessions=x", "sessions=1e3"})
        CHECK_THROWS_AS(quotas.set(bad), std::invalid_argument);
}

TEST_CASE("S3 a full table of the device is a limit error that names the table") {
    Settings settings;
    settings.quotas.set("sessions-per-interface=9");
    settings.quotas.set("rules-per-filter=99");
    Bench b(settings);
    const auto target = b.target({{"NetworkLoadBalancerArn", nlb}}), filter = b.filter();
    b.plane.room = 4;
    for (int i = 1; i <= 3; ++i) b.create_session("eni-1", target, filter, i);
    CHECK(b.error("CreateTrafficMirrorSession", b.session("eni-1", target, filter, 4)) ==
          "TrafficMirrorSessionsPerInterfaceLimitExceeded");
    CHECK_THAT(b.message, Contains("slot table is full"));
    b.create_session("eni-2", target, filter, 1);
    CHECK(b.error("CreateTrafficMirrorSession", b.session("eni-3", target, filter, 1)) ==
          "TrafficMirrorSessionLimitExceeded");
    CHECK_THAT(b.message, Contains("session table is full"));
    // A dry run finds it too.
    CHECK(b.error("CreateTrafficMirrorSession",
                  b.session("eni-3", target, filter, 1, {{"DryRun", true}})) ==
          "TrafficMirrorSessionLimitExceeded");
    b.plane.room = 100;
    for (int i = 1; i <= 16; ++i) b.create_rule(filter, i);
    CHECK(b.error("CreateTrafficMirrorFilterRule", b.rule(filter, 17)) ==
          "TrafficMirrorFilterRuleLimitExceeded");
    CHECK_THAT(b.message, Contains("filter rule table is full"));
    for (int i = 3; i <= 5; ++i)
        b.create_session("eni-" + std::to_string(i), target, b.filter(), 1);
    CHECK(b.error("CreateTrafficMirrorSession", b.session("eni-6", target, b.filter(), 1)) ==
          "TrafficMirrorFilterLimitExceeded");
    for (int i = 6; i <= 20; ++i) b.create_session("eni-" + std::to_string(i), target, filter, 1);
    CHECK(b.error("CreateTrafficMirrorSession", b.session("eni-21", target, filter, 1)) ==
          "TrafficMirrorSessionLimitExceeded");
    CHECK_THAT(b.message, Contains("interface table is full"));
    // A filter that no session uses takes no space.
    const auto unused = b.filter();
    for (int i = 1; i <= 20; ++i) b.create_rule(unused, i);
}

TEST_CASE("S4 an interface that is a target cannot be a source, and the other way round") {
    Bench b;
    const auto target = b.target(), balancer = b.target({{"NetworkLoadBalancerArn", nlb}}),
               filter = b.filter();
    CHECK(b.error("CreateTrafficMirrorSession", b.session("eni-0", balancer, filter, 1)) ==
          "InvalidParameterValue");
    CHECK(b.error("CreateTrafficMirrorSession", b.session("eni-nlb", target, filter, 1)) ==
          "InvalidParameterValue");
    b.create_session("eni-1", target, filter, 1);
    CHECK(b.error("CreateTrafficMirrorTarget", {{"NetworkInterfaceId", "eni-1"}}) ==
          "InvalidParameterValue");
    b.create_session("eni-gwlb", target, filter, 1);
    CHECK(b.error("CreateTrafficMirrorTarget",
                  {{"GatewayLoadBalancerEndpointId", "vpce-0123456789abcdef0"}}) ==
          "InvalidParameterValue");
}

TEST_CASE("S4 what a session uses cannot be deleted, and a filter takes its rules along") {
    Bench b;
    const auto target = b.target(), filter = b.filter();
    b.create_rule(filter, 1);
    b.create_rule(filter, 2);
    const auto session = b.create_session("eni-1", target, filter, 1);
    CHECK(b.error("DeleteTrafficMirrorFilter", {{"TrafficMirrorFilterId", filter}}) ==
          "TrafficMirrorFilterInUse");
    CHECK(b.error("DeleteTrafficMirrorTarget", {{"TrafficMirrorTargetId", target}}) ==
          "TrafficMirrorTargetInUseException");
    b.ask("DeleteTrafficMirrorSession", {{"TrafficMirrorSessionId", session}});
    b.ask("DeleteTrafficMirrorTarget", {{"TrafficMirrorTargetId", target}});
    b.ask("DeleteTrafficMirrorFilter", {{"TrafficMirrorFilterId", filter}});
    CHECK(b.described("FilterRules", Json::object()) == Json::array());
    CHECK(b.requests.tables().filters.empty());
}

TEST_CASE("S4 what a session has given up can be deleted") {
    Bench b;
    const auto target = b.target(), filter = b.filter(), other_filter = b.filter(),
               other_target = b.target({{"NetworkInterfaceId", "eni-9"}});
    const auto session = b.create_session("eni-1", target, filter, 1);
    b.ask("ModifyTrafficMirrorSession", {{"TrafficMirrorSessionId", session},
                                         {"TrafficMirrorTargetId", other_target},
                                         {"TrafficMirrorFilterId", other_filter}});
    CHECK(b.error("DeleteTrafficMirrorFilter", {{"TrafficMirrorFilterId", other_filter}}) ==
          "TrafficMirrorFilterInUse");
    CHECK(b.error("DeleteTrafficMirrorTarget", {{"TrafficMirrorTargetId", other_target}}) ==
          "TrafficMirrorTargetInUseException");
    b.ask("DeleteTrafficMirrorTarget", {{"TrafficMirrorTargetId", target}});
    b.ask("DeleteTrafficMirrorFilter", {{"TrafficMirrorFilterId", filter}});
    // And an interface that is no target any more can be a source.
    b.create_session("eni-0", other_target, other_filter, 1);
}

TEST_CASE("S4 two sessions of one interface cannot share a number") {
    Bench b;
    const auto target = b.target(), filter = b.filter();
    b.create_session("eni-1", target, filter, 1);
    const auto second = b.create_session("eni-1", target, filter, 2);
    b.create_session("eni-2", target, filter, 1);
    b.create_session("eni-1", target, filter, 3);
    // State comes before quota.
    CHECK(b.error("CreateTrafficMirrorSession", b.session("eni-1", target, filter, 1)) ==
          "InvalidParameterValue");
    CHECK(b.error("ModifyTrafficMirrorSession", {{"TrafficMirrorSessionId", second},
                                                 {"SessionNumber", 1}}) == "InvalidParameterValue");
    b.ask("ModifyTrafficMirrorSession", {{"TrafficMirrorSessionId", second}, {"SessionNumber", 2}});
    b.ask("ModifyTrafficMirrorSession", {{"TrafficMirrorSessionId", second}, {"SessionNumber", 9}});
    CHECK(b.plane.in_force.sessions.at(second).number == 9);
}

TEST_CASE("S4 a source and a target need an IP version in common") {
    Bench b;
    const auto four = b.target(), six = b.target({{"NetworkInterfaceId", "eni-six"}}),
               filter = b.filter();
    CHECK(b.error("CreateTrafficMirrorSession", b.session("eni-1", six, filter, 1)) ==
          "InvalidParameterValue");
    const auto id = b.create_session("eni-dual", six, filter, 1);
    CHECK(b.plane.in_force.sessions.at(id).target_address.v6);
    b.ask("ModifyTrafficMirrorSession",
          {{"TrafficMirrorSessionId", id}, {"TrafficMirrorTargetId", four}});
    CHECK_FALSE(b.plane.in_force.sessions.at(id).target_address.v6);
    const auto plain = b.create_session("eni-2", four, filter, 1);
    CHECK(b.error("ModifyTrafficMirrorSession",
                  {{"TrafficMirrorSessionId", plain}, {"TrafficMirrorTargetId", six}}) ==
          "InvalidParameterValue");
}

TEST_CASE(
    "H2 a session whose source or target is not configured takes every change but of its ends") {
    const std::string gone = GENERATE("eni-1", "eni-0", "eni-nlb", "both");
    CAPTURE(gone);
    Bench b;
    const auto own = b.target(), balancer = b.target({{"NetworkLoadBalancerArn", nlb}}),
               filter = b.filter(), other = b.filter();
    const bool of_balancer = gone == "eni-nlb";
    const auto id = b.create_session("eni-1", of_balancer ? balancer : own, filter, 1);
    const auto second = b.create_session("eni-1", of_balancer ? balancer : own, filter, 2);
    const auto rule = b.create_rule(filter, 1);
    const Account all = interfaces();
    Listed<NetworkInterface> kept;
    for (const auto& interface : all.interfaces())
        if (interface.id != gone &&
            !(gone == "both" && (interface.id == "eni-0" || interface.id == "eni-1")))
            kept.add(interface);
    Account account = b.store.load();
    account.take_network(std::make_shared<const Network>(std::move(kept), Listed<Vpc>()));
    Requests requests(account, b.store, b.plane, b.settings);
    const auto code = [&](const std::string& action, Json p) {
        for (const bool dry_run : {true, false}) {
            p["DryRun"] = dry_run;
            const auto reply = requests.handle({action, p});
            b.message = reply.message;
            if (!dry_run) return reply.code;
            if (reply.code != "DryRunOperation") return reply.code;
        }
        return std::string();
    };
    const auto modify = [&](const std::string& member, const Json& value) {
        return code("ModifyTrafficMirrorSession",
                    {{"TrafficMirrorSessionId", id}, {member, value}});
    };
    CHECK(modify("Description", "of no interface") == "");
    CHECK(modify("SessionNumber", 9) == "");
    CHECK(modify("SessionNumber", 2) == "InvalidParameterValue");
    CHECK(modify("VirtualNetworkId", 77) == "");
    CHECK(modify("PacketLength", 100) == "");
    CHECK(modify("RemoveFields", {"packet-length", "description", "virtual-network-id"}) == "");
    CHECK(modify("TrafficMirrorFilterId", other) == "");
    CHECK(code("ModifyTrafficMirrorSession", {{"TrafficMirrorSessionId", id}}) == "");
    // What touches an end says which one is not configured.
    CHECK(modify("TrafficMirrorTargetId", of_balancer ? balancer : own) ==
          (of_balancer ? "InvalidNetworkLoadBalancerArn.NotFound"
                       : "InvalidNetworkInterfaceID.NotFound"));
    CHECK_THAT(b.message, Contains(of_balancer ? nlb : gone == "both" ? "eni-0" : gone));
    CHECK(modify("TrafficMirrorTargetId", of_balancer ? own : balancer) ==
          (gone == "eni-1" || gone == "both" ? "InvalidNetworkInterfaceID.NotFound" : ""));
    if (gone == "eni-1" || gone == "both") CHECK_THAT(b.message, Contains("eni-1"));
    CHECK(code("CreateTrafficMirrorSession", b.session("eni-1", own, filter, 7)) ==
          (of_balancer ? "" : "InvalidNetworkInterfaceID.NotFound"));
    // Its neighbours.
    CHECK(code("CreateTags",
               {{"Resources", {id, own, filter, rule}}, {"Tags", tags({{"k", "v"}})}}) == "");
    CHECK(code("DeleteTags", {{"Resources", {id, own, filter, rule}}}) == "");
    CHECK(code("ModifyTrafficMirrorFilterRule",
               {{"TrafficMirrorFilterRuleId", rule}, {"RuleNumber", 5}}) == "");
    CHECK(code("ModifyTrafficMirrorFilterNetworkServices",
               {{"TrafficMirrorFilterId", filter}, {"AddNetworkServices", {"amazon-dns"}}}) == "");
    CHECK(code("CreateTrafficMirrorFilterRule", b.rule(filter, 6)) == "");
    CHECK(code("DeleteTrafficMirrorFilterRule", {{"TrafficMirrorFilterRuleId", rule}}) == "");
    CHECK(code("DeleteTrafficMirrorTarget",
               {{"TrafficMirrorTargetId", of_balancer ? balancer : own}}) ==
          "TrafficMirrorTargetInUseException");
    for (const char* what : {"Sessions", "Targets", "Filters", "FilterRules"})
        CHECK(requests.handle({std::string("DescribeTrafficMirror") + what}).ok());
    CHECK(requests.handle({"DescribeTrafficMirrorSessions"})
              .body["TrafficMirrorSessions"][0]["SessionNumber"] == 9);
    CHECK(description_of(requests.account(), built_for_sizes())["Filters"].size() == 2);
    CHECK(code("DeleteTrafficMirrorSession", {{"TrafficMirrorSessionId", id}}) == "");
    CHECK(code("DeleteTrafficMirrorSession", {{"TrafficMirrorSessionId", second}}) == "");
}

TEST_CASE("S7 what does not exist has the code of its kind, malformed ids included") {
    Bench b;
    const auto target = b.target(), filter = b.filter();
    for (const char* id : {"tms-0123456789abcdef0", "x", ""}) {
        const std::string text = id;
        const auto check = [&](const char* action, const char* member, const char* code) {
            CHECK(b.error(action, {{member, text}}) == code);
        };
        check("DeleteTrafficMirrorSession", "TrafficMirrorSessionId",
              "InvalidTrafficMirrorSessionId.NotFound");
        check("ModifyTrafficMirrorSession", "TrafficMirrorSessionId",
              "InvalidTrafficMirrorSessionId.NotFound");
        check("DeleteTrafficMirrorFilter", "TrafficMirrorFilterId",
              "InvalidTrafficMirrorFilterId.NotFound");
        check("ModifyTrafficMirrorFilterNetworkServices", "TrafficMirrorFilterId",
              "InvalidTrafficMirrorFilterId.NotFound");
        check("DescribeTrafficMirrorFilterRules", "TrafficMirrorFilterId",
              "InvalidTrafficMirrorFilterId.NotFound");
        check("DeleteTrafficMirrorFilterRule", "TrafficMirrorFilterRuleId",
              "InvalidTrafficMirrorFilterRuleId.NotFound");
        check("ModifyTrafficMirrorFilterRule", "TrafficMirrorFilterRuleId",
              "InvalidTrafficMirrorFilterRuleId.NotFound");
        check("DeleteTrafficMirrorTarget", "TrafficMirrorTargetId",
              "InvalidTrafficMirrorTargetId.NotFound");
        check("CreateTrafficMirrorTarget", "NetworkInterfaceId",
              "InvalidNetworkInterfaceID.NotFound");
        CHECK(b.error("CreateTrafficMirrorSession", b.session(id, target, filter, 1)) ==
              "InvalidNetworkInterfaceID.NotFound");
        CHECK(b.error("CreateTrafficMirrorSession", b.session("eni-1", id, filter, 1)) ==
              "InvalidTrafficMirrorTargetId.NotFound");
        CHECK(b.error("CreateTrafficMirrorSession", b.session("eni-1", target, id, 1)) ==
              "InvalidTrafficMirrorFilterId.NotFound");
        CHECK(b.error("CreateTrafficMirrorFilterRule", b.rule(id, 1)) ==
              "InvalidTrafficMirrorFilterId.NotFound");
        CHECK(b.error("DescribeTrafficMirrorFilters", {{"TrafficMirrorFilterIds", {filter, id}}}) ==
              "InvalidTrafficMirrorFilterId.NotFound");
        CHECK(b.error("DescribeTrafficMirrorTargets", {{"TrafficMirrorTargetIds", {target, id}}}) ==
              "InvalidTrafficMirrorTargetId.NotFound");
        CHECK(b.error("DescribeTrafficMirrorSessions", {{"TrafficMirrorSessionIds", {id}}}) ==
              "InvalidTrafficMirrorSessionId.NotFound");
        CHECK(b.error("DescribeTrafficMirrorFilterRules", {{"TrafficMirrorFilterRuleIds", {id}}}) ==
              "InvalidTrafficMirrorFilterRuleId.NotFound");
    }
}

TEST_CASE("S7 a target is one interface, load balancer or endpoint that is there") {
    Bench b;
    const auto error = [&](const Json& p) { return b.error("CreateTrafficMirrorTarget", p); };
    CHECK(error(Json::object()) == "InvalidParameterCombination");
    CHECK(error({{"NetworkInterfaceId", "eni-1"}, {"NetworkLoadBalancerArn", nlb}}) ==
          "InvalidParameterCombination");
    for (const char* arn :
         {"", "x", "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/app/m/50dc",
          "arn:aws:elasticloadbalancing:us-east-1:1111:loadbalancer/net/m/50dc",
          "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/net/m",
          "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/net//50dc",
          "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/net/m/",
          "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/net/m/50-dc",
          "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/net/m/50dc/",
          "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/net/m/50dc:x",
          "arn:aws:elasticloadbalancing:us-east-1:11112222333a:loadbalancer/net/m/50dc",
          "arn:aws:elasticloadbalancing:us-east-1:1111222233334:loadbalancer/net/m/50dc",
          "arn:aws:elasticloadbalancing::111122223333:loadbalancer/net/m/50dc",
          "arn:azure:elasticloadbalancing:us-east-1:111122223333:loadbalancer/net/m/50dc",
          "urn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/net/m/50dc",
          "arn:aws:ec2:us-east-1:111122223333:loadbalancer/net/m/50dc"})
        CHECK(error({{"NetworkLoadBalancerArn", arn}}) ==
              "InvalidNetworkLoadBalancerArn.Malformed");
    CHECK(error({{"NetworkLoadBalancerArn", nlb + "0"}}) ==
          "InvalidNetworkLoadBalancerArn.NotFound");
    for (const char* id : {"", "vpce-", "vpce-xyz", "vpce-0123456789abcdef",
                           "vpce-0123456789abcde_0", "tmt-0123456789abcdef0"})
        CHECK(error({{"GatewayLoadBalancerEndpointId", id}}) == "InvalidVpcEndpointId.Malformed");
    CHECK(error({{"NetworkLoadBalancerArn",
                  "arn:aws:elasticloadbalancing:us-east-1:111111111111:loadbalancer/net/NLB/"
                  "7cdec873fEXAMPLE"}}) == "InvalidNetworkLoadBalancerArn.NotFound");
    for (const char* id : {"vpce-0123456789EXAMPLE", "vpce-1A2B3C4D", "vpce-0123456789abcdef1"})
        CHECK(error({{"GatewayLoadBalancerEndpointId", id}}) == "InvalidVpcEndpointId.NotFound");
    CHECK(error({{"GatewayLoadBalancerEndpointId", "vpce-0123456789abcdef1"}}) ==
          "InvalidVpcEndpointId.NotFound");

    const auto balancer = b.ask("CreateTrafficMirrorTarget",
                                {{"NetworkLoadBalancerArn", nlb}})["TrafficMirrorTarget"];
    CHECK(balancer["Type"] == "network-load-balancer");
    CHECK(balancer["NetworkLoadBalancerArn"] == nlb);
    CHECK_FALSE(balancer.contains("NetworkInterfaceId"));
    const auto endpoint =
        b.ask("CreateTrafficMirrorTarget",
              {{"GatewayLoadBalancerEndpointId", "vpce-0123456789abcdef0"}})["TrafficMirrorTarget"];
    CHECK(endpoint["Type"] == "gateway-load-balancer-endpoint");
    const auto id = b.create_session("eni-1", endpoint["TrafficMirrorTargetId"], b.filter(), 1);
    CHECK(b.plane.in_force.sessions.at(id).target_address.to_string() == "10.0.1.3");
}

TEST_CASE("S5 a dry run makes all checks and no change") {
    Bench b;
    const auto target = b.target(), filter = b.filter();
    const auto session = b.create_session("eni-1", target, filter, 1);
    const auto rule = b.create_rule(filter, 1);
    const std::pair<const char*, Json> good[] = {
        {"CreateTrafficMirrorFilter", Json::object()},
        {"CreateTrafficMirrorFilterRule", b.rule(filter, 2)},
        {"CreateTrafficMirrorSession", b.session("eni-1", target, filter, 2)},
        {"CreateTrafficMirrorTarget", {{"NetworkInterfaceId", "eni-2"}}},
        {"CreateTags", {{"Resources", {session}}, {"Tags", tags({{"a", "b"}})}}},
        {"DeleteTags", {{"Resources", {session}}}},
        {"DeleteTrafficMirrorFilterRule", {{"TrafficMirrorFilterRuleId", rule}}},
        {"DeleteTrafficMirrorSession", {{"TrafficMirrorSessionId", session}}},
        {"DescribeTags", Json::object()},
        {"DescribeTrafficMirrorSessions", Json::object()},
        {"ModifyTrafficMirrorFilterNetworkServices", {{"TrafficMirrorFilterId", filter}}},
        {"ModifyTrafficMirrorFilterRule", {{"TrafficMirrorFilterRuleId", rule}}},
        {"ModifyTrafficMirrorSession",
         {{"TrafficMirrorSessionId", session}, {"SessionNumber", 9}}}};
    for (const auto& [action, p] : good) {
        Json dry = p;
        dry["DryRun"] = true;
        CHECK(b.error(action, dry) == "DryRunOperation");
        CHECK(b.handle(action, dry).status == 412);
    }
    const auto before_dry_run = [&](const char* action, Json p) {
        p["DryRun"] = true;
        return b.error(action, p);
    };
    CHECK(before_dry_run("DeleteTrafficMirrorFilter", {{"TrafficMirrorFilterId", filter}}) ==
          "TrafficMirrorFilterInUse");
    CHECK(before_dry_run("CreateTrafficMirrorFilter", {{"x", 1}}) == "UnknownParameter");
    CHECK(before_dry_run("DeleteTrafficMirrorTarget", {{"TrafficMirrorTargetId", "x"}}) ==
          "InvalidTrafficMirrorTargetId.NotFound");
    CHECK(b.ask("DescribeTags", {{"DryRun", false}}).contains("Tags"));
}

TEST_CASE("S5 checks come in the order parameters, token, existence, state, quota") {
    Settings settings;
    settings.quotas.set("sessions-per-interface=1");
    Bench b(settings);
    const auto target = b.target(), filter = b.filter();
    Json p = b.session("eni-1", target, filter, 1, {{"ClientToken", "t"}});
    b.ask("CreateTrafficMirrorSession", p);
    // One request with a fault of each kind; they are mended one by one.
    p = {{"NetworkInterfaceId", "eni-1"},
         {"TrafficMirrorTargetId", "tmt-x"},
         {"TrafficMirrorFilterId", filter},
         {"SessionNumber", 1},
         {"ClientToken", "t"},
         {"PacketLength", 0},
         {"DryRun", true}};
    CHECK(b.error("CreateTrafficMirrorSession", p) == "InvalidParameterValue");
    CHECK_THAT(b.message, Contains("PacketLength"));
    p["PacketLength"] = 1;
    CHECK(b.error("CreateTrafficMirrorSession", p) == "IdempotentParameterMismatch");
    p["ClientToken"] = "other";
    CHECK(b.error("CreateTrafficMirrorSession", p) == "InvalidTrafficMirrorTargetId.NotFound");
    p["TrafficMirrorTargetId"] = target;
    CHECK(b.error("CreateTrafficMirrorSession", p) == "InvalidParameterValue");
    CHECK_THAT(b.message, Contains("SessionNumber"));
    p["SessionNumber"] = 2;
    CHECK(b.error("CreateTrafficMirrorSession", p) ==
          "TrafficMirrorSessionsPerInterfaceLimitExceeded");
    p["NetworkInterfaceId"] = "eni-2";
    CHECK(b.error("CreateTrafficMirrorSession", p) == "DryRunOperation");
}

TEST_CASE("S6 a client token repeats the first reply and creates nothing") {
    Bench b;
    const Json p = {{"Description", "x"}, {"ClientToken", "token"}};
    const auto first = b.ask("CreateTrafficMirrorFilter", p);
    CHECK(first["ClientToken"] == "token");
    const auto commits = b.store.commits;
    CHECK(b.ask("CreateTrafficMirrorFilter", p) == first);
    CHECK(b.store.commits == commits);
    CHECK(b.described("Filters", Json::object()).size() == 1);
    CHECK(b.error("CreateTrafficMirrorFilter", {{"Description", "y"}, {"ClientToken", "token"}}) ==
          "IdempotentParameterMismatch");
    CHECK(b.error("CreateTrafficMirrorFilter", {{"ClientToken", "token"}}) ==
          "IdempotentParameterMismatch");
    // Another action has tokens of its own.
    b.ask("CreateTrafficMirrorTarget", {{"NetworkInterfaceId", "eni-0"}, {"ClientToken", "token"}});
    // DryRun is no part of the parameters.
    Json dry = p;
    dry["DryRun"] = true;
    CHECK(b.error("CreateTrafficMirrorFilter", dry) == "DryRunOperation");
    // The resource may be gone since (ours), and its first look is repeated.
    b.ask("DeleteTrafficMirrorFilter",
          {{"TrafficMirrorFilterId", first["TrafficMirrorFilter"]["TrafficMirrorFilterId"]}});
    CHECK(b.ask("CreateTrafficMirrorFilter", p) == first);
    CHECK(b.described("Filters", Json::object()).empty());
}

TEST_CASE("S6 a failed or dry run does not use a token up") {
    Bench b;
    CHECK(b.error("CreateTrafficMirrorTarget",
                  {{"NetworkInterfaceId", "eni-x"}, {"ClientToken", "t"}}) ==
          "InvalidNetworkInterfaceID.NotFound");
    CHECK(b.error("CreateTrafficMirrorTarget",
                  {{"NetworkInterfaceId", "eni-1"}, {"ClientToken", "t"}, {"DryRun", true}}) ==
          "DryRunOperation");
    b.ask("CreateTrafficMirrorTarget", {{"NetworkInterfaceId", "eni-2"}, {"ClientToken", "t"}});
}

TEST_CASE("S6 a token is kept for 24 hours, across a restart") {
    Bench b;
    const Json p = {{"ClientToken", "t"}};
    const auto first = b.ask("CreateTrafficMirrorFilter", p);
    b.now += std::chrono::hours(24) - std::chrono::seconds(1);
    CHECK(b.ask("CreateTrafficMirrorFilter", p) == first);
    Requests restarted(b.store.load(), b.store, b.plane, b.settings);
    CHECK(restarted.handle({"CreateTrafficMirrorFilter", p}).body == first);
    b.now += std::chrono::seconds(1);
    const auto second = b.ask("CreateTrafficMirrorFilter", p);
    CHECK(second != first);
    CHECK(b.ask("CreateTrafficMirrorFilter", p) == second);
    CHECK(b.requests.account().tokens().size() == 1);  // the old one is forgotten
    CHECK(b.store.load().tokens().size() == 1);
}

TEST_CASE("S6 a token has 1 to 64 ASCII characters, and Create actions alone take one") {
    Bench b;
    b.ask("CreateTrafficMirrorFilter", {{"ClientToken", std::string(64, 'x')}});
    for (const std::string& bad : {std::string(65, 'x'), std::string(), std::string("\xc3\xa9")})
        CHECK(b.error("CreateTrafficMirrorFilter", {{"ClientToken", bad}}) ==
              "InvalidParameterValue");
    CHECK(b.error("DeleteTrafficMirrorFilter",
                  {{"TrafficMirrorFilterId", "x"}, {"ClientToken", "t"}}) == "UnknownParameter");
}

TEST_CASE("S7 tags have limits and codes of their own") {
    Bench b;
    const auto filter = b.filter();
    const auto create = [&](const Json& pairs) {
        return b.error("CreateTags", {{"Resources", {filter}}, {"Tags", tags(pairs)}});
    };
    Json fifty;
    for (int i = 0; i < 50; ++i) fifty["k" + std::to_string(i)] = "v";
    b.ask("CreateTags", {{"Resources", {filter}}, {"Tags", tags(fifty)}});
    CHECK(create({{"one", "more"}}) == "TagLimitExceeded");
    b.ask("CreateTags", {{"Resources", {filter}}, {"Tags", tags({{"k0", "new"}})}});
    fifty["k50"] = "v";
    CHECK(b.error("CreateTrafficMirrorFilter", specification("traffic-mirror-filter", fifty)) ==
          "TagLimitExceeded");
    for (const std::string& key :
         {std::string(128, 'k'), std::string("aws:x"), std::string("AWS:x"), std::string()})
        CHECK(create({{key, "v"}}) == "InvalidTagKey.Malformed");
    const auto other = b.filter();
    for (const std::string& key : {std::string(127, 'k'), std::string("k"), std::string("aws")})
        b.ask("CreateTags", {{"Resources", {other}}, {"Tags", tags({{key, "v"}})}});
    CHECK(create({{"k0", std::string(257, 'v')}}) == "InvalidParameterValue");
    b.ask("CreateTags", {{"Resources", {filter}}, {"Tags", tags({{"k0", std::string(256, 'v')}})}});
    CHECK(b.error("CreateTrafficMirrorFilter",
                  specification("traffic-mirror-session", {{"a", "b"}})) ==
          "InvalidParameterValue");
    CHECK(b.error("CreateTags", {{"Resources", {filter, "eni-1"}},
                                 {"Tags", tags({{"k0", "x"}})}}) == "InvalidParameterValue");
    for (const char* id : {"tmf-0123456789abcdef0", "tms-", "x", ""}) {
        CHECK(b.error("CreateTags", {{"Resources", {filter, id}}, {"Tags", tags({{"k0", "x"}})}}) ==
              "InvalidID");
        CHECK(b.error("DeleteTags", {{"Resources", {id}}}) == "InvalidID");
    }
    CHECK(b.error("CreateTags", {{"Resources", {filter}},
                                 {"Tags", Json::array({{{"Key", "a"}}, {{"Key", "a"}}})}}) ==
          "InvalidParameterValue");
}

TEST_CASE("tags are created, overwritten, described and deleted") {
    Bench b;
    const auto target = b.target(), filter = b.filter(), rule = b.create_rule(filter, 1);
    const auto session = b.create_session("eni-1", target, filter, 1,
                                          specification("traffic-mirror-session", {{"a", "1"}}));
    CHECK(b.ask("CreateTags",
                {{"Resources", {target, filter, rule, session, target}},
                 {"Tags", Json::array({{{"Key", "b"}, {"Value", "2"}}, {{"Key", "empty"}}})}}) ==
          Json::object());
    const auto all = b.ask("DescribeTags")["Tags"];
    REQUIRE(all.size() == 9);
    CHECK(all[0] == Json{{"Key", "b"},
                         {"Value", "2"},
                         {"ResourceId", target},
                         {"ResourceType", "traffic-mirror-target"}});
    CHECK(all[8]["ResourceId"] == session);
    const auto count = [&](const Json& p) { return b.ask("DescribeTags", p)["Tags"].size(); };
    CHECK(count(filters("resource-id", {filter, rule})) == 4);
    CHECK(count(filters("resource-type", {"traffic-mirror-filter*"})) == 4);
    CHECK(count(filters("key", {"a", "empty"})) == 5);
    CHECK(count(filters("value", {""})) == 4);
    CHECK(count(filters("tag:b", {"?"})) == 4);
    CHECK(b.error("DescribeTags", filters("owner-id", {"x"})) == "InvalidParameterValue");

    b.ask("CreateTags", {{"Resources", {session}}, {"Tags", tags({{"a", "new"}})}});
    CHECK(b.described("Sessions", Json::object())[0]["Tags"] ==
          tags({{"a", "new"}, {"b", "2"}, {"empty", ""}}));
    // With a value only where it is the tag's; without one always; without tags all.
    b.ask("DeleteTags", {{"Resources", {session}}, {"Tags", tags({{"a", "1"}})}});
    b.ask("DeleteTags",
          {{"Resources", {session}}, {"Tags", Json::array({{{"Key", "b"}}, {{"Key", "none"}}})}});
    CHECK(b.described("Sessions", Json::object())[0]["Tags"] ==
          tags({{"a", "new"}, {"empty", ""}}));
    b.ask("DeleteTags", {{"Resources", {session, rule}}});
    CHECK(count(filters("resource-id", {session, rule})) == 0);
}

TEST_CASE("filters compare what is shown, all of them, with wildcards") {
    Bench b;
    const auto target = b.target({{"NetworkInterfaceId", "eni-0"}, {"Description", "a*b"}});
    const auto balancer = b.target({{"NetworkLoadBalancerArn", nlb}, {"Description", "axb"}});
    const auto filter = b.filter();
    const auto first = b.create_session("eni-1", target, filter, 1,
                                        {{"VirtualNetworkId", 17}, {"PacketLength", 64}});
    Json more = specification("traffic-mirror-session", {{"Team", "net ops"}});
    more["Description"] = "caf\xc3\xa9";
    const auto second = b.create_session("eni-2", balancer, filter, 2, more);
    const auto ids = [&](const char* what, const Json& p) {
        std::vector<std::string> out;
        for (const auto& item : b.described(what, p))
            for (const char* id : {"TrafficMirrorSessionId", "TrafficMirrorTargetId"})
                if (item.contains(id)) {
                    out.push_back(item[id]);
                    break;
                }
        return out;
    };
    using Ids = std::vector<std::string>;
    const std::tuple<const char*, std::vector<std::string>, Ids> sessions[] = {
        {"network-interface-id", {"eni-2"}, {second}},
        {"network-interface-id", {"eni-?"}, {first, second}},
        {"network-interface-id", {"eni-2", "eni-1"}, {first, second}},
        {"network-interface-id", {"ENI-2"}, {}},
        {"owner-id", {"000000000000"}, {first, second}},
        {"packet-length", {"64"}, {first}},
        {"packet-length", {"8500"}, {second}},
        {"session-number", {"2"}, {second}},
        {"traffic-mirror-filter-id", {filter}, {first, second}},
        {"traffic-mirror-session-id", {first}, {first}},
        {"traffic-mirror-target-id", {balancer}, {second}},
        {"virtual-network-id", {"1?"}, {first}},
        {"description", {"*"}, {second}},  // one that is not there matches nothing
        {"description", {"caf?"}, {second}},
        {"description", {"caf??"}, {}},
        {"tag:Team", {"net*"}, {second}},
        {"tag:Team", {"*o*s"}, {second}},
        {"tag:team", {"*"}, {}},
        {"tag-key", {"T*"}, {second}},
        {"tag-key", {"net ops"}, {}}};
    for (const auto& [name, values, expected] : sessions) {
        INFO(name << " " << values[0]);
        CHECK(ids("Sessions", filters(name, values)) == expected);
    }
    CHECK(ids("Targets", filters("description", {"a*b"})) == Ids{target, balancer});
    CHECK(ids("Targets", filters("description", {"a\\*b"})) == Ids{target});
    CHECK(ids("Targets", filters("network-load-balancer-arn", {"*/net/*"})) == Ids{balancer});
    CHECK(ids("Targets", filters("network-interface-id", {"eni-0"})) == Ids{target});
    // Several filters: all must match; ids narrow them.
    Json two = filters("session-number", {"1", "2"});
    two["Filters"].push_back({{"Name", "network-interface-id"}, {"Values", {"eni-1"}}});
    CHECK(ids("Sessions", two) == Ids{first});
    two["TrafficMirrorSessionIds"] = {second};
    CHECK(ids("Sessions", two).empty());
    CHECK(ids("Sessions", {{"TrafficMirrorSessionIds", {second, first, second}}}) ==
          Ids{first, second});

    b.create_rule(filter, 5, {{"Protocol", 6}, {"Description", "r"}, {"RuleAction", "reject"}});
    b.create_rule(b.filter(), 6);
    for (const auto& [name, value] :
         {std::pair{"rule-number", "5"}, std::pair{"rule-action", "reject"},
          std::pair{"protocol", "6"}, std::pair{"description", "r"}})
        CHECK(b.described("FilterRules", filters(name, {value})).size() == 1);
    for (const auto& [name, value] :
         {std::pair{"traffic-direction", "ingress"}, std::pair{"source-cidr-block", "0.0.0.0/0"},
          std::pair{"destination-cidr-block", "0.0.0.0/0"},
          std::pair{"traffic-mirror-filter-rule-id", "tmfr-*"}})
        CHECK(b.described("FilterRules", filters(name, {value})).size() == 2);
    CHECK(b.described("FilterRules", {{"TrafficMirrorFilterId", filter}}).size() == 1);
    CHECK(b.described("Filters", filters("traffic-mirror-filter-id", {filter})).size() == 1);
    CHECK(b.described("Filters", filters("description", {"*"})).empty());

    for (const char* what : {"Sessions", "Targets", "Filters", "FilterRules"})
        CHECK(b.error(std::string("DescribeTrafficMirror") + what, filters("vpc-id", {"x"})) ==
              "InvalidParameterValue");
    CHECK(b.error("DescribeTrafficMirrorSessions", filters("tag:", {"x"})) ==
          "InvalidParameterValue");
    CHECK(b.error("DescribeTrafficMirrorSessions", filters("owner-id", {})) == "MissingParameter");
}

TEST_CASE("S9 pages hold each object once, whatever comes and goes") {
    Bench b;
    std::vector<std::string> ids;
    for (int i = 0; i < 12; ++i) ids.push_back(b.filter());
    const auto page = [&](Json p) { return b.ask("DescribeTrafficMirrorFilters", p); };
    const auto seen = [](const Json& reply) {
        std::vector<std::string> out;
        for (const auto& filter : reply["TrafficMirrorFilters"])
            out.push_back(filter["TrafficMirrorFilterId"]);
        return out;
    };
    const auto first = page({{"MaxResults", 5}});
    CHECK(seen(first) == std::vector(ids.begin(), ids.begin() + 5));
    b.ask("DeleteTrafficMirrorFilter", {{"TrafficMirrorFilterId", ids[4]}});  // the last one shown
    b.ask("DeleteTrafficMirrorFilter", {{"TrafficMirrorFilterId", ids[6]}});
    const auto late = b.filter();
    // Another page size, and a restart, change nothing.
    Requests restarted(b.store.load(), b.store, b.plane, b.settings);
    const auto second = restarted
                            .handle({"DescribeTrafficMirrorFilters",
                                     {{"MaxResults", 6}, {"NextToken", first["NextToken"]}}})
                            .body;
    CHECK(seen(second) == std::vector{ids[5], ids[7], ids[8], ids[9], ids[10], ids[11]});
    const auto third = page({{"MaxResults", 5}, {"NextToken", second["NextToken"]}});
    CHECK(seen(third) == std::vector{late});
    CHECK_FALSE(third.contains("NextToken"));
    // A list of ids is paged in the same order.
    Json listed = {{"TrafficMirrorFilterIds", ids}, {"MaxResults", 5}};
    listed["TrafficMirrorFilterIds"].erase(6);
    listed["TrafficMirrorFilterIds"].erase(4);
    const auto half = page(listed);
    CHECK(seen(half) == std::vector{ids[0], ids[1], ids[2], ids[3], ids[5]});
    listed["NextToken"] = half["NextToken"];
    CHECK(seen(page(listed)) == std::vector{ids[7], ids[8], ids[9], ids[10], ids[11]});
    // No page more than needed, and none without MaxResults.
    CHECK_FALSE(page({{"MaxResults", 11}}).contains("NextToken"));
    CHECK(seen(page({{"NextToken", first["NextToken"]}})).size() == 7);
    CHECK(seen(page(Json::object())).size() == 11);
}

TEST_CASE("S9 tags are paged too, between and inside resources") {
    Bench b;
    Json pairs;
    for (int i = 0; i < 7; ++i) pairs["key " + std::to_string(i)] = "v";
    for (int i = 0; i < 3; ++i)
        b.ask("CreateTrafficMirrorFilter", specification("traffic-mirror-filter", pairs));
    std::set<std::pair<std::string, std::string>> seen;
    Json p = {{"MaxResults", 5}};
    int pages = 0;
    for (;; ++pages) {
        const auto reply = b.ask("DescribeTags", p);
        for (const auto& tag : reply["Tags"])
            CHECK(seen.emplace(tag["ResourceId"], tag["Key"]).second);
        if (!reply.contains("NextToken")) break;
        p["NextToken"] = reply["NextToken"];
    }
    CHECK(pages == 4);
    CHECK(seen.size() == 21);
}

TEST_CASE("S9 a paging token is bound to its action and filters") {
    Bench b;
    for (int i = 0; i < 6; ++i) {
        b.filter();
        b.target();
    }
    const std::string token =
        b.ask("DescribeTrafficMirrorFilters", {{"MaxResults", 5}})["NextToken"];
    const auto error = [&](const char* action, Json p, const std::string& text) {
        p["NextToken"] = text;
        return b.error(action, p);
    };
    CHECK(error("DescribeTrafficMirrorTargets", {{"MaxResults", 5}}, token) == "InvalidNextToken");
    CHECK(error("DescribeTrafficMirrorFilters", filters("description", {"*"}), token) ==
          "InvalidNextToken");
    std::string other = token;
    other.back() = other.back() == '0' ? '1' : '0';
    for (const std::string& bad :
         {other, token + "00", token + "x", token.substr(1), std::string("x"), std::string(),
          std::string("cbf29ce484222325")})
        CHECK(error("DescribeTrafficMirrorFilters", Json::object(), bad) == "InvalidNextToken");
    for (const Json& bad : {Json(4), Json(1001), Json(0), Json("5")})
        CHECK(b.error("DescribeTrafficMirrorFilters", {{"MaxResults", bad}}) ==
              "InvalidParameterValue");
    b.ask("DescribeTrafficMirrorFilters", {{"MaxResults", 1000}});
}

TEST_CASE("S10 interfaces and VPCs are described as they were configured, and no further") {
    const auto described = [](const Json& configuration, const std::string& action, const Json& p) {
        MemoryStore store(parse_configuration({{"a.json", configuration.dump()}}).account);
        FakePlane plane;
        return Requests(store.load(), store, plane).handle({action, p});
    };
    const Json full = {{"NetworkInterfaceId", "eni-a"},
                       {"MacAddress", "02:00:00:00:00:0a"},
                       {"PrivateIpAddress", "10.0.0.1"},
                       {"PrivateIpAddresses",
                        {{{"PrivateIpAddress", "10.0.0.1"}, {"Primary", true}},
                         {{"PrivateIpAddress", "10.0.0.2"}, {"Primary", false}}}},
                       {"Ipv6Addresses", {{{"Ipv6Address", "2001:db8::1"}}}},
                       {"VpcId", "vpc-a"},
                       {"SubnetId", "subnet-a"},
                       {"InterfaceType", "interface"},
                       {"Description", "web"},
                       {"AvailabilityZone", "us-east-1a"},
                       {"OwnerId", "111122223333"},
                       {"TagSet", tags({{"Name", "web"}})}};
    const Json bare = {{"NetworkInterfaceId", "eni-b"}, {"MacAddress", "02:00:00:00:00:0b"}};
    Json given = full;
    given["Mtu"] = 1500;
    given["Colour"] = "red";
    Json shown_bare = bare;
    for (const char* set : {"PrivateIpAddresses", "Ipv6Addresses", "TagSet"})
        shown_bare[set] = Json::array();
    CHECK(described({{"NetworkInterfaces", {given, bare}}}, "DescribeNetworkInterfaces",
                    Json::object())
              .body == Json{{"NetworkInterfaces", {full, shown_bare}}});

    const Json vpc = {{"VpcId", "vpc-a"},
                      {"OwnerId", "111122223333"},
                      {"CidrBlock", "10.0.0.0/16"},
                      {"CidrBlockAssociationSet",
                       {{{"CidrBlock", "10.0.0.0/16"}}, {{"CidrBlock", "100.64.0.0/20"}}}},
                      {"Tags", tags({{"Name", "prod"}})}};
    const Json vpcs = {
        vpc, {{"VpcId", "vpc-b"}}, {{"VpcId", "vpc-c"}, {"CidrBlock", "10.1.0.0/16"}}};
    CHECK(described({{"Vpcs", vpcs}}, "DescribeVpcs", Json::object()).body ==
          Json{{"Vpcs",
                {vpc,
                 {{"VpcId", "vpc-b"},
                  {"CidrBlockAssociationSet", Json::array()},
                  {"Tags", Json::array()}},
                 {{"VpcId", "vpc-c"},
                  {"CidrBlock", "10.1.0.0/16"},
                  {"CidrBlockAssociationSet", {{{"CidrBlock", "10.1.0.0/16"}}}},
                  {"Tags", Json::array()}}}}});

    const std::tuple<const char*, const char*, std::size_t> by_interface[] = {
        {"network-interface-id", "eni-?", 2},
        {"mac-address", "02:00:00:00:00:0b", 1},
        {"private-ip-address", "10.0.0.2", 1},
        {"addresses.private-ip-address", "10.0.0.*", 1},
        {"addresses.private-ip-address", "10.0.1.*", 0},
        {"addresses.primary", "false", 1},
        {"ipv6-addresses.ipv6-address", "2001:db8::1", 1},
        {"vpc-id", "vpc-a", 1},
        {"subnet-id", "subnet-*", 1},
        {"interface-type", "interface", 1},
        {"description", "w?b", 1},
        {"availability-zone", "us-east-1b", 0},
        {"owner-id", "*", 1},
        {"tag:Name", "web", 1},
        {"tag-key", "N*", 1}};
    for (const auto& [name, value, count] : by_interface) {
        INFO(name << " " << value);
        CHECK(described({{"NetworkInterfaces", {given, bare}}}, "DescribeNetworkInterfaces",
                        filters(name, {value}))
                  .body["NetworkInterfaces"]
                  .size() == count);
    }
    const std::tuple<const char*, const char*, std::size_t> by_vpc[] = {
        {"vpc-id", "vpc-[ab]", 0},
        {"vpc-id", "vpc-*", 3},
        {"cidr", "10.?.0.0/16", 2},
        {"cidr", "100.64.0.0/20", 0},
        {"cidr-block-association.cidr-block", "100.64.0.0/20", 1},
        {"cidr-block-association.cidr-block", "10.1.0.0/16", 1},
        {"owner-id", "111122223333", 1},
        {"tag:Name", "prod", 1},
        {"tag-key", "Name", 1}};
    for (const auto& [name, value, count] : by_vpc) {
        INFO(name << " " << value);
        CHECK(described({{"Vpcs", vpcs}}, "DescribeVpcs", filters(name, {value}))
                  .body["Vpcs"]
                  .size() == count);
    }
    for (const char* name : {"status", "attachment.status", "group-id"})
        CHECK(described({{"NetworkInterfaces", {bare}}}, "DescribeNetworkInterfaces",
                        filters(name, {"x"}))
                  .code == "UnsupportedOperation");
    for (const char* name : {"state", "is-default", "ipv6-cidr-block-association.ipv6-cidr-block"})
        CHECK(described({{"Vpcs", vpcs}}, "DescribeVpcs", filters(name, {"x"})).code ==
              "UnsupportedOperation");
    for (const char* action : {"DescribeNetworkInterfaces", "DescribeVpcs"})
        CHECK(described({{"Vpcs", vpcs}}, action, filters("session-number", {"1"})).code ==
              "InvalidParameterValue");
}

TEST_CASE("S1 what else is configured of an interface or VPC is shown, and filtered by") {
    Json whole = {
        {"NetworkInterfaceId", "eni-a"},
        {"MacAddress", "02:00:00:00:00:0a"},
        {"PrivateIpAddress", "10.0.0.1"},
        {"PrivateIpAddresses",
         {{{"PrivateIpAddress", "10.0.0.1"},
           {"Primary", true},
           {"PrivateDnsName", "ip-10-0-0-1.ec2.internal"},
           {"Association", {{"PublicIp", "198.51.100.7"}, {"IpOwnerId", "amazon"}}}},
          {{"PrivateIpAddress", "10.0.0.2"}, {"Primary", false}}}},
        {"Ipv6Addresses", {{{"Ipv6Address", "2001:db8::1"}, {"IsPrimaryIpv6", true}}}},
        {"TagSet", Json::array()},
        {"Association",
         {{"AllocationId", "eipalloc-1"},
          {"AssociationId", "eipassoc-1"},
          {"IpOwnerId", "111122223333"},
          {"PublicDnsName", "ec2-198-51-100-7.example"},
          {"PublicIp", "198.51.100.7"}}},
        {"Attachment",
         {{"AttachTime", "2026-01-31T12:34:56.000Z"},
          {"AttachmentId", "eni-attach-1"},
          {"DeleteOnTermination", true},
          {"DeviceIndex", 0},
          {"NetworkCardIndex", 0},
          {"InstanceId", "i-0a1"},
          {"InstanceOwnerId", "111122223333"},
          {"Status", "attached"},
          {"EnaSrdSpecification", {{"EnaSrdEnabled", false}}}}},
        {"Groups",
         {{{"GroupId", "sg-1"}, {"GroupName", "web"}}, {{"GroupId", "sg-2"}, {"GroupName", "db"}}}},
        {"Ipv4Prefixes", {{{"Ipv4Prefix", "10.0.9.0/28"}}}},
        {"Ipv6Prefixes", {{{"Ipv6Prefix", "2001:db8:9::/80"}}}},
        {"ConnectionTrackingConfiguration", {{"TcpEstablishedTimeout", 60}}},
        {"Operator", {{"Managed", false}}},
        {"AssociatedSubnets", {"subnet-1", "subnet-2"}},
        {"AvailabilityZoneId", "use1-az1"},
        {"PrivateDnsName", "ip-10-0-0-1.ec2.internal"},
        {"RequesterId", "AIDA1"},
        {"RequesterManaged", false},
        {"SourceDestCheck", true},
        {"Status", "in-use"}};
    const Json bare = {{"NetworkInterfaceId", "eni-b"}, {"MacAddress", "02:00:00:00:00:0b"}};
    const Json vpc = {{"VpcId", "vpc-a"},
                      {"CidrBlock", "10.0.0.0/16"},
                      {"CidrBlockAssociationSet",
                       {{{"AssociationId", "vpc-cidr-assoc-1"},
                         {"CidrBlock", "10.0.0.0/16"},
                         {"CidrBlockState", {{"State", "associated"}}}}}},
                      {"Ipv6CidrBlockAssociationSet",
                       {{{"AssociationId", "vpc-cidr-assoc-2"},
                         {"Ipv6CidrBlock", "2001:db8::/56"},
                         {"Ipv6CidrBlockState", {{"State", "associated"}}},
                         {"Ipv6Pool", "Amazon"}}}},
                      {"DhcpOptionsId", "dopt-1"},
                      {"InstanceTenancy", "default"},
                      {"IsDefault", true},
                      {"State", "available"},
                      {"BlockPublicAccessStates", {{"InternetGatewayBlockMode", "off"}}},
                      {"Tags", Json::array()}};
    const Json table = {
        {"RouteTableId", "rtb-1"},
        {"VpcId", "vpc-a"},
        {"Tags", tags({{"Name", "main"}})},
        {"Associations",
         {{{"Main", true}, {"RouteTableId", "rtb-1"}, {"RouteTableAssociationId", "rtbassoc-1"}}}},
        {"PropagatingVgws", Json::array()},
        {"Routes", {{{"DestinationCidrBlock", "10.0.0.0/16"}, {"GatewayId", "local"}}}}};
    const Json configuration = {{"NetworkInterfaces", {whole, bare}},
                                {"Vpcs", {vpc, {{"VpcId", "vpc-b"}}}},
                                {"RouteTables", {table}}};
    const auto described = [](const std::vector<Json>& files, const std::string& action,
                              const Json& p) {
        std::vector<ConfigurationText> texts;
        for (const auto& file : files) texts.push_back({"a.json", file.dump()});
        MemoryStore store(parse_configuration(texts).account);
        FakePlane plane;
        return Requests(store.load(), store, plane).handle({action, p});
    };
    const auto count = [&](const char* action, const char* list, const char* name,
                           const char* value) {
        INFO(action << " " << name << " " << value);
        const auto reply = described({configuration}, action, filters(name, {value}));
        CHECK(reply.code.empty());
        return reply.body.value(list, Json::array()).size();
    };
    CHECK(described({configuration}, "DescribeNetworkInterfaces", Json::object())
              .body["NetworkInterfaces"][0] == whole);
    CHECK(described({configuration}, "DescribeVpcs", Json::object()).body["Vpcs"][0] == vpc);
    CHECK(described({configuration}, "DescribeRouteTables", Json::object()).body["RouteTables"] ==
          Json::array({table}));

    for (const auto& [name, right, wrong] :
         {std::tuple("addresses.association.owner-id", "amazon", "a"),
          std::tuple("addresses.association.public-ip", "198.51.100.*", "10.*"),
          std::tuple("association.allocation-id", "eipalloc-1", "x"),
          std::tuple("association.association-id", "eipassoc-?", "x"),
          std::tuple("association.ip-owner-id", "111122223333", "x"),
          std::tuple("association.public-dns-name", "ec2-*", "x"),
          std::tuple("association.public-ip", "198.51.100.7", "x"),
          std::tuple("attachment.attach-time", "2026-01-31T*", "2026-01-30*"),
          std::tuple("attachment.attachment-id", "eni-attach-1", "x"),
          std::tuple("attachment.delete-on-termination", "true", "false"),
          std::tuple("attachment.device-index", "0", "1"),
          std::tuple("attachment.instance-id", "i-0a1", "i-0a2"),
          std::tuple("attachment.instance-owner-id", "1*", "2*"),
          std::tuple("attachment.status", "attached", "detached"),
          std::tuple("availability-zone-id", "use1-az1", "use1-az2"),
          std::tuple("group-id", "sg-2", "sg-3"),
          std::tuple("operator.managed", "false", "true"),
          std::tuple("private-dns-name", "ip-*", "x"),
          std::tuple("requester-id", "AIDA1", "x"),
          std::tuple("requester-managed", "false", "true"),
          std::tuple("source-dest-check", "true", "false"),
          std::tuple("status", "in-use", "available")}) {
        CHECK(count("DescribeNetworkInterfaces", "NetworkInterfaces", name, right) == 1);
        CHECK(count("DescribeNetworkInterfaces", "NetworkInterfaces", name, wrong) == 0);
        CHECK(described({Json{{"NetworkInterfaces", {bare}}}}, "DescribeNetworkInterfaces",
                        filters(name, {right}))
                  .code == "UnsupportedOperation");
    }
    // Some interface has an Operator, and none has this member of it.
    CHECK(described({configuration}, "DescribeNetworkInterfaces",
                    filters("operator.principal", {"x"}))
              .code == "UnsupportedOperation");
    for (const auto& [name, right] :
         {std::pair("cidr-block-association.association-id", "vpc-cidr-assoc-1"),
          std::pair("cidr-block-association.state", "associated"),
          std::pair("dhcp-options-id", "dopt-1"),
          std::pair("ipv6-cidr-block-association.ipv6-cidr-block", "2001:db8::/56"),
          std::pair("ipv6-cidr-block-association.ipv6-pool", "Amazon"),
          std::pair("is-default", "true"), std::pair("state", "available")})
        CHECK(count("DescribeVpcs", "Vpcs", name, right) == 1);
    for (const auto& [name, right, found] :
         {std::tuple("association.main", "true", 1), std::tuple("association.main", "false", 0),
          std::tuple("vpc-id", "vpc-a", 1), std::tuple("tag:Name", "main", 1),
          std::tuple("route.gateway-id", "local", 1),
          std::tuple("route.nat-gateway-id", "nat-1", 0)})
        CHECK(count("DescribeRouteTables", "RouteTables", name, right) == std::size_t(found));
    // Without any the set is empty, by whatever filter.
    CHECK(described({Json{{"Vpcs", {vpc}}}}, "DescribeRouteTables",
                    filters("association.main", {"true"}))
              .body == Json{{"RouteTables", Json::array()}});
    CHECK(described({configuration}, "DescribeRouteTables", {{"RouteTableIds", {"rtb-2"}}}).code ==
          "InvalidRouteTableID.NotFound");

    // A later file's members take the place of an earlier one's; what it does not name stays.
    const Json later = {{"NetworkInterfaces",
                         {{{"NetworkInterfaceId", "eni-a"},
                           {"Status", "available"},
                           {"Ipv6Addresses", {{{"Ipv6Address", "2001:DB8::2"}}}}}}}};
    whole["Status"] = "available";
    whole["Ipv6Addresses"] = {{{"Ipv6Address", "2001:db8::2"}}};
    CHECK(described({configuration, later}, "DescribeNetworkInterfaces", Json::object())
              .body["NetworkInterfaces"][0] == whole);

    // An instance's interface is attached to it.
    const Json instances = {
        {"Reservations",
         {{{"OwnerId", "111122223333"},
           {"Instances",
            {{{"InstanceId", "i-0c1"},
              {"NetworkInterfaces",
               {{{"NetworkInterfaceId", "eni-c"},
                 {"MacAddress", "02:00:00:00:00:0c"},
                 {"Attachment", {{"AttachmentId", "eni-attach-2"}, {"DeviceIndex", 0}}}}}}}}}}}}};
    const auto attached = described({instances}, "DescribeNetworkInterfaces",
                                    filters("attachment.instance-id", {"i-0c1"}));
    REQUIRE(attached.body["NetworkInterfaces"].size() == 1);
    CHECK(attached.body["NetworkInterfaces"][0]["Attachment"] ==
          Json{{"AttachmentId", "eni-attach-2"},
               {"DeviceIndex", 0},
               {"InstanceId", "i-0c1"},
               {"InstanceOwnerId", "111122223333"}});

    // Times are shown as the API writes them, whichever way a client printed them.
    for (const char* time :
         {"2026-01-31T12:34:56+00:00", "2026-01-31 12:34:56+00:00", "2026-01-31T12:34:56Z"}) {
        const Json one = {{"NetworkInterfaces",
                           {{{"NetworkInterfaceId", "eni-a"},
                             {"MacAddress", "02:00:00:00:00:0a"},
                             {"Attachment", {{"AttachTime", time}}}}}}};
        CHECK(described({one}, "DescribeNetworkInterfaces", Json::object())
                  .body["NetworkInterfaces"][0]["Attachment"]["AttachTime"] ==
              "2026-01-31T12:34:56.000Z");
    }
    for (const auto& [member, why] :
         {std::pair(Json{{"Status", 7}}, "NetworkInterfaces[0].Status: 7 is not a string"),
          std::pair(Json{{"Groups", {7}}}, "Groups[0]: 7 is not an object"),
          std::pair(Json{{"SourceDestCheck", "true"}}, "is neither true nor false"),
          std::pair(Json{{"Attachment", {{"DeviceIndex", "0"}}}}, "Attachment.DeviceIndex: "),
          std::pair(Json{{"Attachment", {{"AttachTime", "today"}}}}, "is not a time in UTC")}) {
        Json one = {{"NetworkInterfaceId", "eni-a"}, {"MacAddress", "02:00:00:00:00:0a"}};
        one.update(member);
        CHECK_THROWS_WITH(
            parse_configuration({{"a.json", Json{{"NetworkInterfaces", {one}}}.dump()}}),
            Contains(why));
    }
}

TEST_CASE("a VPC's attributes are as configured, else as AWS makes a VPC") {
    const auto attribute = [](const std::vector<ConfigurationText>& files, const char* vpc,
                              const char* name) {
        MemoryStore store(parse_configuration(files).account);
        FakePlane plane;
        return Requests(store.load(), store, plane)
            .handle({"DescribeVpcAttribute", {{"VpcId", vpc}, {"Attribute", name}}});
    };
    const std::vector<ConfigurationText> files = {
        {"vpcs.json", R"({"Vpcs": [{"VpcId": "vpc-a"}, {"VpcId": "vpc-b", "IsDefault": true},
                                   {"VpcId": "vpc-c", "EnableDnsSupport": {"Value": false}}]})"},
        {"attribute.json", R"({"VpcId": "vpc-c", "EnableDnsHostnames": {"Value": true}})"}};
    for (const auto& [vpc, name, member, value] :
         {std::tuple("vpc-a", "enableDnsSupport", "EnableDnsSupport", true),
          std::tuple("vpc-a", "enableDnsHostnames", "EnableDnsHostnames", false),
          std::tuple("vpc-b", "enableDnsHostnames", "EnableDnsHostnames", true),
          std::tuple("vpc-c", "enableDnsSupport", "EnableDnsSupport", false),
          std::tuple("vpc-c", "enableDnsHostnames", "EnableDnsHostnames", true),
          std::tuple("vpc-c", "enableNetworkAddressUsageMetrics",
                     "EnableNetworkAddressUsageMetrics", false)}) {
        INFO(vpc << " " << name);
        CHECK(attribute(files, vpc, name).body ==
              Json{{"VpcId", vpc}, {member, {{"Value", value}}}});
    }
    CHECK(attribute(files, "vpc-x", "enableDnsSupport").code == "InvalidVpcID.NotFound");
    CHECK(attribute(files, "vpc-a", "enableDns").code == "InvalidParameterValue");
}

TEST_CASE("S9 pages hold each configured object once, whatever a reload brings, takes or moves") {
    std::mt19937 random(7);
    const auto file = [](const std::vector<std::string>& names) {
        Json interfaces = Json::array(), vpcs = Json::array(), tables = Json::array();
        for (const auto& name : names) {
            interfaces.push_back(
                {{"NetworkInterfaceId", "eni-" + name}, {"MacAddress", "02:00:00:00:00:01"}});
            vpcs.push_back({{"VpcId", "vpc-" + name}});
            tables.push_back({{"RouteTableId", "rtb-" + name}});
        }
        const Json all = {
            {"NetworkInterfaces", interfaces}, {"Vpcs", vpcs}, {"RouteTables", tables}};
        return parse_configuration({{"a.json", all.dump()}}).account.network();
    };
    // In each round those of `stay` are there throughout; others come and go between two pages.
    for (int round = 0; round < 30; ++round) {
        const std::vector<std::string> stay{"03", "07", "11", "20", "21", "33", "48", "50", "90"};
        const auto network = [&] {
            auto names = stay;
            for (int i = 0; i < 100; i += 3) {
                char name[3] = {char('0' + i / 10), char('0' + i % 10), 0};
                const bool other = std::find(stay.begin(), stay.end(), name) == stay.end();
                if (other && random() % 2 == 0) names.push_back(name);
            }
            std::shuffle(names.begin(), names.end(), random);
            return file(names);
        };
        for (const auto& [action, list, id, prefix] :
             {std::tuple("DescribeNetworkInterfaces", "NetworkInterfaces", "NetworkInterfaceId",
                         "eni-"),
              std::tuple("DescribeVpcs", "Vpcs", "VpcId", "vpc-"),
              std::tuple("DescribeRouteTables", "RouteTables", "RouteTableId", "rtb-")}) {
            CAPTURE(round, action);
            Bench b;
            b.requests.replace_network(network());
            std::multiset<std::string> seen;
            for (Json p = {{"MaxResults", 5}};;) {
                const auto reply = b.ask(action, p);
                for (const auto& object : reply[list]) seen.insert(object[id]);
                if (!reply.contains("NextToken")) break;
                p["NextToken"] = reply["NextToken"];
                b.requests.replace_network(network());
            }
            for (const auto& name : stay) CHECK(seen.count(prefix + name) == 1);
            for (const auto& each : seen) CHECK(seen.count(each) == 1);
        }
    }
}

TEST_CASE("S9 interfaces are paged, and not together with their ids") {
    Bench b;
    const auto ids = [](const Json& reply) {
        std::vector<std::string> out;
        for (const auto& interface : reply["NetworkInterfaces"])
            out.push_back(interface["NetworkInterfaceId"]);
        return out;
    };
    std::vector<std::string> seen;
    Json p = {{"MaxResults", 5}};
    int pages = 0;
    for (;; ++pages) {
        const auto reply = b.ask("DescribeNetworkInterfaces", p);
        for (const auto& id : ids(reply)) seen.push_back(id);
        if (!reply.contains("NextToken")) break;
        p["NextToken"] = reply["NextToken"];
        b.filter();
    }
    CHECK(pages == 6);
    CHECK(seen == ids(b.ask("DescribeNetworkInterfaces")));
    CHECK(seen.size() == 34);
    CHECK(b.error("DescribeTrafficMirrorFilters", {{"NextToken", p["NextToken"]}}) ==
          "InvalidNextToken");

    CHECK(ids(b.ask("DescribeNetworkInterfaces",
                    {{"NetworkInterfaceIds", {"eni-7", "eni-2", "eni-7"}}})) ==
          std::vector<std::string>{"eni-2", "eni-7"});
    CHECK(b.error("DescribeNetworkInterfaces", {{"NetworkInterfaceIds", {"eni-7", "eni-x"}}}) ==
          "InvalidNetworkInterfaceID.NotFound");
    CHECK_THAT(b.message, Contains("eni-x"));
    CHECK(b.error("DescribeNetworkInterfaces",
                  {{"NetworkInterfaceIds", {"eni-x"}}, {"MaxResults", 5}}) ==
          "InvalidParameterCombination");
    CHECK(b.error("DescribeVpcs", {{"VpcIds", {"vpc-x"}}, {"MaxResults", 5}}) ==
          "InvalidVpcID.NotFound");
    for (const char* action : {"DescribeNetworkInterfaces", "DescribeVpcs"}) {
        for (const int bad : {4, 1001})
            CHECK(b.error(action, {{"MaxResults", bad}}) == "InvalidParameterValue");
        CHECK(b.error(action, {{"DryRun", true}}) == "DryRunOperation");
    }
    CHECK(b.ask("DescribeVpcs", {{"MaxResults", 1000}}) == Json{{"Vpcs", Json::array()}});
}

namespace {

/// The configured interfaces without some of them.
std::shared_ptr<const Network> interfaces_without(const std::set<std::string>& gone) {
    const Account all = interfaces();
    Listed<NetworkInterface> out;
    for (const auto& interface : all.interfaces())
        if (gone.count(interface.id) == 0) out.add(interface);
    return std::make_shared<const Network>(std::move(out), Listed<Vpc>());
}

std::set<std::string> in_force(const FakePlane& plane) {
    std::set<std::string> out;
    for (const auto& [id, _] : plane.in_force.sessions) out.insert(id);
    return out;
}

std::string why(const Requests& requests, const std::string& session) {
    for (const auto& disabled : requests.disabled())
        if (disabled.id == session) return disabled.why;
    return "";
}

}  // namespace

TEST_CASE("H2 a session without its source or target is disabled, at a reload as at a start") {
    const std::string gone = GENERATE("eni-1", "eni-0");
    CAPTURE(gone);
    Bench b;
    const auto target = b.target(), filter = b.filter();
    const auto id = b.create_session("eni-1", target, filter, 1);
    const auto commits = b.store.commits;
    CHECK(b.requests.disabled().empty());
    const auto check_disabled = [&](Requests& requests) {
        CHECK(in_force(b.plane).empty());
        CHECK(requests.disabled_count() == 1);
        CHECK_THAT(why(requests, id), Contains(gone) && Contains("configuration"));
        CHECK(requests.handle({"DescribeTrafficMirrorSessions"})
                  .body["TrafficMirrorSessions"]
                  .size() == 1);
        CHECK(requests.handle({"DeleteTrafficMirrorFilter", {{"TrafficMirrorFilterId", filter}}})
                  .code == "TrafficMirrorFilterInUse");
    };
    CHECK(b.requests.replace_network(interfaces_without({gone})).empty());
    check_disabled(b.requests);
    CHECK(b.store.commits == commits);
    {
        Account account = b.store.load();
        account.take_network(interfaces_without({gone}));
        Requests restarted(account, b.store, b.plane, b.settings);
        check_disabled(restarted);
        restarted.replace_network(interfaces().network());
        CHECK(in_force(b.plane) == std::set{id});
        CHECK(restarted.disabled().empty());
    }
    CHECK(b.requests.replace_network(std::make_shared<const Network>()).empty());
    CHECK(b.requests.disabled_count() == 1);
    CHECK(b.requests.replace_network(interfaces().network()).empty());
    CHECK(b.requests.disabled().empty());
    CHECK(in_force(b.plane) == std::set{id});
    // It counted all the time.
    CHECK(b.error("CreateTrafficMirrorSession", b.session("eni-1", target, filter, 1)) ==
          "InvalidParameterValue");
}

TEST_CASE("H2 a reload deletes the sessions of a source that is gone where that is asked for") {
    Settings settings;
    settings.delete_orphans = true;
    Bench b(settings);
    const auto target = b.target(), filter = b.filter();
    const auto id = b.create_session("eni-1", target, filter, 1),
               other = b.create_session("eni-2", target, filter, 1);
    CHECK(b.requests.replace_network(interfaces_without({"eni-0"})).empty());  // the target
    CHECK(b.requests.disabled_count() == 2);
    CHECK(b.requests.replace_network(interfaces_without({"eni-1"})) == std::vector{id});
    CHECK(b.requests.disabled().empty());
    CHECK(b.store.load().sessions().size() == 1);
    CHECK(in_force(b.plane) == std::set{other});
}

TEST_CASE("H2 sessions that find no room at a start are disabled, an interface's all or none") {
    Settings settings;
    settings.quotas.set("sources-per-target=100");
    settings.quotas.set("sessions-per-interface=5");
    settings.quotas.set("rules-per-filter=40");
    Bench b(settings);
    const auto target = b.target({{"NetworkLoadBalancerArn", nlb}}), filter = b.filter();
    // Seven entries' worth: eni-1 three, eni-2 one, eni-3 two, eni-4 one; interleaved.
    const auto a1 = b.create_session("eni-1", target, filter, 5),
               c1 = b.create_session("eni-3", target, filter, 1),
               d1 = b.create_session("eni-4", target, filter, 1),
               a2 = b.create_session("eni-1", target, filter, 1),
               b1 = b.create_session("eni-2", target, filter, 1),
               c2 = b.create_session("eni-3", target, filter, 2),
               a3 = b.create_session("eni-1", target, filter, 2);
    const auto restart = [&](std::size_t room) {
        b.plane.room = room;
        return std::make_unique<Requests>(b.store.load(), b.store, b.plane, b.settings);
    };
    const auto erase = [](Requests& requests, const std::string& id) {
        REQUIRE(
            requests.handle({"DeleteTrafficMirrorSession", {{"TrafficMirrorSessionId", id}}}).ok());
    };
    SECTION("in creation order, and a smaller one that fits is not held up") {
        const std::pair<std::size_t, std::set<std::string>> fits[] = {
            {7, {a1, a2, a3, b1, c1, c2, d1}},
            {6, {a1, a2, a3, c1, c2, d1}},
            {5, {a1, a2, a3, c1, c2}},
            {4, {a1, a2, a3, d1}},
            {3, {a1, a2, a3}},
            {2, {c1, c2}},
            {1, {d1}},
            {0, {}}};
        for (const auto& [room, expected] : fits) {
            CAPTURE(room);
            const auto requests = restart(room);
            CHECK(in_force(b.plane) == expected);
            CHECK(requests->disabled_count() == 7 - expected.size());
            CHECK(requests->disabled().size() == 7 - expected.size());
            for (const auto& [id, reason] : requests->disabled())
                CHECK_THAT(reason, Contains("session table has no room") && Contains("by itself"));
        }
    }
    SECTION("they come into force when others are deleted") {
        const auto requests = restart(4);
        erase(*requests, d1);
        CHECK(in_force(b.plane) == std::set{a1, a2, a3, b1});  // eni-3 wants two
        erase(*requests, a1);
        CHECK(in_force(b.plane) == std::set{a2, a3, b1});
        erase(*requests, a2);
        CHECK(in_force(b.plane) == std::set{a3, b1, c1, c2});
        CHECK(requests->disabled().empty());
    }
    SECTION("what they lack is said as it is now, and the next change touches them no more") {
        const auto requests = restart(3);
        CHECK_THAT(why(*requests, c1), Contains(": 5 sessions are wanted, it holds 3;"));
        erase(*requests, a1);
        CHECK(in_force(b.plane) == std::set{a2, a3, d1});
        CHECK_THAT(why(*requests, c1), Contains(": 4 sessions are wanted, it holds 3;"));
        CHECK(requests->handle({"CreateTrafficMirrorFilter"}).ok());
        CHECK(b.plane.touched.interfaces.empty());
    }
    SECTION("they may be modified, deleted and tagged, and stay disabled") {
        const auto requests = restart(4);
        const auto session = [&](const std::string& id, const char* member, const Json& value) {
            return requests
                ->handle({"ModifyTrafficMirrorSession",
                          {{"TrafficMirrorSessionId", id}, {member, value}}})
                .code;
        };
        CHECK(session(c1, "VirtualNetworkId", 5) == "");
        CHECK(session(c1, "SessionNumber", 2) == "InvalidParameterValue");
        CHECK(requests->handle({"CreateTags", {{"Resources", {c1}}, {"Tags", tags({{"k", "v"}})}}})
                  .ok());
        CHECK(in_force(b.plane) == std::set{a1, a2, a3, d1});
        // With one session less it would fit where there is room for one.
        erase(*requests, c2);
        CHECK(in_force(b.plane) == std::set{a1, a2, a3, d1});
        erase(*requests, d1);
        CHECK(in_force(b.plane) == std::set{a1, a2, a3, c1});
        CHECK(b.plane.in_force.sessions.at(c1).vni == 5);
        erase(*requests, b1);
        CHECK(requests->disabled().empty());
    }
    SECTION("a create is in force or fails, and a waiting interface comes into force with it") {
        const auto requests = restart(4);
        const auto create = [&](const char* interface, int number, bool dry_run = false) {
            auto p = b.session(interface, target, filter, number);
            p["DryRun"] = dry_run;
            return requests->handle({"CreateTrafficMirrorSession", p}).code;
        };
        for (const char* interface : {"eni-2", "eni-3", "eni-9", "eni-1", "eni-4"}) {
            CAPTURE(interface);
            for (const bool dry_run : {true, false})
                CHECK(create(interface, 9, dry_run) == "TrafficMirrorSessionLimitExceeded");
            CHECK(in_force(b.plane) == std::set{a1, a2, a3, d1});
            CHECK(requests->disabled_count() == 3);
        }
        // Of what came together, the delete makes room for the create.
        const auto replies = requests->handle(
            {Request{"DeleteTrafficMirrorSession", {{"TrafficMirrorSessionId", a1}}},
             Request{"DeleteTrafficMirrorSession", {{"TrafficMirrorSessionId", a2}}},
             Request{"CreateTrafficMirrorSession", b.session("eni-2", target, filter, 9)}});
        REQUIRE(replies.size() == 3);
        for (const auto& reply : replies) CHECK(reply.ok());
        CHECK(in_force(b.plane).size() == 4);
        CHECK(in_force(b.plane).count(b1) == 1);
        CHECK(requests->disabled_count() == 2);
    }
    SECTION("each table's lack is said") {
        const auto wide = b.filter();
        for (int i = 1; i <= 17; ++i) b.create_rule(wide, i);
        const auto ask = [&](Account account) {
            return std::make_unique<Requests>(std::move(account), b.store, b.plane, b.settings);
        };
        Account account = b.store.load();
        const auto put = [&](const std::string& interface, const std::string& its_filter,
                             int number) {
            TrafficMirrorSession session;
            session.id = "tms-" + interface + std::to_string(number);
            session.interface_id = interface;
            session.target_id = target;
            session.filter_id = its_filter;
            session.number = std::uint16_t(number);
            Change change;
            change.put = {session};
            account.apply(change);
            return session.id;
        };
        const auto with_rules = put("eni-5", wide, 1);
        std::string with_slots;
        for (int i = 1; i <= 4; ++i) with_slots = put("eni-6", filter, i);
        std::vector<std::string> of_filters;
        for (int i = 0; i < 5; ++i) {
            TrafficMirrorFilter another;
            another.id = "tmf-" + std::to_string(i);
            Change change;
            change.put = {another};
            account.apply(change);
            of_filters.push_back(put("eni-" + std::to_string(7 + i), another.id, 1));
        }
        auto requests = ask(account);
        CHECK_THAT(why(*requests, with_rules),
                   Contains("filter rule table") && Contains("delete some of them"));
        CHECK_THAT(why(*requests, with_slots), Contains("slot table") && Contains("4 sessions"));
        CHECK(why(*requests, of_filters[2]) == "");
        CHECK_THAT(why(*requests, of_filters[3]), Contains("filter table"));
        // Fewer rules, and it is in force.
        const auto rule = account.rules_of_filter(wide).front()->id;
        b.store = FakeStore(account);
        CHECK(requests
                  ->handle(
                      {"DeleteTrafficMirrorSession", {{"TrafficMirrorSessionId", of_filters[0]}}})
                  .ok());
        CHECK(why(*requests, of_filters[3]) == "");
        CHECK(requests
                  ->handle(
                      {"DeleteTrafficMirrorSession", {{"TrafficMirrorSessionId", of_filters[1]}}})
                  .ok());
        CHECK(requests
                  ->handle(
                      {"DeleteTrafficMirrorSession", {{"TrafficMirrorSessionId", of_filters[4]}}})
                  .ok());
        CHECK(why(*requests, with_rules) != "");
        CHECK(requests
                  ->handle({"DeleteTrafficMirrorFilterRule", {{"TrafficMirrorFilterRuleId", rule}}})
                  .ok());
        CHECK(why(*requests, with_rules) == "");
        CHECK(in_force(b.plane).count(with_rules) == 1);
        for (int i = 12; i <= 26; ++i) put("eni-" + std::to_string(i), filter, 1);
        requests = ask(account);
        CHECK_THAT(why(*requests, "tms-eni-261"), Contains("interface table"));
    }
    SECTION(
        "a device that fails when they come into force leaves them waiting, and its recovery or "
        "the next change takes them") {
        const bool tended = GENERATE(true, false);
        CAPTURE(tended);
        const auto requests = restart(4);
        int commits = 0;
        b.plane.before_commit = [&] {
            if (++commits == 2) throw std::runtime_error("the device lost a write");
        };
        erase(*requests, d1);
        CHECK(in_force(b.plane) == std::set{a1, a2, a3});
        CHECK(requests->disabled_count() == 3);
        CHECK(requests->device_trouble());
        if (tended)
            requests->tend();
        else
            CHECK(requests->handle({"CreateTrafficMirrorFilter"}).ok());
        CHECK(in_force(b.plane) == std::set{a1, a2, a3, b1});
    }
    SECTION("a change that fails leaves waiting what waited") {
        const auto requests = restart(4);
        b.store.before_commit = [] { throw StoreUnavailable("disk full"); };
        CHECK(requests->handle({"DeleteTrafficMirrorSession", {{"TrafficMirrorSessionId", d1}}})
                  .code == "Unavailable");
        CHECK(in_force(b.plane) == std::set{a1, a2, a3, d1});
        CHECK(requests->disabled_count() == 3);
        b.store.before_commit = [] {};
        b.plane.fails = true;
        CHECK(requests->handle({"DeleteTrafficMirrorSession", {{"TrafficMirrorSessionId", d1}}})
                  .code == "InternalError");
        b.plane.fails = false;
        CHECK(requests->disabled_count() == 3);
        erase(*requests, d1);
        CHECK(in_force(b.plane) == std::set{a1, a2, a3, b1});
    }
    SECTION("a reload makes what a start would") {
        const auto requests = restart(4);
        erase(*requests, d1);  // eni-2 is in force, younger than eni-3
        requests->replace_network(interfaces_without({"eni-1"}));
        CHECK(in_force(b.plane) == std::set{c1, c2, b1});
        requests->replace_network(interfaces().network());
        CHECK(in_force(b.plane) == std::set{a1, a2, a3, b1});
    }
}

TEST_CASE("H2 ten thousand sessions without room cost a start one plan, and a change little") {
    Bench b;
    const Account before = interfaces();
    Listed<NetworkInterface> network;
    for (const auto& interface : before.interfaces()) network.add(interface);
    TrafficMirrorTarget target;
    target.id = "tmt-1";
    target.address = "eni-0";
    TrafficMirrorFilter filter;
    filter.id = "tmf-1";
    Change change;
    change.put = {target, filter};
    for (int i = 0; i < 10000; ++i) {
        NetworkInterface interface;
        interface.id = "eni-x" + std::to_string(i);
        interface.ipv4 = IpAddress::parse("10.1.0.1");
        network.add(interface);
        TrafficMirrorSession session;
        session.id = "tms-" + std::to_string(i);
        session.interface_id = interface.id;
        session.target_id = "tmt-1";
        session.filter_id = "tmf-1";
        session.number = 1;
        change.put.push_back(session);
    }
    Account account;
    account.take_network(std::make_shared<const Network>(std::move(network), Listed<Vpc>()));
    account.apply(change);
    b.store = FakeStore(account);
    const auto commits = b.plane.commits;
    Requests requests(account, b.store, b.plane, b.settings);
    CHECK(b.plane.commits == commits + 1);
    CHECK(requests.disabled_count() == 9980);
    CHECK(requests.disabled().size() == 9980);
    for (int i = 0; i < 20; ++i) {
        CHECK(requests
                  .handle({"DeleteTrafficMirrorSession",
                           {{"TrafficMirrorSessionId", "tms-" + std::to_string(i)}}})
                  .ok());
        CHECK(in_force(b.plane).count("tms-" + std::to_string(20 + i)) == 1);
    }
    CHECK(requests.disabled_count() == 9960);
}

TEST_CASE("S8 the store is committed before the device, and put back when the device fails") {
    Bench b;
    const auto target = b.target(), filter = b.filter();
    std::string order;
    b.store.before_commit = [&] { order += "store "; };
    b.plane.before_commit = [&] { order += "device "; };
    const auto session = b.create_session("eni-1", target, filter, 1);
    CHECK(order == "store device ");
    const auto before = b.everything();

    b.plane.fails = true;
    order.clear();
    for (const auto& [action, p] :
         {std::pair{"CreateTrafficMirrorSession", b.session("eni-2", target, filter, 1)},
          std::pair{"DeleteTrafficMirrorSession", Json{{"TrafficMirrorSessionId", session}}},
          std::pair{"CreateTrafficMirrorFilterRule", b.rule(filter, 1, {{"ClientToken", "t"}})},
          std::pair{"ModifyTrafficMirrorSession",
                    Json{{"TrafficMirrorSessionId", session}, {"SessionNumber", 5}}}}) {
        const auto reply = b.handle(action, p);
        CHECK(reply.code == "InternalError");
        CHECK(reply.status == 500);
        CHECK(b.everything() == before);
    }
    CHECK(order.compare(0, 19, "store device store ") == 0);
    b.plane.fails = false;
    Requests restarted(b.store.load(), b.store, b.plane, b.settings);
    CHECK(restarted.handle({"DescribeTrafficMirrorSessions"}).body == before["Sessions"]);
    CHECK(b.plane.in_force.sessions.size() == 1);
    b.create_rule(filter, 1, {{"ClientToken", "t"}});  // the token was not used up
}

TEST_CASE("S8 a device that failed after it took a part is brought back") {
    Bench b;
    const auto target = b.target(), filter = b.filter();
    const auto session = b.create_session("eni-1", target, filter, 1);
    int calls = 0;
    b.plane.before_commit = [&] {
        if (++calls > 1) return;
        b.plane.in_force.sessions.clear();
        throw std::runtime_error("the device lost a write");
    };
    CHECK(b.handle("CreateTrafficMirrorSession", b.session("eni-2", target, filter, 1)).code ==
          "InternalError");
    CHECK(calls == 2);
    REQUIRE(b.plane.in_force.sessions.size() == 1);
    CHECK(b.plane.in_force.sessions.count(session) == 1);
}

TEST_CASE("a change is planned by what it touches, and from all where the device may differ") {
    Bench b;
    const auto target = b.target(), filter = b.filter();
    const auto create = [&](int interface) {
        return b.handle("CreateTrafficMirrorSession",
                        b.session("eni-" + std::to_string(interface), target, filter, 1));
    };
    int plans = b.plane.whole_plans;
    const auto check_whole = [&](int expected) {
        CHECK(b.plane.whole_plans - plans == expected);
        plans = b.plane.whole_plans;
    };
    // Only what this change touches, of the interface and its sessions.
    const auto check_small = [&](int interface) {
        CAPTURE(interface);
        const auto reply = create(interface);
        REQUIRE(reply.ok());
        check_whole(0);
        const std::string id = reply.body["TrafficMirrorSession"]["TrafficMirrorSessionId"];
        CHECK(b.plane.touched.interfaces == std::map<std::string, std::set<std::string>>{
                                                {"eni-" + std::to_string(interface), {id}}});
        CHECK(b.plane.touched.filters.empty());
    };
    check_small(1);
    check_small(2);
    b.create_rule(filter, 1);
    check_whole(0);
    CHECK(b.plane.touched.interfaces.empty());
    CHECK(b.plane.touched.filters == std::set{filter});
    b.requests.replace_network(interfaces().network());
    check_whole(1);
    check_small(3);
    b.requests.device_is_new();
    check_whole(1);
    check_small(4);
    // A failure that is over at once, and one that is not.
    bool failed = false;
    b.plane.before_commit = [&] {
        if (!std::exchange(failed, true)) throw std::runtime_error("the device lost a write");
    };
    CHECK_FALSE(create(5).ok());
    check_whole(1);
    check_small(6);
    b.plane.fails = true;
    CHECK_FALSE(create(7).ok());
    check_whole(1);
    CHECK_FALSE(create(7).ok());
    check_whole(2);  // what is wanted, and what was
    b.plane.fails = false;
    CHECK(create(7).ok());
    check_whole(1);
    check_small(8);
    // A store that fails, and what was tried alone, are no matter of the device.
    b.store.before_commit = [] { throw StoreUnavailable("disk full"); };
    CHECK_FALSE(create(9).ok());
    b.store.before_commit = [] {};
    auto dry = b.session("eni-9", target, filter, 1);
    dry["DryRun"] = true;
    CHECK(b.handle("CreateTrafficMirrorSession", dry).code == "DryRunOperation");
    CHECK(create(9).ok());
    check_whole(0);
}

TEST_CASE("H1 trouble with the device is told from the failure until a later try has succeeded") {
    Bench b;
    const auto target = b.target(), filter = b.filter();
    const auto create = [&](const char* interface) {
        return b.handle("CreateTrafficMirrorSession", b.session(interface, target, filter, 1)).code;
    };
    const auto trouble = [&] { return b.requests.device_trouble().value_or("none"); };
    const auto fails = [](const char* why) {
        return std::function<void()>([=] { throw std::runtime_error(why); });
    };
    const std::function<void()> works = [] {};
    const int commits = b.plane.commits;
    b.requests.tend();
    CHECK(trouble() == "none");
    CHECK(b.plane.commits == commits);  // nothing is done
    CHECK(b.plane.probes == 0);

    SECTION("of a commit, and then of a probe") {
        b.plane.before_commit = fails("commit");
        CHECK(create("eni-1") == "InternalError");
        CHECK(trouble() == "commit");
        b.plane.before_commit = fails("still");
        b.requests.tend();
        CHECK(trouble() == "still");
        CHECK(b.plane.probes == 0);
        b.plane.before_commit = works;
        b.plane.before_probe = fails("probe");
        b.requests.tend();
        CHECK(trouble() == "probe");
        b.plane.before_probe = works;
        b.requests.tend();
        CHECK(trouble() == "none");
        CHECK(b.plane.probes == 1);
        b.requests.tend();
        CHECK(b.plane.probes == 1);
        CHECK(create("eni-1") == "");
    }
    SECTION("of a commit that fails once, though what was is in force again at once") {
        const int before = b.plane.commits;
        b.plane.before_commit = [&] {
            b.plane.before_commit = works;
            throw std::runtime_error("a lost write");
        };
        CHECK(create("eni-1") == "InternalError");
        CHECK(b.plane.commits == before + 1);
        CHECK(trouble() == "a lost write");
        b.requests.tend();
        CHECK(trouble() == "none");
    }
    SECTION("of a plan") {
        b.plane.before_stage = fails("plan");
        CHECK(create("eni-1") == "InternalError");
        CHECK(trouble() == "plan");
        b.plane.before_stage = [] { throw DeviceGone("gone"); };
        CHECK(create("eni-1") == "Unavailable");
        CHECK(trouble() == "gone");
        b.plane.before_stage = works;
        b.requests.tend();
        CHECK(trouble() == "none");
        CHECK(create("eni-1") == "");
    }
    SECTION("of a new device") {
        b.plane.before_commit = fails("commit");
        b.requests.device_is_new();
        CHECK(trouble() == "commit");
        b.plane.before_commit = works;
        b.requests.device_is_new();
        CHECK(trouble() == "none");
    }
    SECTION("and a full table is none") {
        b.plane.room = 0;
        CHECK(create("eni-1") == "TrafficMirrorSessionLimitExceeded");
        CHECK(trouble() == "none");
    }
    CHECK(b.requests.store_trouble().value_or("none") == "none");
}

TEST_CASE("H1 trouble with the store is told from the failure until a later try has succeeded") {
    Bench b;
    const auto create = [&] { return b.handle("CreateTrafficMirrorFilter", Json::object()).code; };
    const auto trouble = [&] { return b.requests.store_trouble().value_or("none"); };
    const auto full = [](const char* why) {
        return std::function<void()>([=] { throw StoreUnavailable(why); });
    };
    const std::function<void()> works = [] {};
    b.requests.tend();
    CHECK(trouble() == "none");
    CHECK(b.store.commits == 0);  // nothing is done

    b.store.before_commit = full("disk full");
    CHECK(create() == "Unavailable");
    CHECK(trouble() == "disk full");
    b.store.before_commit = full("no memory");
    b.requests.tend();
    CHECK(trouble() == "no memory");
    b.store.before_commit = works;
    SECTION("a try of its own") {
        b.requests.tend();
        CHECK(b.store.commits == 1);
    }
    SECTION("the next change") { CHECK(create() == ""); }
    CHECK(trouble() == "none");
    b.requests.tend();
    CHECK(b.store.commits == 1);

    // What something else has done to it is found without a change.
    b.store.before_look = full("replaced");
    b.requests.tend();
    CHECK(trouble() == "replaced");
    b.store.before_look = works;
    b.requests.tend();
    CHECK(trouble() == "none");
    CHECK(b.requests.device_trouble().value_or("none") == "none");
}

TEST_CASE("S8 a reload that the device or the store does not take changes nothing, and says why") {
    Settings settings;
    settings.delete_orphans = true;
    Bench b(settings);
    const auto target = b.target(), filter = b.filter();
    const auto id = b.create_session("eni-1", target, filter, 1),
               other = b.create_session("eni-2", target, filter, 1);
    const auto before = b.everything();
    const auto reload = [&] { b.requests.replace_network(interfaces_without({"eni-1"})); };
    const auto check_as_before = [&] {
        CHECK(b.requests.account().interfaces().find("eni-1") != nullptr);
        CHECK(b.everything() == before);
        CHECK(b.requests.disabled().empty());
        CHECK(in_force(b.plane) == std::set{id, other});
    };
    SECTION("the device fails at the commit, once") {
        int calls = 0;
        b.plane.before_commit = [&] {
            if (++calls > 1) return;
            b.plane.in_force.sessions.clear();
            throw std::runtime_error("the device lost a write");
        };
        CHECK_THROWS_WITH(reload(), "the device lost a write");
        CHECK(calls == 2);  // it is brought back
        CHECK(b.requests.device_trouble() == std::string("the device lost a write"));
        check_as_before();
        CHECK(b.store.load().sessions().size() == 2);
    }
    SECTION("the device fails at the commit, and the store from then on") {
        b.plane.before_commit = [&] {
            b.store.before_commit = [] { throw StoreUnavailable("disk full"); };
            throw std::runtime_error("the device does not answer");
        };
        CHECK_THROWS_WITH(reload(), "the device does not answer");
        check_as_before();
        CHECK(b.store.load().sessions().size() == 1);
        CHECK(b.requests.store_trouble() == std::string("disk full"));
        b.plane.before_commit = b.store.before_commit = [] {};
        b.requests.tend();  // the store gets what it is owed
        CHECK_FALSE(b.requests.store_trouble());
        CHECK(b.store.load().sessions().size() == 2);
    }
    SECTION("the device fails at the plan") {
        b.plane.before_stage = [] { throw std::runtime_error("no plan"); };
        const auto commits = b.store.commits;
        CHECK_THROWS_WITH(reload(), "no plan");
        CHECK(b.store.commits == commits);
        check_as_before();
    }
    SECTION("the store fails") {
        const auto commits = b.plane.commits;
        b.store.before_commit = [] { throw StoreUnavailable("disk full"); };
        CHECK_THROWS_AS(reload(), StoreUnavailable);
        CHECK(b.requests.store_trouble() == std::string("disk full"));
        CHECK_FALSE(b.requests.device_trouble());
        CHECK(b.plane.commits == commits + 1);  // brought to what it was
        check_as_before();
    }
    b.plane.before_commit = b.plane.before_stage = b.store.before_commit = [] {};
    b.requests.tend();
    CHECK_FALSE(b.requests.device_trouble());
    CHECK_FALSE(b.requests.store_trouble());
    // And is taken later.
    CHECK(b.requests.replace_network(interfaces_without({"eni-1"})) == std::vector{id});
    CHECK(in_force(b.plane) == std::set{other});
    CHECK(b.store.load().sessions().size() == 1);
}

TEST_CASE("S8 a store that cannot be put back is put back with the next change, or at the end") {
    FakeStore store{interfaces()};
    FakePlane plane;
    Json before;
    std::string filter;
    const auto sessions = [](Requests& requests) {
        return requests.handle({"DescribeTrafficMirrorSessions"}).body;
    };
    {
        Requests requests(store.load(), store, plane);
        const auto ask = [&](const char* action, const Json& parameters) {
            return requests.handle({action, parameters});
        };
        const std::string target =
            ask("CreateTrafficMirrorTarget", {{"NetworkInterfaceId", "eni-0"}})
                .body["TrafficMirrorTarget"]["TrafficMirrorTargetId"];
        filter = ask("CreateTrafficMirrorFilter", Json::object())
                     .body["TrafficMirrorFilter"]["TrafficMirrorFilterId"];
        const auto create = [&](const char* interface) {
            return Request{"CreateTrafficMirrorSession",
                           {{"NetworkInterfaceId", interface},
                            {"TrafficMirrorTargetId", target},
                            {"TrafficMirrorFilterId", filter},
                            {"SessionNumber", 1}}};
        };
        REQUIRE(requests.handle(create("eni-1")).ok());
        before = sessions(requests);
        // The device fails, and the store from then on.
        const auto fail_both = [&](const std::vector<Request>& together) {
            plane.before_commit = [&] {
                store.before_commit = [] { throw StoreUnavailable("disk full"); };
                throw std::runtime_error("the device does not answer");
            };
            const auto replies = requests.handle(together);
            REQUIRE(replies.size() == together.size());
            for (const auto& reply : replies) CHECK_FALSE(reply.ok());
            CHECK(sessions(requests) == before);
            CHECK(store.load().sessions().size() > 1);
            CHECK(requests.handle(create("eni-3")).code == "Unavailable");
            plane.before_commit = [] {};
            store.before_commit = [] {};
        };
        fail_both({create("eni-2")});
        CHECK(sessions(requests) == before);
        REQUIRE(ask("CreateTrafficMirrorTarget", {{"NetworkInterfaceId", "eni-9"}}).ok());
        CHECK(store.load().sessions().size() == 1);
        CHECK(plane.in_force.sessions.size() == 1);
        fail_both({create("eni-4"), create("eni-5")});
    }
    CHECK(store.load().sessions().size() == 1);
    Requests restarted(store.load(), store, plane);
    CHECK(sessions(restarted) == before);
    CHECK(plane.in_force.sessions.size() == 1);
}

TEST_CASE("S8 a store that fails or is full leaves all as it was") {
    Bench b;
    const auto target = b.target(), filter = b.filter();
    b.store.before_commit = [] { throw StoreUnavailable("disk full"); };
    CHECK(b.error("CreateTrafficMirrorSession", b.session("eni-1", target, filter, 1)) ==
          "Unavailable");
    CHECK(b.handle("CreateTrafficMirrorFilter", Json::object()).status == 503);
    CHECK(b.plane.in_force.sessions.empty());
    b.store.before_commit = [] { throw std::runtime_error("I/O error"); };
    CHECK(b.error("CreateTrafficMirrorSession", b.session("eni-1", target, filter, 1)) ==
          "InternalError");
    b.store.before_commit = [] {};
    b.create_session("eni-1", target, filter, 1);
    CHECK(b.plane.in_force.sessions.size() == 1);
}

TEST_CASE("S8 tables brought up to date by each change are those made from the whole account") {
    Settings settings;
    settings.seed = 7;
    Bench b(settings);
    std::mt19937 random(7);
    INFO("seed 7");
    const auto pick = [&](const Json& list, const char* id) {
        return list.empty() ? std::string("x")
                            : list[random() % list.size()][id].get<std::string>();
    };
    int changes = 0;
    for (int i = 0; i < 600; ++i) {
        const auto sessions = b.described("Sessions", Json::object()),
                   targets = b.described("Targets", Json::object()),
                   all = b.described("Filters", Json::object()),
                   rules = b.described("FilterRules", Json::object());
        const auto session = pick(sessions, "TrafficMirrorSessionId"),
                   target = pick(targets, "TrafficMirrorTargetId"),
                   filter = pick(all, "TrafficMirrorFilterId"),
                   rule = pick(rules, "TrafficMirrorFilterRuleId");
        const auto interface = "eni-" + std::to_string(random() % 8);
        const int number = 1 + int(random() % 4);
        const std::pair<const char*, Json> choices[] = {
            {"CreateTrafficMirrorFilter", Json::object()},
            {"CreateTrafficMirrorTarget", {{"NetworkInterfaceId", interface}}},
            {"CreateTrafficMirrorFilterRule", b.rule(filter, number)},
            {"CreateTrafficMirrorSession", b.session(interface, target, filter, number)},
            {"CreateTrafficMirrorSession", b.session(interface, target, filter, number)},
            {"ModifyTrafficMirrorSession",
             {{"TrafficMirrorSessionId", session},
              {"SessionNumber", number},
              {"TrafficMirrorFilterId", filter},
              {"TrafficMirrorTargetId", target}}},
            {"ModifyTrafficMirrorFilterRule",
             {{"TrafficMirrorFilterRuleId", rule}, {"RuleNumber", number}}},
            {"ModifyTrafficMirrorFilterNetworkServices",
             {{"TrafficMirrorFilterId", filter}, {"AddNetworkServices", {"amazon-dns"}}}},
            {"DeleteTrafficMirrorSession", {{"TrafficMirrorSessionId", session}}},
            {"DeleteTrafficMirrorFilterRule", {{"TrafficMirrorFilterRuleId", rule}}},
            {"DeleteTrafficMirrorFilter", {{"TrafficMirrorFilterId", filter}}},
            {"DeleteTrafficMirrorTarget", {{"TrafficMirrorTargetId", target}}}};
        const auto& [action, p] = choices[random() % std::size(choices)];
        b.plane.fails = random() % 10 == 0;
        changes += b.handle(action, p).ok();
        b.plane.fails = false;

        const auto text = [](const TableState& tables) {
            std::string out;
            for (const auto& [id, each] : tables.interfaces) out += id + " ";
            for (const auto& [id, each] : tables.filters) {
                out += id + (each->amazon_dns ? " dns " : " ");
                for (const auto* list : {&each->ingress, &each->egress})
                    for (const auto& one : *list) out += one.id + " ";
            }
            for (const auto& [id, each] : tables.sessions)
                out += id + each.interface + each.filter + std::to_string(each.number) +
                       to_string(each.target_mac) + " ";
            return out;
        };
        REQUIRE(text(b.requests.tables()) == text(table_state(b.requests.account())));
        REQUIRE(text(b.requests.tables()) == text(table_state(b.store.load())));
        REQUIRE(text(b.plane.in_force) == text(b.requests.tables()));
    }
    CHECK(changes > 100);
}

TEST_CASE("S8 requests that come together are stored with one commit and answered each") {
    Bench b;
    const auto target = b.target(), filter = b.filter();
    const auto session = [&](const char* interface, int number) {
        return Request{"CreateTrafficMirrorSession",
                       {{"NetworkInterfaceId", interface},
                        {"TrafficMirrorTargetId", target},
                        {"TrafficMirrorFilterId", filter},
                        {"SessionNumber", number}}};
    };
    const std::vector<Request> together{session("eni-1", 1),
                                        {"DescribeTrafficMirrorSessions"},
                                        session("eni-1", 1),
                                        session("eni-2", 1),
                                        session("eni-1", 2)};
    const auto commits = b.store.commits, device = b.plane.commits;

    SECTION("all that can be had is had, and a listing among them has all of it") {
        const auto replies = b.requests.handle(together);
        REQUIRE(replies.size() == 5);
        CHECK(replies[0].ok());
        CHECK(replies[1].body["TrafficMirrorSessions"].size() == 3);
        CHECK(replies[2].code == "InvalidParameterValue");
        CHECK(replies[3].ok());
        CHECK(replies[4].ok());
        CHECK(b.store.commits == commits + 1);
        CHECK(b.plane.commits == device + 1);
    }
    SECTION("nothing is had when the store fails, and none is told of what the others wanted") {
        b.store.before_commit = [] { throw StoreUnavailable("the disk is full"); };
        const auto replies = b.requests.handle(together);
        for (const std::size_t i : {0u, 2u, 3u, 4u}) CHECK(replies[i].code == "Unavailable");
        CHECK(replies[1].body["TrafficMirrorSessions"].empty());
        const auto both = b.requests.handle({together[0], together[2]});
        REQUIRE(both.size() == 2);
        for (const auto& reply : both) CHECK(reply.code == "Unavailable");
        CHECK(b.plane.commits == device);
    }
    SECTION("what the device has no room for does not fail the others") {
        std::vector<Request> many;
        for (int i = 1; i <= 25; ++i)
            many.push_back(session(("eni-" + std::to_string(i)).c_str(), 1));
        b.settings.quotas.sources_per_target = 100;
        Requests requests(b.store.load(), b.store, b.plane, b.settings);
        const auto replies = requests.handle(many);
        std::size_t good = 0, full = 0;
        for (const auto& reply : replies) {
            good += reply.ok();
            full += reply.code == "TrafficMirrorSessionLimitExceeded";
        }
        CHECK(good == 20);
        CHECK(full == 5);
        CHECK(requests.account().sessions().size() == 20);
        CHECK(b.plane.in_force.sessions.size() == 20);
    }
}

namespace {

/// The ids that a listing has shown since the last call.
std::vector<std::string> shown_ids(Listing& listing, const char* member) {
    std::vector<std::string> out;
    for (const auto& item : listing.items()) out.push_back(item[member]);
    return out;
}

constexpr Portion one{1, Portion::Clock::time_point::max()};

std::shared_ptr<Listing> begin(Requests& requests, const Request& request) {
    auto reply = requests.handle(std::vector{request}, one).front();
    INFO(reply.code << " " << reply.message);
    REQUIRE(reply.ok());
    REQUIRE(reply.listing);
    return reply.listing;
}

}  // namespace

TEST_CASE("S9 a listing in portions shows what exists throughout once, whatever comes and goes") {
    Bench b;
    std::vector<std::string> ids;
    for (int i = 0; i < 6; ++i) ids.push_back(b.filter());
    const auto erase = [&](const std::string& id) {
        b.ask("DeleteTrafficMirrorFilter", {{"TrafficMirrorFilterId", id}});
    };
    const auto listing = begin(b.requests, {"DescribeTrafficMirrorFilters"});
    CHECK(shown_ids(*listing, "TrafficMirrorFilterId") == std::vector{ids[0]});
    erase(ids[0]);  // that was shown
    erase(ids[1]);  // that would be next
    b.ask("CreateTags", {{"Resources", {ids[2]}}, {"Tags", {{{"Key", "k"}, {"Value", "v"}}}}});
    REQUIRE(listing->go_on(one));
    const Json third = listing->items();
    CHECK(third[0]["TrafficMirrorFilterId"] == ids[2]);
    CHECK(third[0]["Tags"].size() == 1);
    erase(ids[5]);
    const auto late = b.filter();
    CHECK_FALSE(listing->go_on({}));
    CHECK(shown_ids(*listing, "TrafficMirrorFilterId") == std::vector{ids[3], ids[4], late});

    // The same of objects that are named.
    const auto named = begin(b.requests, {"DescribeTrafficMirrorFilters",
                                          {{"TrafficMirrorFilterIds", {ids[4], ids[2], ids[3]}}}});
    erase(ids[3]);
    CHECK_FALSE(named->go_on({}));
    CHECK(shown_ids(*named, "TrafficMirrorFilterId") == std::vector{ids[2], ids[4]});
}

TEST_CASE("S9 a listing of tags in portions shows each that exists throughout once") {
    Bench b;
    const auto first = b.filter(), second = b.filter(), third = b.filter();
    const auto tag = [&](const std::string& id, const std::string& key) {
        b.ask("CreateTags", {{"Resources", {id}}, {"Tags", {{{"Key", key}, {"Value", ""}}}}});
    };
    for (const auto& id : {first, second, third}) tag(id, "b");
    const auto listing = begin(b.requests, {"DescribeTags"});
    CHECK(shown_ids(*listing, "ResourceId") == std::vector{first});
    tag(first, "a");
    b.ask("DeleteTrafficMirrorFilter", {{"TrafficMirrorFilterId", second}});
    CHECK_FALSE(listing->go_on({}));
    CHECK(shown_ids(*listing, "ResourceId") == std::vector{third});
}

TEST_CASE("S9 a listing of interfaces is of the network that it began with") {
    Bench b;
    const auto listing = begin(b.requests, {"DescribeNetworkInterfaces"});
    b.requests.replace_network(std::make_shared<const Network>());
    CHECK_FALSE(listing->go_on({}));
    const auto ids = shown_ids(*listing, "NetworkInterfaceId");
    CHECK(ids.size() == interfaces().interfaces().size());
    CHECK(b.ask("DescribeNetworkInterfaces")["NetworkInterfaces"].empty());
}

TEST_CASE("S5 a listing's checks are done before its first portion") {
    Bench b;
    const auto code = [&](const Json& parameters) {
        const auto reply =
            b.requests.handle(std::vector{Request{"DescribeNetworkInterfaces", parameters}}, one)
                .front();
        CHECK_FALSE(reply.listing);
        return reply.code;
    };
    CHECK(code({{"NetworkInterfaceIds", {"eni-0", "eni-none"}}}) ==
          "InvalidNetworkInterfaceID.NotFound");
    CHECK(code({{"NextToken", "x"}}) == "InvalidNextToken");
    CHECK(code({{"DryRun", true}}) == "DryRunOperation");
    CHECK(code({{"Filters", {{{"Name", "nothing"}, {"Values", {"x"}}}}}}) ==
          "InvalidParameterValue");
}

TEST_CASE("S7 a Describe takes 50 filters and 200 values of each, and no more") {
    const std::string action = GENERATE("DescribeNetworkInterfaces", "DescribeVpcs", "DescribeTags",
                                        "DescribeTrafficMirrorSessions");
    CAPTURE(action);
    Bench b;
    const auto filters = [](std::size_t count, std::size_t values) {
        Json list = Json::array();
        for (std::size_t i = 0; i < count; ++i) {
            list.push_back({{"Name", "tag:k" + std::to_string(i)}, {"Values", Json::array()}});
            for (std::size_t v = 0; v < values; ++v)
                list.back()["Values"].push_back("*" + std::to_string(v));
        }
        return Json{{"Filters", list}};
    };
    b.ask(action, filters(50, 200));
    CHECK(b.error(action, filters(51, 1)) == "FilterLimitExceeded");
    CHECK_THAT(b.message, Contains("51") && Contains("50"));
    CHECK(b.error(action, filters(1, 201)) == "FilterLimitExceeded");
    CHECK_THAT(b.message, Contains("201") && Contains("200"));
}

TEST_CASE("S6 expired tokens go in bounded portions with creates, and reads leave them alone") {
    Bench b;
    const auto create = [&](const std::string& token) {
        return b
            .ask("CreateTrafficMirrorTarget",
                 {{"NetworkInterfaceId", "eni-0"},
                  {"ClientToken", token}})["TrafficMirrorTarget"]["TrafficMirrorTargetId"]
            .get<std::string>();
    };
    for (int i = 0; i < 300; ++i) create(std::to_string(i));
    const std::string last =
        b.ask("CreateTrafficMirrorTarget",
              {{"NetworkInterfaceId", "eni-0"},
               {"ClientToken", "last"}})["TrafficMirrorTarget"]["TrafficMirrorTargetId"];
    b.now += b.settings.token_life;
    const auto kept = [&] { return b.requests.account().tokens().size(); };
    b.ask("DescribeTrafficMirrorTargets");
    b.ask("DeleteTrafficMirrorTarget", {{"TrafficMirrorTargetId", last}});
    CHECK(kept() == 301);
    // One that expired is free again, though others are older.
    const auto again = create("last");
    CHECK(again != last);
    CHECK(create("last") == again);
    std::size_t before = 301;
    for (int i = 0; i < 5; ++i) {
        if (i > 0) create("new-" + std::to_string(i));
        const auto left = kept();
        CHECK(left <= before);
        CHECK(before - left <= 64);
        before = left;
    }
    CHECK(kept() == 5);
    CHECK(b.store.load().tokens().size() == 5);
}
