// SPDX-License-Identifier: Apache-2.0
// Random requests over accounts whose objects name interfaces that are not there, while the network
// is replaced, the device is small and fails, and the store fails.
#include "holes.hpp"

#include <cstdlib>
#include <iostream>
#include <random>
#include <set>

#include "catch.hpp"
#include "folder.hpp"
#include "host/requests/perform_actions.hpp"
#include "host/requests/request_service.hpp"
#include "host/store/sqlite_store.hpp"
#include "table_text.hpp"

using namespace mirrornic;

namespace {

/// Random cases repeat with MIRRORNIC_SEED set to the seed that they print.
std::uint32_t seed_of_run() {
    const char* text = std::getenv("MIRRORNIC_SEED");
    return text ? std::uint32_t(std::stoul(text)) : std::random_device()();
}

struct Random : std::mt19937 {
    explicit Random(std::uint32_t seed = 1) : std::mt19937(seed) {}
    unsigned below(std::size_t n) { return unsigned((*this)() % n); }
    bool percent(unsigned n) { return below(100) < n; }
    template <class T>
    const T& one(const std::vector<T>& list) {
        return list[below(list.size())];
    }
};

Json text_of(const TableState& tables) {
    Json out = {
        {"sessions", Json::object()}, {"filters", Json::object()}, {"interfaces", Json::object()}};
    for (const auto& [id, session] : tables.sessions)
        out["sessions"][id] =
            session.interface + " " + session.filter + " " +
            describe_slot(session.number, entry_of(session), *tables.filters.at(session.filter));
    for (const auto& [id, filter] : tables.filters) out["filters"][id] = describe(*filter);
    for (const auto& [id, one] : tables.interfaces)
        out["interfaces"][id] = one.resolver ? one.resolver->to_string() : "no resolver";
    return out;
}

/// Objects, tags and tokens: what is stored.
Json text_of(const Account& account) {
    Json out = Json::array();
    const auto add = [&](const auto& objects) {
        for (const auto& [sequence, object] : objects)
            out.push_back({sequence, reply_of(account, object)});
    };
    add(account.targets());
    add(account.filters());
    add(account.rules());
    add(account.sessions());
    for (const auto& [_, token] : account.tokens())
        out.push_back({token.action, token.token, token.parameters, token.reply,
                       token.time.time_since_epoch() / std::chrono::seconds(1)});
    return out;
}

/// A small device that fails when it may, and checks what it is told of a change.
struct Plane : Device {
    struct Next {
        TableState tables;
        bool whole;
    };
    explicit Plane(Random& source) : random(source) { renew(); }

    Random& random;
    TableSizes size{};
    TableState in_force;
    bool may_fail = false, may_refuse = false;
    bool known = false;  // in_force is what was committed last
    std::string fault;

    void renew() {
        const unsigned most = random.percent(60) ? 2 : 9;
        size = {1 + random.below(most), 1 + random.below(4),    1 + random.below(most),
                1 + random.below(4),    1 + random.below(most), 16};
        known = false;
    }
    void fail(const char* where) const {
        if (!may_fail || !random.percent(12)) return;
        if (random.percent(50)) throw DeviceGone(std::string("gone: ") + where);
        throw DeviceError(std::string("lost a write: ") + where);
    }
    static void check_room(const TableState& tables, const TableSizes& size) {
        std::map<std::string, unsigned> slots;
        std::set<std::string> filters;
        for (const auto& [_, session] : tables.sessions) {
            if (++slots[session.interface] > size.slots) throw TableFull("slot", "full");
            filters.insert(session.filter);
        }
        for (const auto& id : filters) {
            const Filter& filter = *tables.filters.at(id);
            if (std::max(filter.ingress.size(), filter.egress.size()) > size.rules_per_direction)
                throw TableFull("filter rule", "full");
        }
        if (slots.size() > size.interfaces) throw TableFull("interface", "full");
        if (filters.size() > size.filters) throw TableFull("filter", "full");
        if (tables.sessions.size() > size.sessions) throw TableFull("session", "full");
    }
    /// What differs from what is in force was named.
    void check_touched(const TableState& tables, const Touched& touched) {
        if (!known) fault = "a change was named of a device whose tables are not known";
        const Json before = text_of(in_force), after = text_of(tables);
        for (const auto& change : Json::diff(before, after)) {
            const auto path = change["path"].get<std::string>();
            const auto id = path.substr(path.rfind('/') + 1);
            const auto in_either = [&](const auto& of) {
                return of(in_force, id) || of(tables, id);
            };
            const bool named =
                path.compare(0, 9, "/filters/") == 0 ? touched.filters.count(id) != 0
                : path.compare(0, 10, "/sessions/") != 0
                    ? touched.interfaces.count(id) != 0
                    : in_either([&](const TableState& state, const std::string& session) {
                          const auto at = state.sessions.find(session);
                          return at != state.sessions.end() &&
                                 (touched.interfaces.count(at->second.interface) != 0 ||
                                  touched.filters.count(at->second.filter) != 0);
                      });
            if (!named) fault = path + " changed and was not named";
        }
        for (const auto& [id, session] : tables.sessions) {
            const auto at = touched.interfaces.find(session.interface);
            if (at != touched.interfaces.end() && at->second.count(id) == 0)
                fault = id + " was not named with its interface";
        }
    }

    TableSizes sizes() const override { return size; }
    Staged stage(const TableState& tables, const Touched* touched) override {
        fail("stage");
        if (may_refuse && random.percent(4)) throw TableFull("filter", "none is free to change");
        check_room(tables, size);
        if (touched) check_touched(tables, *touched);
        return std::make_shared<const Next>(Next{tables, !touched});
    }
    void commit(const Staged& staged) override {
        const auto& next = *std::static_pointer_cast<const Next>(staged);
        if (!known && !next.whole) fault = "a device whose tables are not known got a part";
        known = may_refuse = false;
        fail("before the commit");
        in_force = next.tables;
        if (may_fail && random.percent(3) && !in_force.sessions.empty())
            in_force.sessions.erase(in_force.sessions.begin());
        else
            known = true;
        if (!known) throw DeviceError("lost a session");
    }
    void probe() override { fail("probe"); }
};

/// Another store that fails when it may, before it keeps anything.
struct FailingStore : Store {
    FailingStore(Random& source, std::unique_ptr<Store> other)
        : random(source), kept(std::move(other)) {}
    Random& random;
    std::unique_ptr<Store> kept;
    bool may_fail = false;

    Account load() override { return kept->load(); }
    void commit(const std::vector<Change>& changes) override {
        if (may_fail && random.percent(8)) throw StoreUnavailable("disk full");
        if (may_fail && random.percent(4)) throw std::runtime_error("I/O error");
        kept->commit(changes);
    }
    std::optional<std::string> note(const std::string& key) override { return kept->note(key); }
    void commit(const Change& change, const std::string& key, const std::string& value) override {
        kept->commit(change, key, value);
    }
};

const std::string balancer = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:loadbalancer/";
const std::vector<std::string> balancers{"net/a/50dc6c495c0c9188", "net/b/50dc6c495c0c9189"};
const std::vector<std::string> endpoints{"vpce-0123456789abcdef0", "vpce-0123456789abcdef1"};
const std::vector<std::string> sources{"eni-0", "eni-1", "eni-2", "eni-3", "eni-4", "eni-5"};
const std::vector<std::string> collectors{"eni-6", "eni-7", "eni-8"};

std::shared_ptr<const Network> a_network(Random& random) {
    const unsigned there = random.one(std::vector<unsigned>{0, 50, 90, 100, 100, 100, 100, 100});
    const unsigned without = random.one(std::vector<unsigned>{0, 0, 15, 40});
    Listed<NetworkInterface> interfaces;
    Listed<Vpc> vpcs;
    unsigned n = 0;
    const auto add = [&](const std::string& id, const std::string& description) {
        ++n;
        if (!random.percent(there)) return;
        auto& one = interfaces.of(id);
        one.mac = {2, 0, 0, 0, std::uint8_t(random.below(2)), std::uint8_t(n)};
        one.description = description;
        one.mtu = std::uint16_t(random.percent(80) ? 9001 : 576 + random.below(9000));
        if (!random.percent(without)) one.ipv4 = IpAddress::parse("10.0.0." + std::to_string(n));
        if (!random.percent(50 + without / 2))
            one.ipv6 = {IpAddress::parse("2001:db8::" + std::to_string(n))};
        one.vpc_id = random.one(std::vector<std::string>{"", "vpc-0", "vpc-1", "vpc-gone"});
        one.availability_zone = random.one(std::vector<std::string>{"", "a", "b"});
    };
    for (const auto& id : sources) add(id, random.percent(3) ? "ELB " + balancers[0] : "");
    for (const auto& id : collectors) add(id, "");
    for (int i = 0; i < 2; ++i) {
        add("eni-a" + std::to_string(i), "ELB " + random.one(balancers));
        add("eni-e" + std::to_string(i), "VPC Endpoint Interface " + random.one(endpoints));
    }
    for (const char* id : {"vpc-0", "vpc-1"})
        if (random.percent(there) && random.percent(70))
            vpcs.of(id).cidr = Cidr::parse("10.0.0.0/16");
    return std::make_shared<const Network>(std::move(interfaces), std::move(vpcs));
}

/// An account that is asked for anything while its surroundings change.
struct World {
    Random random;
    Settings settings;
    std::chrono::system_clock::time_point now{std::chrono::hours(1000)};
    Plane plane{random};
    FailingStore store;
    std::unique_ptr<Requests> requests;
    std::size_t good = 0, bad = 0, disabled = 0, waited = 0;

    World(std::uint32_t seed, std::unique_ptr<Store> kept)
        : random(seed), store(random, std::move(kept)) {
        settings.seed = seed;
        settings.quotas = {4, 5, 6, 20, 9, 7};
        settings.token_life = std::chrono::seconds(40);
        settings.now = [this] { return now; };
        settings.delete_orphans = random.percent(20);
        Change change = test::holes("eni-0", "eni-6", 1);
        Account account;
        account.apply(change);
        store.commit({change});
        start(a_network(random));
    }
    void start(std::shared_ptr<const Network> network) {
        may_fail(false);
        requests.reset();  // writes what is owed
        Account account = store.load();
        account.take_network(std::move(network));
        requests = std::make_unique<Requests>(std::move(account), store, plane, settings);
    }
    void may_fail(bool may) { plane.may_fail = store.may_fail = may; }

    template <class T>
    std::string any(const Ordered<T>& objects, const char* prefix) {
        if (objects.size() == 0 || random.percent(4)) return std::string(prefix) + "none";
        return std::next(objects.begin(), random.below(objects.size()))->second.id;
    }
    Request a_request() {
        const Account& account = requests->account();
        const auto target = any(account.targets(), "tmt-"), filter = any(account.filters(), "tmf-"),
                   rule = any(account.rules(), "tmfr-"), session = any(account.sessions(), "tms-");
        const auto number = int(random.below(12));  // 0 is none
        const auto tag = Json{{"Key", random.one(std::vector<std::string>{"a", "b", "aws:c"})},
                              {"Value", std::to_string(random.below(3))}};
        const auto resource = random.one(std::vector<std::string>{target, filter, rule, session});
        const auto cidr =
            random.one(std::vector<std::string>{"0.0.0.0/0", "10.1.0.0/16", "::/0", "10/8"});
        const std::vector<Request> choices{
            {"CreateTags", {{"Resources", {resource, session}}, {"Tags", {tag}}}},
            {"DeleteTags", {{"Resources", {resource}}, {"Tags", {tag}}}},
            {"CreateTrafficMirrorFilter",
             {{"TagSpecifications",
               {{{"ResourceType", "traffic-mirror-filter"}, {"Tags", {tag}}}}}}},
            {"CreateTrafficMirrorTarget", {{"NetworkInterfaceId", random.one(collectors)}}},
            {"CreateTrafficMirrorTarget",
             {{"NetworkInterfaceId", random.one(random.percent(10) ? sources : collectors)}}},
            {"CreateTrafficMirrorTarget",
             {{"NetworkLoadBalancerArn", balancer + random.one(balancers)}}},
            {"CreateTrafficMirrorTarget",
             {{"GatewayLoadBalancerEndpointId", random.one(endpoints)}}},
            {"CreateTrafficMirrorFilterRule",
             {{"TrafficMirrorFilterId", filter},
              {"TrafficDirection", random.percent(70) ? "ingress" : "egress"},
              {"RuleNumber", number},
              {"RuleAction", "accept"},
              {"SourceCidrBlock", cidr},
              {"DestinationCidrBlock", random.percent(80) ? cidr : "0.0.0.0/0"}}},
            create_session(target, filter, number),
            create_session(target, filter, number),
            create_session(target, filter, number),
            create_session(target, filter, number),
            {"ModifyTrafficMirrorFilterNetworkServices",
             {{"TrafficMirrorFilterId", filter},
              {random.percent(50) ? "AddNetworkServices" : "RemoveNetworkServices",
               {"amazon-dns"}}}},
            {"ModifyTrafficMirrorFilterRule",
             {{"TrafficMirrorFilterRuleId", rule},
              {"RuleNumber", number},
              {"TrafficDirection", random.percent(50) ? "ingress" : "egress"}}},
            modify_session(session, target, filter, number),
            modify_session(session, target, filter, number),
            {"DeleteTrafficMirrorSession", {{"TrafficMirrorSessionId", session}}},
            {"DeleteTrafficMirrorFilterRule", {{"TrafficMirrorFilterRuleId", rule}}},
            {"DeleteTrafficMirrorFilter", {{"TrafficMirrorFilterId", filter}}},
            {"DeleteTrafficMirrorTarget", {{"TrafficMirrorTargetId", target}}},
            {random.one(actions()).name, Json::object()}};
        Request request = random.one(choices);
        if (random.percent(10)) request.parameters["DryRun"] = true;
        if (request.action.compare(0, 8, "CreateTr") == 0 && random.percent(25))
            request.parameters["ClientToken"] = "t" + std::to_string(random.below(4));
        if (random.percent(2)) request.parameters["Colour"] = "green";
        return request;
    }
    Request create_session(const std::string& target, const std::string& filter, int number) {
        return {"CreateTrafficMirrorSession",
                {{"NetworkInterfaceId", random.one(sources)},
                 {"TrafficMirrorTargetId", target},
                 {"TrafficMirrorFilterId", filter},
                 {"SessionNumber", number}}};
    }
    Request modify_session(const std::string& session, const std::string& target,
                           const std::string& filter, int number) {
        const Json members = {{"TrafficMirrorTargetId", target},
                              {"TrafficMirrorFilterId", filter},
                              {"SessionNumber", number},
                              {"PacketLength", 64},
                              {"VirtualNetworkId", 5},
                              {"Description", "d"},
                              {"RemoveFields", {"virtual-network-id"}}};
        Json p = {{"TrafficMirrorSessionId", session}};
        for (const auto& [name, value] : members.items())
            if (random.percent(25)) p[name] = value;
        return {"ModifyTrafficMirrorSession", p};
    }

    /// What is asked for, and that what fails changes nothing.
    void ask() {
        std::vector<Request> together;
        for (unsigned i = random.percent(70) ? 1 : 2 + random.below(4); i > 0; --i)
            together.push_back(a_request());
        Json all = Json::array();
        for (const auto& each : together) all.push_back({each.action, each.parameters});
        INFO(all);
        const Json account = text_of(requests->account()), tables = text_of(requests->tables());
        plane.may_refuse = plane.may_fail;  // of a change; what waited only takes what is free
        const auto replies = requests->handle(together);
        plane.may_refuse = false;
        REQUIRE(replies.size() == together.size());
        bool changed = false;
        for (std::size_t i = 0; i < replies.size(); ++i) {
            INFO(together[i].action << ": " << replies[i].code << ": " << replies[i].message);
            (replies[i].ok() ? good : bad) += 1;
            changed |= replies[i].ok() && !is_read(together[i].action);
            REQUIRE(replies[i].ok() == replies[i].message.empty());
            REQUIRE((plane.may_fail || replies[i].status < 500));
        }
        if (changed) return;
        REQUIRE(text_of(requests->account()) == account);
        REQUIRE(text_of(requests->tables()) == tables);
    }
    void replace() {
        const Json account = text_of(requests->account()), tables = text_of(requests->tables());
        const auto former = requests->account().network();
        try {
            for (const auto& id : requests->replace_network(a_network(random)))
                REQUIRE(!requests->account().sessions().find(id));
        } catch (const std::exception& error) {
            INFO(error.what());
            REQUIRE(plane.may_fail);
            if (dynamic_cast<const DeviceError*>(&error)) REQUIRE(requests->device_trouble());
            REQUIRE(requests->account().network() == former);
            REQUIRE(text_of(requests->account()) == account);
            REQUIRE(text_of(requests->tables()) == tables);
        }
    }
    void step() {
        may_fail(random.percent(40));
        now += std::chrono::seconds(random.below(4));
        const auto what = random.below(100);
        if (what < 12)
            replace();
        else if (what < 18)
            plane.renew(), requests->device_is_new();
        else if (what < 23)
            requests->tend();
        else if (what < 25)
            start(requests->account().network());
        else
            ask();
        check_in_force();
        if (random.percent(30)) recover();
        if (random.percent(10)) check_described();
    }

    void check_in_force() {
        REQUIRE(plane.fault == "");
        if (plane.known) REQUIRE(text_of(plane.in_force) == text_of(requests->tables()));
        if (!plane.known) REQUIRE(requests->device_trouble());
        std::set<std::string> absent, named;
        for (const auto& [_, session] : requests->account().sessions())
            if (requests->tables().sessions.count(session.id) == 0) absent.insert(session.id);
        for (const auto& [id, why] : requests->disabled()) {
            named.insert(id);
            REQUIRE(!why.empty());
        }
        REQUIRE(named == absent);
        REQUIRE(requests->disabled_count() == absent.size());
        disabled += absent.size();
    }
    /// Everything works again, and is as after a start.
    void recover() {
        may_fail(false);
        requests->tend();
        REQUIRE(!requests->device_trouble());
        REQUIRE(!requests->store_trouble());
        REQUIRE(plane.known);
        check_in_force();
        REQUIRE(text_of(store.load()) == text_of(requests->account()));

        Random none;
        Plane fresh(none);
        fresh.size = plane.size;
        MemoryStore memory;
        Requests restarted(requests->account(), memory, fresh, settings);
        const TableState wanted = table_state(requests->account());
        std::map<std::string, TableState> rooms;  // each waiting interface beside what is in force
        std::set<std::string> in;
        for (const auto& [id, session] : wanted.sessions) {
            if (plane.in_force.sessions.count(id) != 0) {
                in.insert(session.interface);
                continue;
            }
            auto& with = rooms.try_emplace(session.interface, plane.in_force).first->second;
            with.sessions[id] = session;
        }
        if (rooms.empty()) {
            REQUIRE(text_of(plane.in_force) == text_of(fresh.in_force));
            REQUIRE(restarted.disabled_count() == requests->disabled_count());
        }

        const Json all = text_of(wanted), now_in_force = text_of(plane.in_force);
        REQUIRE(now_in_force["filters"] == all["filters"]);
        for (const auto& [id, text] : now_in_force["sessions"].items())
            REQUIRE(all["sessions"][id] == text);
        for (const auto& [id, with] : rooms) {
            INFO(id << " waits");
            ++waited;
            REQUIRE(in.count(id) == 0);  // all or none
            REQUIRE_THROWS_AS(Plane::check_room(with, plane.size), TableFull);
        }
    }
    void check_described() {
        const auto all = [&](const auto& objects, const std::string& what) {
            Json ids = Json::array();
            for (const auto& [_, object] : objects) ids.push_back(object.id);
            const auto reply = requests->handle(
                {"DescribeTrafficMirror" + what + "s", {{"TrafficMirror" + what + "Ids", ids}}});
            INFO(reply.code << ": " << reply.message);
            REQUIRE(reply.ok());
            REQUIRE(reply.body["TrafficMirror" + what + "s"].size() == objects.size());
        };
        all(requests->account().targets(), "Target");
        all(requests->account().filters(), "Filter");
        all(requests->account().rules(), "FilterRule");
        all(requests->account().sessions(), "Session");
        for (const char* action : {"DescribeTags", "DescribeNetworkInterfaces", "DescribeVpcs"})
            REQUIRE(requests->handle({action}).ok());
    }
};

}  // namespace

TEST_CASE(
    "H2 S8 any requests over holes, networks that change and failures leave what a start "
    "makes") {
    const auto seed = seed_of_run();
    std::cout << "MIRRORNIC_SEED=" << seed << std::endl;
    std::size_t good = 0, bad = 0, disabled = 0, waited = 0;
    for (unsigned i = 0; i < 24; ++i) {
        const test::Folder folder;
        const bool on_disk = i % 8 == 7;
        CAPTURE(seed, i);
        World world(seed + i, on_disk
                                  ? std::unique_ptr<Store>(std::make_unique<SqliteStore>(
                                        folder / "state.sqlite", SqliteStore::Access::read_write,
                                        SqliteStore::Owner{"000000000000", "eu-west-1"}))
                                  : std::make_unique<MemoryStore>());
        for (int step = 0; step < (on_disk ? 100 : 300); ++step) {
            CAPTURE(step);
            world.step();
        }
        good += world.good, bad += world.bad, disabled += world.disabled, waited += world.waited;
    }
    CAPTURE(seed);
    CHECK(good > 1500);
    CHECK(bad > 1500);
    CHECK(disabled > 1000);
    CHECK(waited > 100);
}
