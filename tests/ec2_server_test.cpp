// SPDX-License-Identifier: Apache-2.0
#include "host/api/ec2_server.hpp"

#include <regex>
#include <set>

#include "catch.hpp"
#include "driver/mirror_device.hpp"

using namespace mirrornic;
using Catch::Matchers::Contains;

namespace {

struct Logged {
    LogLevel level;
    std::string message;
    LogFields fields;

    Json operator[](const std::string& name) const {
        for (const auto& [field, value] : fields)
            if (field == name) return value;
        return nullptr;
    }
};

/// The API with nothing behind it, asked without sockets.
struct Asked {
    Health health;
    RequestQueue queue;
    std::vector<Logged> log;
    Api api{queue, options()};

    Api::Options options() {
        Api::Options options{};
        options.region = "us-east-1";
        options.statistics = [](bool) -> std::optional<Json> {
            throw DeviceGone("it reads as all ones");
        };
        options.connections = [] { return std::size_t{7}; };
        options.displaced = [] { return std::uint64_t{3}; };
        options.admin_address = IpAddress::parse("127.0.0.1");
        options.health = &health;
        options.log = [this](LogLevel level, const std::string& message, const LogFields& fields) {
            log.push_back({level, message, fields});
        };
        return options;
    }
    using Reply = std::shared_ptr<std::optional<HttpReply>>;
    Reply send(HttpRequest request, std::size_t listener = 0) {
        auto reply = std::make_shared<std::optional<HttpReply>>();
        api.handle(std::move(request), {"127.0.0.1", listener},
                   HttpServer::Respond([reply](HttpReply given) { *reply = std::move(given); }));
        return reply;
    }
    static HttpRequest request(const std::string& method, const std::string& path,
                               const std::string& body = "", const std::string& query = "",
                               const std::string& host = "127.0.0.1") {
        HttpRequest request;
        request.method = method;
        request.path = path;
        request.query = query;
        request.body = body;
        request.headers = {{"Host", host},
                           {"Content-Type", "application/x-www-form-urlencoded"},
                           {"Authorization", "AWS4-HMAC-SHA256 any"}};
        return request;
    }
    static HttpRequest action_request(const std::string& name) {
        return request("POST", "/", "Action=" + name + "&Version=2016-11-15");
    }
    /// Nothing: the request waits.
    std::optional<HttpReply> ask(const std::string& method, const std::string& path,
                                 const std::string& body = "", std::size_t listener = 0) {
        return *send(request(method, path, body), listener);
    }
    std::optional<HttpReply> action(const std::string& name) { return *send(action_request(name)); }
};

/// A device that takes everything, until it fails.
struct Plane : Device {
    bool fails = false;
    Staged stage(const TableState& desired, const Touched*) override {
        return std::make_shared<const TableState>(desired);
    }
    void commit(const Staged&) override {
        if (fails) throw std::runtime_error("the device said: secret");
    }
};

/// With an account, of so many filters, and the device open.
struct Served : Asked {
    MemoryStore store;
    Plane plane;
    Requests requests;

    explicit Served(int filters = 0)
        : store([&] {
              Account account;
              Change change;
              for (int i = 0; i < filters; ++i) {
                  TrafficMirrorFilter filter;
                  filter.id = "tmf-" + std::to_string(i);
                  change.put.push_back(filter);
              }
              account.apply(change);
              return account;
          }()),
          requests(store.load(), store, plane) {
        health.open();
    }
    HttpReply perform(HttpRequest request) {
        const auto reply = send(std::move(request));
        queue.perform(requests);
        REQUIRE(*reply);
        return **reply;
    }
};

/// The whole of a reply in pieces, of which more is made when it wants that.
std::string whole(RequestQueue& queue, const HttpReply& reply) {
    if (!reply.more) return reply.body;
    std::string text;
    for (int turns = 0; turns < 100000; ++turns) {
        const auto piece = reply.more();
        if (!piece) return text;
        text += *piece;
        if (piece->empty()) queue.go_on();
    }
    FAIL("a reply in pieces has no end");
    return text;
}

int count(const std::string& text, const std::string& part) {
    int n = 0;
    for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
    return n;
}

std::string header(const HttpReply& reply, const std::string& name) {
    for (const auto& [field, value] : reply.headers)
        if (field == name) return value;
    return "";
}

}  // namespace

TEST_CASE("until the device is open every request is Unavailable and /health says starting") {
    Asked asked;
    for (const char* name : {"DescribeTrafficMirrorFilters", "CreateTrafficMirrorFilter"}) {
        const auto reply = asked.action(name);
        REQUIRE(reply);
        CHECK(reply->status == 503);
        CHECK(header(*reply, "Retry-After") == "1");
        CHECK(reply->body.find("<Code>Unavailable</Code>") != std::string::npos);
    }
    const auto health = asked.ask("GET", "/health");
    REQUIRE(health);
    CHECK(health->status == 503);
    CHECK(Json::parse(health->body) == Json{{"Status", "starting"}});
    CHECK(header(*health, "Retry-After") == "1");

    asked.health.open();
    CHECK(asked.ask("GET", "/health")->status == 200);
    CHECK_FALSE(asked.action("CreateTrafficMirrorFilter"));  // it waits in the queue
}

TEST_CASE("metrics are served while the device is being opened, as far as they are there") {
    Asked asked;
    for (const std::size_t listener : {0, 1}) {
        const auto reply = asked.ask("GET", "/metrics", "", listener);
        REQUIRE(reply);
        CHECK(reply->status == 200);
        CHECK(reply->body.find("mirrornic_ready 0\n") != std::string::npos);
        CHECK(reply->body.find("process_resident_memory_bytes ") != std::string::npos);
        CHECK(reply->body.find("passes") == std::string::npos);
        CHECK(asked.ask("GET", "/stats", "", listener)->status == 503);
    }
    CHECK(asked.ask("POST", "/", "Action=DescribeVpcs&Version=2016-11-15", 1)->status == 404);
}

TEST_CASE("H1 each cause is shown until it is cleared itself, and device and store make 503") {
    Asked asked;
    asked.health.open();
    using Cause = Health::Cause;
    const auto said = [&] {
        const auto reply = asked.ask("GET", "/health");
        return std::pair(reply->status, Json::parse(reply->body));
    };
    CHECK(said() == std::pair(200u, Json{{"Status", "ready"}}));
    for (const auto& [cause, name, status] :
         {std::tuple(Cause::device, "device", 503u), std::tuple(Cause::store, "store", 503u),
          std::tuple(Cause::output, "output", 200u), std::tuple(Cause::port, "port", 200u),
          std::tuple(Cause::log, "log", 200u)}) {
        CHECK(asked.health.tell(cause, "it fails"));
        CHECK_FALSE(asked.health.tell(cause, "it fails"));
        CHECK(said() == std::pair(status, Json{{"Status", "degraded"}, {"Causes", {name}}}));
        asked.health.tell(cause, std::nullopt);
        CHECK(said() == std::pair(200u, Json{{"Status", "ready"}}));
    }
    asked.health.tell(Cause::log, "a");
    asked.health.tell(Cause::device, "b");
    CHECK(said() == std::pair(503u, Json{{"Status", "degraded"}, {"Causes", {"device", "log"}}}));
    asked.health.tell(Cause::device, std::nullopt);
    CHECK(said() == std::pair(200u, Json{{"Status", "degraded"}, {"Causes", {"log"}}}));
}

TEST_CASE("S10 every reply has a request id of its own, which is a version 4 UUID and in the log") {
    Served served;
    std::set<std::string> ids;
    const std::regex uuid("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}");
    for (int i = 0; i < 100; ++i) {
        const auto reply =
            i % 2 ? served.perform(Asked::action_request("DescribeTrafficMirrorFilters"))
                  : served.perform(Asked::action_request("NoSuchAction"));
        const auto id = header(reply, "x-amzn-RequestId");
        CHECK(std::regex_match(id, uuid));
        CHECK(ids.insert(id).second);
        CHECK(count(reply.body, id) == 1);
        CHECK(header(reply, "Cache-Control") == "no-store");
        CHECK(served.log.back()["id"] == id);
    }
    HttpReply refused;
    refused.status = 431;
    served.api.refused({"10.0.0.9", 0}, "the header is too long", refused);
    const auto id = header(refused, "x-amzn-RequestId");
    CHECK(std::regex_match(id, uuid));
    CHECK(ids.insert(id).second);
    CHECK(served.log.back()["id"] == id);
}

TEST_CASE("what is refused before it is a request has the headers, a line and a count") {
    Served served;
    for (const unsigned status : {431u, 503u, 0u}) {
        HttpReply reply;
        reply.status = status;
        served.api.refused({"10.0.0.9", 0}, "a reason", reply);
        CHECK(header(reply, "Cache-Control") == "no-store");
        CHECK(header(reply, "Retry-After") == (status == 503 ? "1" : ""));
        const auto& line = served.log.back();
        CHECK(line.level == LogLevel::info);
        CHECK(line.message == "refused");
        CHECK(line["peer"] == "10.0.0.9");
        CHECK(line["code"] == (status ? std::to_string(status) : "TLS"));
        CHECK(line["why"] == "a reason");
    }
    const auto metrics = served.perform(Asked::request("GET", "/metrics")).body;
    for (const char* code : {"431", "503", "TLS"})
        CHECK_THAT(metrics,
                   Contains(std::string("mirrornic_requests_total{action=\"other\",code=\"") +
                            code + "\"} 1\n"));
    CHECK_THAT(metrics,
               Contains("mirrornic_request_duration_seconds_count{class=\"refused\"} 3\n"));
}

TEST_CASE("metrics tell of connections, requests and what is stored") {
    Served served(5);
    served.perform(Asked::action_request("DescribeTrafficMirrorFilters"));
    served.perform(Asked::action_request("CreateTrafficMirrorFilter"));
    served.perform(Asked::action_request("CreateTrafficMirrorFilter"));
    served.perform(
        Asked::request("POST", "/", "Action=DescribeVpcs&Version=2016-11-15&Nonsense=1"));
    served.perform(Asked::action_request("NoSuchAction"));
    served.perform(Asked::request("GET", "/elsewhere"));
    const auto reply = served.perform(Asked::request("GET", "/metrics"));
    CHECK(reply.status == 200);
    for (const char* line :
         {"mirrornic_ready 1", "mirrornic_health{cause=\"store\"} 0", "mirrornic_connections 7",
          "mirrornic_connections_displaced_total 3",
          "mirrornic_requests_total{action=\"DescribeTrafficMirrorFilters\",code=\"OK\"} 1",
          "mirrornic_requests_total{action=\"CreateTrafficMirrorFilter\",code=\"OK\"} 2",
          "mirrornic_requests_total{action=\"DescribeVpcs\",code=\"UnknownParameter\"} 1",
          "mirrornic_requests_total{action=\"other\",code=\"InvalidAction\"} 1",
          "mirrornic_requests_total{action=\"other\",code=\"NotFound\"} 1",
          "mirrornic_request_duration_seconds_count{class=\"read\"} 2",
          "mirrornic_request_duration_seconds_count{class=\"change\"} 2",
          "mirrornic_request_duration_seconds_count{class=\"page\"} 0",
          "mirrornic_request_duration_seconds_count{class=\"refused\"} 2", "mirrornic_sessions 0",
          "mirrornic_sessions_disabled 0"}) {
        INFO(line);
        CHECK(count(reply.body, std::string("\n") + line + "\n") == 1);
    }
    // The counters cannot be read: that is not told as zeros, and does not hide the rest.
    CHECK(reply.body.find("passes") == std::string::npos);
    CHECK(served.perform(Asked::request("GET", "/stats")).status == 503);
    served.health.tell(Health::Cause::store, "it is full");
    const auto degraded = served.perform(Asked::request("GET", "/metrics")).body;
    for (const char* line : {"mirrornic_ready 0", "mirrornic_health{cause=\"store\"} 1",
                             "mirrornic_health{cause=\"device\"} 0"})
        CHECK(count(degraded, std::string("\n") + line + "\n") == 1);
}

TEST_CASE("a service without credentials is asked under localhost or a loopback address alone") {
    Served served;
    const auto status = [&](const std::string& host) {
        return served.perform(Asked::request("GET", "/health", "", "", host)).status;
    };
    for (const char* host : {"localhost", "LocalHost:4580", "127.0.0.1", "127.9.8.7:80", "[::1]",
                             "[::1]:4580", "[0:0:0:0:0:0:0:1]"}) {
        INFO(host);
        CHECK(status(host) == 200);
    }
    for (const char* host : {"", "localhost.example", "126.0.0.1", "128.0.0.1", "[::2]", "[::]",
                             "::1", "[::1", "[::1]4580", "[127.0.0.1]", "[localhost]", "[::1:0]"}) {
        INFO(host);
        CHECK(status(host) == 401);
    }
    auto without = Asked::request("GET", "/health");
    without.headers.erase(without.headers.begin());
    CHECK(served.perform(without).status == 401);
    auto twice = Asked::request("GET", "/health");
    twice.headers.push_back(twice.headers.front());
    CHECK(served.perform(twice).status == 401);
    for (const auto& [name, value] :
         {std::pair("Origin", "http://localhost"), std::pair("Sec-Fetch-Site", "same-origin")}) {
        auto page = Asked::request("GET", "/health");
        page.headers.emplace_back(name, value);
        CHECK(served.perform(page).status == 401);
    }
    auto typed = Asked::request("GET", "/health");
    typed.headers.emplace_back("Sec-Fetch-Site", "none");
    CHECK(served.perform(typed).status == 200);
}

TEST_CASE("A HEAD asks what a GET asks, and changes nothing") {
    Served served;
    const std::string version = "&Version=2016-11-15";
    const auto head = [&](const std::string& action) {
        return served.perform(Asked::request("HEAD", "/", "", "Action=" + action + version));
    };
    CHECK(head("DescribeTrafficMirrorFilters").status == 200);
    const auto refused = head("CreateTrafficMirrorFilter");
    CHECK(refused.status == 405);
    CHECK(header(refused, "Allow") == "POST");
    CHECK(served.requests.account().filters().size() == 0);
    CHECK(served.perform(Asked::request("HEAD", "/health")).status == 200);
}

TEST_CASE("S7 what the device says of a change is for the log, and a client's error is not in it") {
    Served served;
    const auto errors = [&] {
        int n = 0;
        for (const auto& line : served.log) n += line.level == LogLevel::error;
        return n;
    };
    CHECK(served.perform(Asked::action_request("CreateTrafficMirrorSession")).status == 400);
    CHECK(served.perform(Asked::action_request("CreateTrafficMirrorFilter")).status == 200);
    CHECK(errors() == 0);
    served.plane.fails = true;
    const auto reply = served.perform(Asked::action_request("CreateTrafficMirrorFilter"));
    CHECK(reply.status >= 500);
    CHECK(reply.body.find("secret") == std::string::npos);
    REQUIRE(errors() == 1);
    for (const auto& line : served.log)
        if (line.level == LogLevel::error) {
            CHECK_THAT(line.message, Contains("the device said: secret"));
            CHECK(line["id"] == header(reply, "x-amzn-RequestId"));
        }
}

TEST_CASE("S9 a long listing comes in pieces and whole, and listings take turns") {
    Served served(6000);
    std::vector<Asked::Reply> replies;
    for (int i = 0; i < 8; ++i)
        replies.push_back(served.send(Asked::action_request("DescribeTrafficMirrorFilters")));
    served.queue.perform(served.requests);
    CHECK_FALSE(served.queue.empty());
    const auto answered = [&] {
        return std::count_if(replies.begin(), replies.end(),
                             [](const auto& reply) { return reply->has_value(); });
    };
    // The first to be sent in pieces is gone on with before all others have begun.
    while (answered() == 0) served.queue.go_on();
    auto& first = **std::find_if(replies.begin(), replies.end(), [](const auto& reply) {
                        return reply->has_value();
                    })->get();
    REQUIRE(first.more);
    while (!first.more()->empty()) continue;
    served.queue.go_on();
    served.queue.go_on();
    CHECK(answered() < 8);
    const auto piece = first.more();
    REQUIRE(piece);
    CHECK_FALSE(piece->empty());
    while (answered() < 8) served.queue.go_on();
    for (const auto& reply : replies) {
        if (&**reply == &first) continue;
        const auto text = whole(served.queue, **reply);
        for (const char* once :
             {"<DescribeTrafficMirrorFiltersResponse ", "<requestId>", "<trafficMirrorFilterSet>",
              "</trafficMirrorFilterSet>", "</DescribeTrafficMirrorFiltersResponse>"})
            CHECK(count(text, once) == 1);
        CHECK(count(text, "<trafficMirrorFilterId>") == 6000);
        CHECK(text.find("tmf-0<") < text.find("tmf-5999<"));
    }
    whole(served.queue, first);
    CHECK(served.queue.empty());
}

TEST_CASE("a listing that is given up is broken off, not ended") {
    Served served(6000);
    const auto sent = served.send(Asked::action_request("DescribeTrafficMirrorFilters"));
    served.queue.perform(served.requests);
    while (!*sent) served.queue.go_on();
    const HttpReply& reply = **sent;
    REQUIRE(reply.more);
    SECTION("with its network") {
        CHECK_FALSE(served.queue.has_older());
        served.queue.give_up_older();
        REQUIRE_NOTHROW(reply.more());
        served.queue.begin_generation();
        CHECK(served.queue.has_older());
        served.queue.give_up_older();
    }
    SECTION("with its queue") { served.queue.end(); }
    CHECK_THROWS_WITH(reply.more(), Contains("broken off"));
}

TEST_CASE("a listing that has not begun when its network goes is Unavailable") {
    Served served(6000);
    const auto sent = served.send(Asked::action_request("DescribeTrafficMirrorFilters"));
    served.queue.perform(served.requests);
    REQUIRE_FALSE(*sent);
    served.queue.begin_generation();
    CHECK(served.queue.has_older());
    served.queue.give_up_older();
    REQUIRE(*sent);
    CHECK((*sent)->status == 503);
    CHECK_FALSE(served.queue.has_older());
    CHECK(served.queue.empty());
}
