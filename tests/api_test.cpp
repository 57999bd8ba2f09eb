// SPDX-License-Identifier: Apache-2.0
#include "api.hpp"

#include "catch.hpp"

using namespace mirrornic;

namespace {

/// The API with nothing behind it, asked without sockets.
struct Asked {
    Health health;
    RequestQueue queue;
    Api api{queue, options()};

    Api::Options options() {
        Api::Options options{};
        options.region = "us-east-1";
        options.statistics = [](bool) -> std::optional<Json> { return Json::object(); };
        options.connections = [] { return std::size_t{1}; };
        options.displaced = [] { return std::uint64_t{0}; };
        options.admin_address = IpAddress::parse("127.0.0.1");
        options.health = &health;
        options.log = [](LogLevel, const std::string&, const LogFields&) {};
        return options;
    }
    /// Nothing: the request waits.
    std::optional<HttpReply> ask(const std::string& method, const std::string& path,
                                 const std::string& body = "", std::size_t listener = 0) {
        HttpRequest request;
        request.method = method;
        request.path = path;
        request.body = body;
        request.headers = {{"Host", "127.0.0.1"},
                           {"Content-Type", "application/x-www-form-urlencoded"},
                           {"Authorization", "AWS4-HMAC-SHA256 any"}};
        auto reply = std::make_shared<std::optional<HttpReply>>();
        api.handle(std::move(request), {"127.0.0.1", listener},
                   HttpServer::Respond([reply](HttpReply given) { *reply = std::move(given); }));
        return *reply;
    }
    std::optional<HttpReply> action(const std::string& name) {
        return ask("POST", "/", "Action=" + name + "&Version=2016-11-15");
    }
};

std::string header(const HttpReply& reply, const std::string& name) {
    for (const auto& [field, value] : reply.headers)
        if (field == name) return value;
    return "";
}

}  // namespace

TEST_CASE("S7 until the device is open every request is Unavailable and /health says starting") {
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

TEST_CASE("H1 metrics are served while the device is being opened, as far as they are there") {
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
