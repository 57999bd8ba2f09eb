// SPDX-License-Identifier: Apache-2.0
#include "api.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <random>

namespace mirrornic {
namespace {

using Clock = std::chrono::steady_clock;

std::string lower(std::string text) {
    for (char& c : text)
        if (c >= 'A' && c <= 'Z') c = char(c - 'A' + 'a');
    return text;
}

/// The values of a header, as often as it is there.
std::vector<std::string> header(const HttpRequest& request, const std::string& name) {
    std::vector<std::string> values;
    for (const auto& [field, value] : request.headers)
        if (lower(field) == name) values.push_back(value);
    return values;
}

/// A version 4 UUID.
std::string new_request_id() {
    static thread_local std::mt19937_64 generator{std::random_device{}()};
    const std::uint64_t a = generator(), b = generator();
    char text[37];
    std::snprintf(text, sizeof text, "%08x-%04x-4%03x-%04x-%012llx", unsigned(a >> 32),
                  unsigned(a >> 16 & 0xffff), unsigned(a & 0xfff),
                  unsigned(0x8000 | (b >> 48 & 0x3fff)),
                  static_cast<unsigned long long>(b & 0xffffffffffff));
    return text;
}

[[noreturn]] void deny(const std::string& reason) {
    throw AccessDenied(AccessDenied::Code::auth_failure, reason);
}

/// "localhost" or a loopback literal, with or without a port.
bool is_loopback(std::string host) {
    if (!host.empty() && host[0] == '[') {
        const auto end = host.find(']');
        const bool port = end + 1 < host.size();
        if (end == std::string::npos || (port && host[end + 1] != ':')) return false;
        return host.substr(1, end - 1) == "::1";
    }
    host = lower(host.substr(0, host.find(':')));
    if (host == "localhost") return true;
    try {
        const IpAddress address = IpAddress::parse(host);
        return !address.v6 && address.bytes[0] == 127;
    } catch (const std::invalid_argument&) {
        return false;
    }
}

/// Without credentials: no web page and no other host can drive us.
void check_local(const HttpRequest& request) {
    const auto host = header(request, "host");
    if (host.size() != 1 || !is_loopback(host.front()))
        deny("Host is " + (host.empty() ? "absent" : shown(host.front())) +
             "; without --credentials it must name this host");
    if (!header(request, "origin").empty()) deny("a web page sent it: it has an Origin");
    for (const auto& site : header(request, "sec-fetch-site"))
        if (site != "none") deny("a web page sent it: Sec-Fetch-Site is " + shown(site));
}

bool is_page(const std::string& path) {
    return path == "/health" || path == "/stats" || path == "/metrics";
}

/// Of a closed set, for what a client sends must take no memory for good: an action, a page or
/// "other".
std::string action_label(const std::string& action) {
    return find_action(action) || is_page(action) ? action : "other";
}

/// A HEAD is answered like a GET, and the server leaves its body out.
bool is_get(const HttpRequest& request) {
    return request.method == "GET" || request.method == "HEAD";
}

bool is_form(const HttpRequest& request) {
    const auto type = header(request, "content-type");
    const std::string form = "application/x-www-form-urlencoded";
    return type.size() == 1 && lower(type.front()).compare(0, form.size(), form) == 0 &&
           (type.front().size() == form.size() || type.front()[form.size()] == ';' ||
            type.front()[form.size()] == ' ');
}

/// A label's value in Prometheus text.
std::string label(const std::string& value) {
    std::string out;
    for (const char c : value) {
        if (c == '\\' || c == '"') out += '\\';
        out += c;
    }
    return '"' + out + '"';
}

}  // namespace

// --- RequestQueue --------------------------------------------------------------------------------

void RequestQueue::handle(Request request, Done done) {
    if (!ended_) {
        requests_.emplace_back(std::move(request), std::move(done));
        return;
    }
    const auto code = ErrorCode::unavailable;
    done({Json::object(), http_status(code), to_string(code), "the device is closed"});
}

bool RequestQueue::has_changes() const {
    return !jobs_.empty() ||
           std::any_of(requests_.begin(), requests_.end(),
                       [](const auto& waiting) { return !is_read(waiting.first.action); });
}

void RequestQueue::post(Job job) {
    if (!ended_) jobs_.push_back(std::move(job));
}

void RequestQueue::perform(Requests& requests) {
    std::exception_ptr failure;
    const auto attempt = [&](const auto& what) {
        try {
            what();
        } catch (...) {
            if (!failure) failure = std::current_exception();
        }
    };
    for (std::size_t left = jobs_.size(); left != 0 && !ended_; --left) {
        attempt([&] { jobs_.front()(requests); });
        if (!jobs_.empty()) jobs_.pop_front();
    }
    std::vector<Request> together;
    together.reserve(requests_.size());
    for (auto& [request, done] : std::exchange(requests_, {})) {
        together.push_back(std::move(request));
        performed_.push_back(std::move(done));
    }
    if (!together.empty()) {
        std::vector<Reply> replies;
        attempt([&] { replies = requests.handle(together); });
        const auto performed = std::exchange(performed_, {});
        for (std::size_t i = 0; i < replies.size(); ++i)
            attempt([&] { performed[i](std::move(replies[i])); });
    }
    if (failure) std::rethrow_exception(failure);
}

void RequestQueue::end() {
    ended_ = true;
    jobs_.clear();
    for (auto& done : std::exchange(performed_, {})) handle({}, std::move(done));
    for (auto& [request, done] : std::exchange(requests_, {}))
        handle(std::move(request), std::move(done));
}

// --- Api -----------------------------------------------------------------------------------------

/// One HTTP request on its way.
struct Api::Call {
    Call(Api& its_api, HttpRequest request, const HttpPeer& its_peer,
         HttpServer::Respond its_respond)
        : api(its_api), http(std::move(request)), peer(its_peer), respond(std::move(its_respond)) {}
    /// A request that nobody has answered never will be.
    ~Call() {
        if (answered) return;
        try {
            api.fail(*this, ErrorCode::unavailable, "the service stops, or could not do it now");
        } catch (...) {  // `respond` answers as it goes away
        }
    }
    Call(const Call&) = delete;

    Api& api;
    HttpRequest http;
    HttpPeer peer;
    HttpServer::Respond respond;
    std::string id = new_request_id(), action = "-", key = "-";
    Clock::time_point start = Clock::now();
    bool answered = false;
};

Api::Api(RequestQueue& queue, Options options) : queue_(queue), options_(std::move(options)) {}

Api::~Api() { queue_.end(); }

/// @return the key that signed, "-" without credentials.
std::string Api::let_in(const HttpRequest& request) const {
    if (options_.credentials)
        return options_.credentials->authenticate(request, options_.region,
                                                  std::chrono::system_clock::now());
    check_local(request);
    return "-";
}

void Api::check_permission(const Call& call) const {
    if (options_.credentials && !options_.credentials->allows(call.key, call.action))
        throw RequestError(ErrorCode::unauthorized_operation,
                           "the key's policy does not allow ec2:" + call.action);
}

/// The order of checks is S5's.
void Api::handle(HttpRequest request, const HttpPeer& peer, HttpServer::Respond respond) {
    const auto call = std::make_shared<Call>(*this, std::move(request), peer, std::move(respond));
    try {
        const auto& http = call->http;
        const bool page = is_page(http.path);
        if (page || http.path != "/") call->action = http.path;
        if (!is_get(http) && (page || http.method != "POST")) return refuse_method(*call, page);
        call->key = let_in(http);
        if (page) return handle_page(call);
        if (http.path != "/") {
            finish(*call, {404, "text/plain; charset=utf-8", "nothing is served here\n"},
                   "NotFound");
            return;
        }
        handle_action(call);
    } catch (const AccessDenied& denied) {
        const bool expired = denied.code == AccessDenied::Code::request_expired;
        options_.log(LogLevel::warning, std::string("not let in: ") + denied.what(),
                     {{"id", call->id}, {"peer", call->peer.address}});
        fail(*call, expired ? ErrorCode::request_expired : ErrorCode::auth_failure,
             expired ? "the request's time is not within 15 minutes of this host's"
                     : "the request is not signed as a key of this service must");
    } catch (const RequestError& error) {
        fail(*call, error.code, error.what());
    } catch (const std::exception& error) {
        options_.log(LogLevel::error, error.what(), {{"id", call->id}});
        fail(*call, ErrorCode::internal_error,
             "the request could not be handled; the log says why");
    }
}

void Api::refuse_method(Call& call, bool page) {
    const std::string& method = call.http.method;
    for (const char* known : {"CONNECT", "DELETE", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
        if (method == known)
            return finish(call,
                          {405,
                           "text/plain; charset=utf-8",
                           "only GET, HEAD and POST are served, and POST not for pages\n",
                           {{"Allow", page ? "GET, HEAD" : "GET, HEAD, POST"}}},
                          "MethodNotAllowed");
    finish(call, {501, "text/plain; charset=utf-8", "the method is not known here\n"},
           "NotImplemented");
}

void Api::handle_action(const std::shared_ptr<Call>& call) {
    const auto& http = call->http;
    const bool post = http.method == "POST";
    if (post && !is_form(http))
        throw RequestError(ErrorCode::malformed_query_string,
                           "Content-Type must be application/x-www-form-urlencoded");
    if (post && !http.query.empty())
        throw RequestError(ErrorCode::malformed_query_string,
                           "a POST has its parameters in its body, and none in its URL");
    if (!post && !http.body.empty())
        throw RequestError(ErrorCode::malformed_query_string,
                           "a " + http.method + " has its parameters in its URL, and no body");
    const Query query(post ? http.body : http.query);
    const Action& action = query.action();
    call->action = action.name;
    if (http.method == "HEAD" && !is_read(action.name))
        return finish(*call,
                      {405,
                       "text/plain; charset=utf-8",
                       "a change is no HEAD\n",
                       {{"Allow", options_.credentials ? "GET, POST" : "POST"}}},
                      "MethodNotAllowed");
    if (!options_.credentials && !is_read(action.name)) {
        const auto authorization = header(http, "authorization");
        const std::string scheme = "AWS4-HMAC-SHA256 ";
        if (!post || authorization.size() != 1 ||
            authorization.front().compare(0, scheme.size(), scheme) != 0)
            deny("a change must be a POST with an Authorization header of " + scheme);
    }
    check_permission(*call);
    if (options_.health->starting())
        throw RequestError(ErrorCode::unavailable, "the device is being opened");
    queue_.handle({action.name, query.parameters()}, [this, call, &action](Reply reply) {
        if (reply.status >= 500)
            options_.log(LogLevel::error, reply.message, {{"id", call->id}, {"code", reply.code}});
        if (!reply.ok()) return fail(*call, reply.code, reply.status, reply.message);
        finish(*call, {200, "text/xml;charset=UTF-8", reply_xml(action, reply.body, call->id)}, "");
    });
}

void Api::handle_page(const std::shared_ptr<Call>& call) {
    check_permission(*call);
    const Health& health = *options_.health;
    if (call->http.path == "/health") {
        Json body = {{"Status", health.status()}};
        if (const auto held = health.held(); !held.empty()) body["Causes"] = held;
        finish(*call, {health.http_status(), "application/json", to_text(body) + "\n"}, "");
        return;
    }
    if (health.starting()) return fail(*call, ErrorCode::unavailable, "the device is being opened");
    queue_.post([this, call](Requests&) {
        try {
            const Json statistics = options_.statistics();
            if (call->http.path == "/stats")
                finish(*call, {200, "application/json", to_text(statistics, 2) + "\n"}, "");
            else
                finish(*call,
                       {200, "text/plain; version=0.0.4; charset=utf-8", metrics(statistics)}, "");
        } catch (const std::exception& error) {
            options_.log(LogLevel::error, error.what(), {{"id", call->id}});
            fail(*call, ErrorCode::internal_error,
                 "the counters could not be read; the log says why");
        }
    });
}

void Api::fail(Call& call, ErrorCode code, const std::string& message) {
    fail(call, to_string(code), http_status(code), message);
}

void Api::fail(Call& call, const std::string& code, int status, const std::string& message) {
    // What a device or a file says is for the log.
    const bool inside = code == to_string(ErrorCode::internal_error);
    finish(call,
           {unsigned(status), "text/xml;charset=UTF-8",
            error_xml(code, inside ? "the request could not be done; nothing was changed" : message,
                      call.id)},
           code);
}

void Api::finish(Call& call, HttpReply reply, const std::string& code) {
    reply.headers.emplace_back("x-amzn-RequestId", call.id);
    reply.headers.emplace_back("Cache-Control", "no-store");
    if (reply.status == 503) reply.headers.emplace_back("Retry-After", "1");
    ++served_[{action_label(call.action), code}];
    const unsigned status = reply.status;
    const double ms = std::chrono::duration<double, std::milli>(Clock::now() - call.start).count();
    call.answered = true;
    call.respond(std::move(reply));
    options_.log(LogLevel::info, "request",
                 {{"id", call.id},
                  {"action", call.action},
                  {"key", call.key},
                  {"peer", call.peer.address},
                  {"code", code.empty() ? Json(status) : Json(code)},
                  {"ms", std::round(ms * 1000) / 1000}});
}

std::string Api::metrics(const Json& statistics) {
    std::string text = metrics_text(statistics);
    text +=
        "# HELP mirrornic_requests_total Requests answered, by action and error code.\n"
        "# TYPE mirrornic_requests_total counter\n";
    for (const auto& [key, count] : served_)
        text += "mirrornic_requests_total{action=" + label(key.first) +
                ",code=" + label(key.second) + "} " + std::to_string(count) + "\n";
    return text;
}

std::string metrics_text(const Json& statistics) {
    std::string text;
    const auto begin = [&](const std::string& name, const std::string& help) {
        text +=
            "# HELP mirrornic_" + name + " " + help + "\n# TYPE mirrornic_" + name + " counter\n";
    };
    const auto line = [&](const std::string& name, const std::string& labels, const Json& value) {
        text += "mirrornic_" + name + "{" + labels + "} " + value.dump() + "\n";
    };
    begin("passes_total", "Passes by class; their sums close as counted by the hardware.");
    for (const auto& [name, value] : statistics["frames"].items())
        line("passes_total", "class=" + label(name), value);
    begin("bytes_total", "Bytes of frames by class.");
    for (const auto& [name, value] : statistics["bytes"].items())
        line("bytes_total", "class=" + label(name), value);
    begin("causes_total", "Passes by the cause of what became of them.");
    for (const auto& [name, value] : statistics["causes"].items())
        line("causes_total", "cause=" + label(name), value);
    begin("table_faults_total", "Flipped bits in the device's memories.");
    for (const auto& [name, value] : statistics["table_faults"].items())
        line("table_faults_total", "event=" + label(name), value);
    if (statistics.contains("outputs")) {
        begin("output_lost_total", "Records that an output file had no room for.");
        for (const auto& [name, value] : statistics["outputs"].items())
            line("output_lost_total", "output=" + label(name), value["lost"]);
    }
    const std::pair<const char*, const char*> session_members[] = {
        {"selected", "Passes that a session accepted."},
        {"mirrored", "Copies that left."},
        {"truncated", "Copies shorter than their frame."},
        {"dropped", "Copies that were dropped."},
        {"mirrored_bytes", "Bytes of copies as sent."}};
    for (const auto& [member, help] : session_members) {
        begin(std::string("session_") + member + "_total", help);
        for (const auto& session : statistics["sessions"])
            line(std::string("session_") + member + "_total",
                 "session=" + label(session["TrafficMirrorSessionId"]), session[member]);
    }
    return text;
}

}  // namespace mirrornic
