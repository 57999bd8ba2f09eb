// SPDX-License-Identifier: Apache-2.0
#include "host/account/account.hpp"

#include "catch.hpp"

using namespace mirrornic;

namespace {

TrafficMirrorFilter filter(const std::string& id, const std::string& description = "") {
    TrafficMirrorFilter out;
    out.id = id;
    out.description = description;
    return out;
}

TrafficMirrorSession session(const std::string& id, const std::string& of, std::uint32_t vni) {
    TrafficMirrorSession out;
    out.id = id;
    out.interface_id = "eni-" + of;
    out.target_id = "tmt-" + of;
    out.filter_id = "tmf-" + of;
    out.vni = vni;
    return out;
}

Change put(const std::vector<Object>& objects) {
    Change change;
    change.put = objects;
    return change;
}

Change erase(Kind kind, const std::string& id) {
    Change change;
    change.erased = {{kind, id, 0}};
    return change;
}

/// Ids and descriptions in creation order.
std::string filters_of(const Account& account) {
    std::string out;
    for (const auto& [sequence, each] : account.filters()) {
        CHECK(sequence == each.sequence);
        CHECK(account.filters().find(each.id) == &each);
        out += each.id + *each.description + " ";
    }
    return out;
}

/// The sessions that are found by what they use.
std::string sessions_of(const Account& account, const std::string& of) {
    std::string out;
    for (const auto& found :
         {account.sessions_of_interface("eni-" + of), account.sessions_of_target("tmt-" + of),
          account.sessions_of_filter("tmf-" + of)}) {
        for (const auto* each : found) out += each->id + " ";
        out += "| ";
    }
    return out;
}

const std::string none = "| | | ";

}  // namespace

TEST_CASE("S7 an id is its kind's prefix with letters, digits and hyphens behind it") {
    for (const char c : std::string("azAZ09-")) {
        CAPTURE(c);
        CHECK(is_id(std::string("eni-") + c, "eni-"));
        CHECK(is_id(std::string("eni-0") + c + "f", "eni-"));
    }
    for (const char c : std::string("/:@[`{ _.,\x80\xff\0", 13)) {
        CAPTURE(c);
        CHECK_FALSE(is_id(std::string("eni-") + c, "eni-"));
        CHECK_FALSE(is_id(std::string("eni-0") + c + "f", "eni-"));
    }
    for (const char* text : {"", "eni", "eni-", "en-0", "xeni-0", "tmt-0", "Eni-0"})
        CHECK_FALSE(is_id(text, "eni-"));
}

TEST_CASE("S7 a network load balancer's ARN names its partition, region, account, name and id") {
    const std::string start = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:loadbalancer/";
    for (const char* resource : {"net/m/50dc6c495c0c9188", "net/M-1/0", "net/m/EXAMPLEz9"})
        CHECK(load_balancer_of(start + resource) == resource);
    for (const char* partition : {"aws", "aws-cn", "aws-us-gov"})
        CHECK(load_balancer_of(std::string("arn:") + partition +
                               ":elasticloadbalancing:r:000000000000:loadbalancer/net/m/a") ==
              "net/m/a");
    for (const char* resource : {"", "net", "net/", "net/m", "net/m/", "net//a", "net//", "app/m/a",
                                 "gwy/m/a", "Net/m/a", "net/m/a/", "net/m/a/b", "net/m/a-b",
                                 "net/m/a b", "net/m/a:b", "net/m/-", "net/m/\x80"}) {
        CAPTURE(resource);
        CHECK_FALSE(load_balancer_of(start + resource));
    }
    const std::string end = ":loadbalancer/net/m/a", service = ":elasticloadbalancing:";
    for (const std::string& arn :
         {std::string(), std::string("x"), "arn:aws" + service + "r:11112222333" + end,
          "arn:aws" + service + "r:1111222233334" + end,
          "arn:aws" + service + "r:11112222333a" + end, "arn:aws" + service + ":111122223333" + end,
          "urn:aws" + service + "r:111122223333" + end,
          "arn:azure" + service + "r:111122223333" + end, "arn:aws:ec2:r:111122223333" + end,
          "arn:aws" + service + "r:111122223333:x" + end,
          "arn:aws" + service + "r:111122223333:targetgroup/net/m/a",
          " arn:aws" + service + "r:111122223333" + end}) {
        CAPTURE(arn);
        CHECK_FALSE(load_balancer_of(arn));
    }
}

TEST_CASE("S9 an object that is put again has its place in creation order, whatever its sequence") {
    Account account;
    Change first = put({filter("tmf-1"), filter("tmf-2"), filter("tmf-3")});
    account.apply(first);
    // The change is told the sequences, which a store keeps.
    CHECK(std::get<TrafficMirrorFilter>(first.put[2]).sequence ==
          account.filters().find("tmf-3")->sequence);
    auto again = filter("tmf-1", " changed");
    again.sequence = GENERATE(0u, 1u, 99u);
    Change second = put({again, filter("tmf-4")});
    Change inverse = account.apply(second);
    CHECK(filters_of(account) == "tmf-1 changed tmf-2 tmf-3 tmf-4 ");
    const Change redo = account.apply(inverse);
    CHECK(filters_of(account) == "tmf-1 tmf-2 tmf-3 ");
    CHECK(redo.put.size() == 2);
    // What is created after it was erased is new.
    Change gone = erase(Kind::filter, "tmf-1"), back = put({filter("tmf-1")});
    account.apply(gone);
    account.apply(back);
    CHECK(filters_of(account) == "tmf-2 tmf-3 tmf-1 ");
}

TEST_CASE("S9 what is created stands behind everything that was stored") {
    Account account;
    auto stored = filter("tmf-1");
    stored.sequence = 70;
    auto earlier = filter("tmf-2");
    earlier.sequence = 7;
    Change change = put({stored, earlier, filter("tmf-3")});
    account.apply(change);
    CHECK(filters_of(account) == "tmf-2 tmf-1 tmf-3 ");
    CHECK(account.filters().find("tmf-3")->sequence == 71);
}

TEST_CASE("S4 a session is found by what it uses now, and by nothing that it used") {
    Account account;
    Change first = put({session("tms-1", "a", 1), session("tms-2", "a", 2)});
    account.apply(first);
    CHECK(sessions_of(account, "a") == "tms-1 tms-2 | tms-1 tms-2 | tms-1 tms-2 | ");
    Change moved = put({session("tms-1", "b", 3)});
    Change inverse = account.apply(moved);
    CHECK(sessions_of(account, "a") == "tms-2 | tms-2 | tms-2 | ");
    CHECK(sessions_of(account, "b") == "tms-1 | tms-1 | tms-1 | ");
    CHECK_FALSE(account.vni_in_use(1));
    CHECK(account.vni_in_use(3));
    account.apply(inverse);
    CHECK(sessions_of(account, "a") == "tms-1 tms-2 | tms-1 tms-2 | tms-1 tms-2 | ");
    CHECK(sessions_of(account, "b") == none);
    CHECK(account.vni_in_use(1));
    CHECK_FALSE(account.vni_in_use(3));
    for (const char* id : {"tms-1", "tms-2", "tms-3"}) {
        Change gone = erase(Kind::session, id);
        account.apply(gone);
    }
    CHECK(sessions_of(account, "a") == none);
    CHECK(account.sessions().size() == 0);
}

TEST_CASE("S1 a VNI is in use until the last session that has it is gone") {
    Account account;
    Change first = put({session("tms-1", "a", 5), session("tms-2", "b", 5)});
    account.apply(first);
    for (const char* id : {"tms-1", "tms-2"}) {
        CHECK(account.vni_in_use(5));
        Change gone = erase(Kind::session, id);
        account.apply(gone);
    }
    CHECK_FALSE(account.vni_in_use(5));
}

TEST_CASE("S4 rules are found by their filter, and targets by what they reach") {
    Account account;
    TrafficMirrorFilterRule rule;
    rule.id = "tmfr-1";
    rule.filter_id = "tmf-1";
    TrafficMirrorTarget target;
    target.id = "tmt-1";
    target.address = "eni-1";
    Change first = put({rule, target});
    Change inverse = account.apply(first);
    CHECK(account.rules_of_filter("tmf-1").size() == 1);
    CHECK(account.targets_at("eni-1").size() == 1);
    NetworkInterface reached, other;
    reached.id = "eni-1";
    other.id = "eni-2";
    CHECK(account.target_on(reached) == account.targets().find("tmt-1"));
    CHECK(account.target_on(other) == nullptr);
    for (const char* id : {"tmfr-1", "tmt-1"}) CHECK(account.object(id));
    CHECK_FALSE(account.object("tmt-2"));
    account.apply(inverse);
    CHECK(account.rules_of_filter("tmf-1").empty());
    CHECK(account.targets_at("eni-1").empty());
    CHECK(account.target_on(reached) == nullptr);
    for (const char* id : {"tmfr-1", "tmt-1"}) CHECK_FALSE(account.object(id));
}

TEST_CASE("S6 tokens are kept by action and token, oldest first, and a change of them is undone") {
    using std::chrono::seconds;
    Account account;
    const std::chrono::system_clock::time_point start{};
    Change first;
    first.tokens_put = {{"A", "t", "p", "r", start + seconds(2)},
                        {"B", "t", "p", "r", start + seconds(1)}};
    account.apply(first);
    const auto oldest = [&] {
        std::string out;
        for (const auto& [time, key] : account.tokens_by_age()) out += key.first + key.second + " ";
        return out;
    };
    CHECK(oldest() == "Bt At ");
    Change second;
    second.tokens_erased = {{"B", "t"}, {"B", "unknown"}};
    second.tokens_put = {{"B", "t", "q", "s", start + seconds(3)}};
    Change inverse = account.apply(second);
    CHECK(oldest() == "At Bt ");
    CHECK(account.tokens().at({"B", "t"}).parameters == "q");
    account.apply(inverse);
    CHECK(oldest() == "Bt At ");
    CHECK(account.tokens().at({"B", "t"}).parameters == "p");
    CHECK(account.tokens().size() == 2);
}
