// SPDX-License-Identifier: Apache-2.0
#include "host/requests/request_script.hpp"

#include <filesystem>

#include "catch.hpp"
#include "host/configuration/configuration.hpp"

using namespace mirrornic;
using Catch::Matchers::Contains;

namespace {

struct NullPlane : Device {
    Staged stage(const TableState& desired, const Touched*) override {
        return std::make_shared<const TableState>(desired);
    }
    void commit(const Staged&) override {}
};

struct Bench {
    MemoryStore store{parse_configuration({{"a.json", R"({"NetworkInterfaces": [
        {"NetworkInterfaceId": "eni-1", "MacAddress": "02:00:00:00:00:01",
         "PrivateIpAddress": "10.0.0.1"},
        {"NetworkInterfaceId": "eni-2", "MacAddress": "02:00:00:00:00:02",
         "PrivateIpAddress": "10.0.0.2"}]})"}})
                          .account};
    NullPlane plane;
    Requests requests{store.load(), store, plane};

    std::vector<RequestOutcome> perform_all(const std::string& text) {
        auto file = RequestFile::parse("r.jsonl", text);
        std::vector<RequestOutcome> out;
        while (file.remaining()) out.push_back(file.perform_next(requests));
        return out;
    }
};

}  // namespace

TEST_CASE("requests of a file refer to earlier replies by name") {
    Bench b;
    const auto outcomes = b.perform_all(R"(
{"Action": "CreateTrafficMirrorTarget", "NetworkInterfaceId": "eni-2", "As": "t"}

{"Action": "CreateTrafficMirrorFilter", "As": "f", "Description": "cost: $${5}"}
{"Action": "CreateTrafficMirrorSession", "NetworkInterfaceId": "eni-1", "SessionNumber": 1, "VirtualNetworkId": 99, "TrafficMirrorTargetId": "${t.TrafficMirrorTarget.TrafficMirrorTargetId}", "TrafficMirrorFilterId": "${f.TrafficMirrorFilter.TrafficMirrorFilterId}", "As": "s"}
{"Action": "DescribeTrafficMirrorFilters", "As": "all"}
{"Action": "ModifyTrafficMirrorSession", "TrafficMirrorSessionId": "${s.TrafficMirrorSession.TrafficMirrorSessionId}", "SessionNumber": "${s.TrafficMirrorSession.VirtualNetworkId}", "Description": "${all.TrafficMirrorFilters[0].Description} and ${s.TrafficMirrorSession.SessionNumber}", "As": "m"}
{"Action": "ModifyTrafficMirrorSession", "TrafficMirrorSessionId": "${m.TrafficMirrorSession.TrafficMirrorSessionId}", "Description": "session ${m.TrafficMirrorSession.SessionNumber}"}
{"Action": "ModifyTrafficMirrorSession", "TrafficMirrorSessionId": "${m.TrafficMirrorSession.TrafficMirrorSessionId}", "Description": "${m.TrafficMirrorSession.SessionNumber} of ${s.TrafficMirrorSession.SessionNumber}, ${all.TrafficMirrorFilters[0].Tags}"}
)");
    REQUIRE(outcomes.size() == 7);
    for (const auto& outcome : outcomes) {
        CHECK(outcome.good);
        CHECK(outcome.complaint.empty());
    }
    const auto& session = outcomes[4].reply.body["TrafficMirrorSession"];
    CHECK(session["SessionNumber"] == 99);  // the reply's type, a number
    CHECK(session["Description"] == "cost: ${5} and 1");
    // A reference with text before or behind it is text.
    const auto description = [&](std::size_t i) {
        return outcomes[i].reply.body["TrafficMirrorSession"]["Description"];
    };
    CHECK(description(5) == "session 99");
    CHECK(description(6) == "99 of 1, []");
    CHECK(outcomes[0].line == 2);
    CHECK(outcomes[4].line == 7);
    CHECK(outcomes[0].record() == Json{{"Line", 2},
                                       {"Action", "CreateTrafficMirrorTarget"},
                                       {"Reply", outcomes[0].reply.body}});
}

TEST_CASE("S7 a failed request is reported with its line and code, and the rest goes on") {
    Bench b;
    const auto outcomes = b.perform_all(
        R"({"Action": "DeleteTrafficMirrorFilter", "TrafficMirrorFilterId": "tmf-0"}
{"Action": "DeleteTrafficMirrorFilter", "TrafficMirrorFilterId": "tmf-0", "ExpectError": "InvalidTrafficMirrorFilterId.NotFound"}
{"Action": "DeleteTrafficMirrorFilter", "TrafficMirrorFilterId": "tmf-0", "ExpectError": "DryRunOperation"}
{"Action": "CreateTrafficMirrorFilter", "ExpectError": "InvalidParameterValue", "As": "f"}
{"Action": "NoSuchAction", "As": "failed"}
{"Action": "DeleteTrafficMirrorFilter", "TrafficMirrorFilterId": "${failed.Id}"}
{"Action": "DeleteTrafficMirrorFilter", "TrafficMirrorFilterId": "${f.TrafficMirrorFilter.Id}"}
{"Action": "DeleteTrafficMirrorFilter", "TrafficMirrorFilterId": "${f.TrafficMirrorFilter.Tags[0]}"}
{"Action": "DeleteTrafficMirrorFilter", "TrafficMirrorFilterId": "${f.TrafficMirrorFilter.TrafficMirrorFilterId}"})");
    REQUIRE(outcomes.size() == 9);
    const bool good[] = {false, true, false, false, false, false, false, false, true};
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
        INFO("line " << i + 1);
        CHECK(outcomes[i].good == good[i]);
        CHECK(outcomes[i].complaint.empty() == good[i]);
    }
    CHECK(outcomes[0].complaint ==
          "r.jsonl:1: DeleteTrafficMirrorFilter: InvalidTrafficMirrorFilterId.NotFound: "
          "TrafficMirrorFilterId: \"tmf-0\" does not exist");
    CHECK(outcomes[1].record() ==
          Json{{"Line", 2},
               {"Action", "DeleteTrafficMirrorFilter"},
               {"Error",
                {{"Code", "InvalidTrafficMirrorFilterId.NotFound"},
                 {"Message", "TrafficMirrorFilterId: \"tmf-0\" does not exist"}}},
               {"ExpectError", "InvalidTrafficMirrorFilterId.NotFound"}});
    CHECK_THAT(outcomes[2].complaint,
               Contains("r.jsonl:3: ") && Contains("expected DryRunOperation, but InvalidTraffic"));
    CHECK(outcomes[3].complaint ==
          "r.jsonl:4: CreateTrafficMirrorFilter: expected "
          "InvalidParameterValue, but it succeeded");
    CHECK_THAT(outcomes[4].complaint, Contains("InvalidAction"));
    CHECK_THAT(outcomes[5].complaint, Contains("${failed.Id}: the request of this name failed"));
    CHECK(outcomes[5].reply.code == "UnresolvedReference");
    CHECK_THAT(outcomes[6].complaint,
               Contains("${f.TrafficMirrorFilter.Id} names nothing in the reply"));
    CHECK_THAT(outcomes[7].complaint, Contains("Tags[0]} names nothing"));
}

TEST_CASE("S8 a request acts before the frame or time that it names, in file order") {
    Bench b;
    auto file = RequestFile::parse("r.jsonl", R"({"Action": "CreateTrafficMirrorFilter"}
{"Action": "CreateTrafficMirrorFilter", "AtFrame": 1}
{"Action": "CreateTrafficMirrorFilter", "AtFrame": 10}
{"Action": "CreateTrafficMirrorFilter"}
{"Action": "CreateTrafficMirrorFilter", "AtTime": 0.5}
{"Action": "CreateTrafficMirrorFilter", "AtFrame": 11}
)");
    const auto perform = [&](std::uint64_t frame, double seconds) {
        std::size_t count = 0;
        for (; file.due(frame, seconds); ++count) file.perform_next(b.requests);
        return count;
    };
    CHECK(file.remaining() == 6);
    CHECK(perform(1, 0) == 2);
    CHECK(perform(9, 0.9) == 0);
    CHECK(perform(10, 0.4) == 2);  // and what follows without a moment of its own
    CHECK(file.next_line() == 5);
    CHECK(perform(12, 0.4) == 0);  // the one for frame 11 waits for the one before it
    CHECK(perform(13, 0.5) == 2);
    CHECK(file.remaining() == 0);
    CHECK(file.next_line() == 0);
    CHECK_FALSE(file.due(99, 99));
}

TEST_CASE("a request file is checked as a whole, before anything is performed") {
    const std::string good = R"({"Action": "CreateTrafficMirrorFilter", "As": "f"})";
    const auto line = [](const std::string& more) {
        return R"({"Action": "CreateTrafficMirrorFilter", )" + more + "}";
    };
    const std::pair<std::string, std::string> cases[] = {
        {good + "\n\n{\"Action\":", "r.jsonl:3: column 11: "},
        {"[]", "r.jsonl:1: [] is not an object with an Action"},
        {"{}", "r.jsonl:1: Action: a request needs one"},
        {R"({"Action": 7})", "r.jsonl:1: Action: a request needs one"},
        {R"({"Action": "x", "Action": "y"})", "r.jsonl:1: member \"Action\" appears twice"},
        {line(R"("AtFrame": 0)"), "AtFrame: 0 is not a whole number from 1"},
        {line(R"("AtFrame": 1.5)"), "AtFrame: 1.5 is not"},
        {line(R"("AtFrame": "1")"), "AtFrame: \"1\" is not"},
        {line(R"("AtTime": -1)"), "AtTime: -1 is not a number of seconds from 0"},
        {line(R"("AtTime": 1, "AtFrame": 1)"), "AtFrame and AtTime exclude each other"},
        {line(R"("AtFrame": 5)") + "\n" + good + "\n" + line(R"("AtFrame": 4)"),
         "r.jsonl:3: AtFrame: 4 is before the 5 of an earlier line"},
        {line(R"("AtTime": 5.5)") + "\n" + line(R"("AtTime": 5.4)"),
         "r.jsonl:2: AtTime: 5.4 is before the 5.5"},
        {line(R"("ExpectError": "NotFound")"),
         "ExpectError: \"NotFound\" is no error code of this API"},
        {line(R"("ExpectError": null)"), "ExpectError: null"},
        {line(R"("As": "a b")"), "As: \"a b\" is not a name"},
        {line(R"("As": "")"), "As: \"\" is not a name"},
        {line(R"("As": "0f")"), "As: \"0f\" is not a name"},
        {line(R"("As": "9f")"), "As: \"9f\" is not a name"},
        {line(R"("As": "f.g")"), "As: \"f.g\" is not a name"},
        {line(R"("As": 7)"), "As: 7 is not a name"},
        {good + "\n" + good, "r.jsonl:2: As: \"f\" is already the name"},
        {line(R"("Description": "${g.x}")"), "${g.x}: no earlier line has \"As\": \"g\""},
        {line(R"("As": "f", "Description": "${f.x}")"), "${f.x}: no earlier line"},
        {good + "\n" + line(R"("Description": "${f.x")"),
         "r.jsonl:2: \"${f.x\" has a ${ without }"},
        {good + "\n" + line(R"("TagSpecifications": [{"Tags": [{"Key": "${g}"}]}])"), "${g}: no"},
    };
    for (const auto& [text, message] : cases) {
        INFO(text);
        CHECK_THROWS_WITH(RequestFile::parse("r.jsonl", text), Contains(message));
        CHECK_THROWS_AS(RequestFile::parse("r.jsonl", text), RequestFileError);
    }
    CHECK(RequestFile::parse("r.jsonl", "").remaining() == 0);
    CHECK(RequestFile::parse("r.jsonl", "\n \t\r\n" + good + "\r\n").remaining() == 1);
    CHECK_THROWS_WITH(RequestFile::read("/nowhere/r.jsonl"),
                      "/nowhere/r.jsonl: No such file or directory");
}

TEST_CASE("the demo's configuration and requests are good") {
    const auto folder = std::filesystem::path(__FILE__).parent_path() / "demo";
    const auto configuration = read_configuration({(folder / "config.json").string()});
    CHECK(configuration.warnings.empty());
    MemoryStore store(configuration.account);
    NullPlane plane;
    Requests requests(store.load(), store, plane);
    auto file = RequestFile::read((folder / "requests.jsonl").string());
    while (file.remaining()) {
        const auto outcome = file.perform_next(requests);
        INFO(outcome.complaint);
        CHECK(outcome.good);
    }
    CHECK(requests.tables().sessions.size() == 3);
    CHECK(requests.tables().interfaces.size() == 2);
}
