// SPDX-License-Identifier: Apache-2.0
#include "host/api/ec2_server.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <random>

#include "driver/mirror_device.hpp"

namespace mirrornic {
namespace {

using Clock = std::chrono::steady_clock;

std::string lower(std::string text) {
    for (char& c : text)
        if (c >= 'A' && c <= 'Z') c = char(c - 'A' + 'a');
    return text;
}

/// The values of a header: one for each time that it is there. @param name in lower case
std::vector<std::string> header(const HttpRequest& request, const std::string& name) {
    std::vector<std::string> values;
    for (const auto& [field, value] : request.headers)
        if (lower(field) == name) values.push_back(value);
    return values;
}

/// A random UUID (version 4).
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

/// The host that a Host header names, without its port.
struct HostName {
    std::string name;                  ///< in lower case
    std::optional<IpAddress> address;  ///< if the name is an address
};

std::optional<HostName> read_host(const std::string& text) {
    const bool literal = !text.empty() && text[0] == '[';
    const auto end = literal ? text.find(']') : text.find(':');
    if (literal && (end == std::string::npos || (end + 1 < text.size() && text[end + 1] != ':')))
        return {};
    HostName host;
    host.name = lower(literal ? text.substr(1, end - 1) : text.substr(0, end));
    try {
        host.address = IpAddress::parse(host.name);
    } catch (const std::invalid_argument&) {  // a name
    }
    if (literal && !(host.address && host.address->v6)) return {};
    return host;
}

bool is_loopback(const IpAddress& address) {
    if (!address.v6) return address.bytes[0] == 127;
    IpAddress one{true, {}};
    one.bytes[15] = 1;
    return address == one;
}

bool is_page(const std::string& path) {
    return std::find(pages.begin(), pages.end(), path) != pages.end();
}

bool is_local(const HostName& host) {
    return host.name == "localhost" || (host.address && is_loopback(*host.address));
}

/// Refuses requests that a web page makes a browser send. A browser says so in Origin or
/// Sec-Fetch-Site. It says nothing to a page whose own name was made to resolve to this address
/// (DNS rebinding), but then that name is in Host.
template <class IsOurs>
void check_host(const HttpRequest& request, IsOurs is_ours, const std::string& wanted) {
    const auto hosts = header(request, "host");
    const auto host = hosts.size() == 1 ? read_host(hosts.front()) : std::nullopt;
    if (!host || !is_ours(*host))
        deny("Host is " + (hosts.empty() ? "absent" : shown(hosts.front())) + "; " + wanted);
    if (!header(request, "origin").empty()) deny("a web page sent it: it has an Origin");
    for (const auto& site : header(request, "sec-fetch-site"))
        if (site != "none") deny("a web page sent it: Sec-Fetch-Site is " + shown(site));
}

/// The label of an action in the metrics: an action, a page or "other". Each label takes memory for
/// ever, so what a client sends must not become one.
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

}  // namespace

namespace {

// A listing of up to so many objects is one reply. A longer one is sent in pieces, so that its
// memory is bounded.
constexpr std::size_t plain_items = 2000;
// How long all new listings together may take before other requests have their turn, and how long a
// listing may take each time that it goes on.
constexpr std::chrono::milliseconds first_portions{20}, next_portion{4};

// So many objects are always listed in one portion. Short listings thus show one moment.
constexpr std::size_t at_once = 500;

Portion portion(std::chrono::milliseconds time, std::size_t at_least = 0) {
    return {plain_items, Portion::Clock::now() + time, at_least};
}

/// A listing that is sent as pieces of XML.
class XmlStream : public ListingStream {
public:
    XmlStream(const Action& action, const std::string& id, std::shared_ptr<Listing> listing)
        : xml_(action, id), listing_(std::move(listing)), text_(xml_.begin()) {
        add();
    }
    bool wants() const override { return listing_ && text_.size() < piece; }
    void go_on(const Portion& portion) override {
        try {
            Portion own = portion;
            own.items = items;  // as many as are soon written
            const bool more = listing_->go_on(own);
            add();
            if (more) return;
            text_ += xml_.end(listing_->next_token());
            listing_.reset();
        } catch (const std::exception&) {
            give_up();
        }
    }
    void give_up() override {
        failed_ = listing_ != nullptr;
        listing_.reset();
    }
    /// The next piece, for HttpReply::more.
    std::optional<std::string> take() {
        if (failed_) throw std::runtime_error("the listing was broken off");
        if (!text_.empty()) return std::exchange(text_, {});
        if (listing_) return "";
        return std::nullopt;
    }

private:
    static constexpr std::size_t piece = 64 << 10, items = 200;

    void add() { text_ += xml_.items(listing_->items()); }

    ListXml xml_;
    std::shared_ptr<Listing> listing_;  ///< null: it is at its end
    std::string text_;                  ///< made, and not sent yet
    bool failed_ = false;
};

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
        attempt([&] { replies = requests.handle(together, portion(first_portions, at_once)); });
        auto performed = std::exchange(performed_, {});
        for (std::size_t i = 0; i < replies.size(); ++i)
            if (replies[i].listing)
                begun_.push_back(
                    {std::move(replies[i].listing), std::move(performed[i]), generation_});
            else
                attempt([&] { performed[i](std::move(replies[i])); });
    }
    if (failure) std::rethrow_exception(failure);
}

bool RequestQueue::empty() const {
    return requests_.empty() && jobs_.empty() && begun_.empty() &&
           std::none_of(streams_.begin(), streams_.end(), [](const auto& each) {
               const auto stream = each.stream.lock();
               return stream && stream->wants();
           });
}

void RequestQueue::go_on() {
    streams_turn_ = !streams_turn_ || begun_.empty();
    for (std::size_t left = streams_turn_ ? streams_.size() : 0; left != 0; --left) {
        const Stream first = std::move(streams_.front());
        const auto stream = first.stream.lock();
        streams_.pop_front();
        if (!stream) continue;
        streams_.push_back(first);
        if (!stream->wants()) continue;
        stream->go_on(portion(next_portion));
        return;
    }
    if (begun_.empty()) return;
    Begun begun = std::move(begun_.front());
    begun_.pop_front();
    Reply reply;
    try {
        if (!begun.listing->go_on(portion(next_portion))) {
            reply = reply_of(*begun.listing);
        } else if (begun.listing->waiting() < plain_items) {
            begun_.push_back(std::move(begun));
            return;
        } else {
            reply.listing = std::move(begun.listing);
        }
    } catch (const std::exception& error) {
        const auto code = ErrorCode::internal_error;
        reply = {Json::object(), http_status(code), to_string(code), error.what()};
    }
    begun.done(std::move(reply));
}

bool RequestQueue::has_older() const {
    return std::any_of(begun_.begin(), begun_.end(),
                       [&](const Begun& each) { return each.generation != generation_; }) ||
           std::any_of(streams_.begin(), streams_.end(), [&](const Stream& each) {
               return each.generation != generation_ && !each.stream.expired();
           });
}

void RequestQueue::give_up_older() {
    for (const auto& each : streams_)
        if (const auto stream = each.stream.lock(); stream && each.generation != generation_)
            stream->give_up();
    for (auto& each : begun_) {
        if (each.generation == generation_) continue;
        const auto code = ErrorCode::unavailable;
        each.listing.reset();
        each.done({Json::object(), http_status(code), to_string(code),
                   "the configuration was read again, twice, before the listing was made"});
    }
    begun_.erase(std::remove_if(begun_.begin(), begun_.end(),
                                [](const Begun& each) { return !each.listing; }),
                 begun_.end());
}

void RequestQueue::end() {
    ended_ = true;
    jobs_.clear();
    for (auto& each : std::exchange(begun_, {})) handle({}, std::move(each.done));
    for (const auto& each : std::exchange(streams_, {}))
        if (const auto stream = each.stream.lock()) stream->give_up();
    for (auto& done : std::exchange(performed_, {})) handle({}, std::move(done));
    for (auto& [request, done] : std::exchange(requests_, {}))
        handle(std::move(request), std::move(done));
}

// --- Api -----------------------------------------------------------------------------------------

/// One HTTP request, from its arrival to its reply.
struct Api::Call {
    Call(Api& its_api, HttpRequest request, const HttpPeer& its_peer,
         HttpServer::Respond its_respond)
        : api(its_api), http(std::move(request)), peer(its_peer), respond(std::move(its_respond)) {}
    /// If nobody has answered the request, nobody will; so it is answered here.
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
    Kind kind = Kind::refused;
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
    check_host(request, is_local,
               "a service without --credentials takes requests of its own host alone, under "
               "localhost or a loopback address");
    return "-";
}

void Api::check_permission(const Call& call) const {
    if (options_.credentials && !options_.credentials->allows(call.key, call.action))
        throw RequestError(ErrorCode::unauthorized_operation,
                           "the key's policy does not allow ec2:" + call.action);
}

/// The order of the checks is that of S5.
void Api::handle(HttpRequest request, const HttpPeer& peer, HttpServer::Respond respond) {
    const auto call = std::make_shared<Call>(*this, std::move(request), peer, std::move(respond));
    if (peer.listener != 0) return handle_admin(call);
    try {
        const auto& http = call->http;
        const bool page = is_page(http.path);
        if (page || http.path != "/") call->action = http.path;
        if (!is_get(http) && (page || http.method != "POST")) return refuse_method(*call, page);
        call->key = let_in(http);
        if (page) {
            check_permission(*call);
            return handle_page(call);
        }
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
             expired                ? "the request's time is not within 15 minutes of this host's"
             : options_.credentials ? "the request is not signed as a key of this service must"
                                    : denied.what());  // which tells no secret
    } catch (const RequestError& error) {
        fail(*call, error.code, error.what());
    } catch (const std::exception& error) {
        options_.log(LogLevel::error, error.what(), {{"id", call->id}});
        fail(*call, ErrorCode::internal_error,
             "the request could not be handled; the log says why");
    }
}

void Api::refused(const HttpPeer& peer, const std::string& why, HttpReply& reply) {
    const std::string id = new_request_id();
    const std::string code = reply.status ? std::to_string(reply.status) : "TLS";
    reply.headers.emplace_back("x-amzn-RequestId", id);
    reply.headers.emplace_back("Cache-Control", "no-store");
    if (reply.status == 503) reply.headers.emplace_back("Retry-After", "1");
    ++served_[{"other", code}];
    durations_[std::size_t(Kind::refused)].add(0);
    options_.log(LogLevel::info, "refused",
                 {{"id", id}, {"peer", peer.address}, {"code", code}, {"why", why}});
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
            deny(
                "to a service without --credentials a change must be a POST with an "
                "Authorization header of AWS4-HMAC-SHA256, which any AWS client sends");
    }
    check_permission(*call);
    call->kind = is_read(action.name) ? Kind::read : Kind::change;
    if (options_.health->starting())
        throw RequestError(ErrorCode::unavailable, "the device is being opened");
    queue_.handle({action.name, query.parameters()}, [this, call, &action](Reply reply) {
        if (reply.status >= 500)
            options_.log(LogLevel::error, reply.message, {{"id", call->id}, {"code", reply.code}});
        if (!reply.ok()) return fail(*call, reply.code, reply.status, reply.message);
        HttpReply http{200, "text/xml;charset=UTF-8", ""};
        if (reply.listing) {
            const auto stream =
                std::make_shared<XmlStream>(action, call->id, std::move(reply.listing));
            http.more = [stream] { return stream->take(); };
            queue_.follow(stream);
        } else {
            http.body = reply_xml(action, reply.body, call->id);
        }
        finish(*call, std::move(http), "");
    });
}

/// Handles a request at the admin address, which has only the pages, to be read, and not by web
/// pages.
void Api::handle_admin(const std::shared_ptr<Call>& call) {
    const auto& http = call->http;
    const auto refuse = [&](unsigned status, const std::string& text, const char* code,
                            std::vector<std::pair<std::string, std::string>> headers = {}) {
        finish(*call, {status, "text/plain; charset=utf-8", text + "\n", std::move(headers)}, code);
    };
    call->action = http.path;
    if (!is_page(http.path))
        return refuse(404,
                      "here are /health, /metrics and /stats; actions are performed at the API's "
                      "address",
                      "NotFound");
    if (!is_get(http)) return refuse_method(*call, true);
    try {
        check_host(
            http, [this](const HostName& host) { return is_admin_host(host.name, host.address); },
            "at the admin address it must be that address or a name of --admin-host");
    } catch (const AccessDenied& denied) {
        options_.log(LogLevel::warning, std::string("not let in: ") + denied.what(),
                     {{"id", call->id}, {"peer", call->peer.address}});
        return refuse(
            403,
            "not let in: ask under this address or a name of --admin-host, and not from a "
            "web page",
            "Forbidden");
    }
    handle_page(call);
}

bool Api::is_admin_host(const std::string& name, const std::optional<IpAddress>& address) const {
    const auto& names = options_.admin_hosts;
    if (std::find(names.begin(), names.end(), name) != names.end()) return true;
    const IpAddress& bound = options_.admin_address;
    const bool local = is_local({name, address});
    if (is_loopback(bound)) return local;
    // Bound to all addresses. A web page cannot make a browser send an address in Host, so any
    // address in it is one of this host.
    if (bound == IpAddress{bound.v6, {}}) return local || address;
    return address == bound;
}

void Api::handle_page(const std::shared_ptr<Call>& call) {
    call->kind = Kind::page;
    const std::string& path = call->http.path;
    const Health& health = *options_.health;
    if (path == "/health") {
        Json body = {{"Status", health.status()}};
        if (const auto held = health.held(); !held.empty()) body["Causes"] = held;
        finish(*call, {health.http_status(), "application/json", to_text(body) + "\n"}, "");
        return;
    }
    if (health.starting()) {
        if (path == "/metrics") return finish_metrics(*call, nullptr, nullptr);
        return fail(*call, ErrorCode::unavailable, "the device is being opened");
    }
    auto reading = next_reading_.lock();
    if (!reading) {
        reading = std::make_shared<Reading>();
        next_reading_ = reading;
        queue_.post([this, reading](Requests& requests) { read_counters(reading, requests); });
    }
    reading->calls.push_back(call);
}

/// Reads one portion of the counters, and posts the next one. So requests that come meanwhile are
/// performed between two portions.
void Api::read_counters(const std::shared_ptr<Reading>& reading, Requests& requests) {
    const auto again = [&] {
        queue_.post([this, reading](Requests& later) { read_counters(reading, later); });
    };
    const auto in_hand = reading_in_hand_.lock();
    if (in_hand && in_hand != reading) return again();  // one at a time
    const bool begin = !in_hand;
    if (begin) {
        reading_in_hand_ = reading;
        next_reading_.reset();  // who comes from now on wants later counters
    }
    std::optional<Json> statistics;
    auto failure = ErrorCode::internal_error;
    try {
        statistics = options_.statistics(begin);
        if (!statistics) return again();
    } catch (const DeviceGone& error) {
        failure = ErrorCode::unavailable;
        options_.log(LogLevel::error, error.what(), {{"id", reading->calls.front()->id}});
    } catch (const std::exception& error) {
        options_.log(LogLevel::error, error.what(), {{"id", reading->calls.front()->id}});
    }
    reading_in_hand_.reset();
    for (const auto& call : reading->calls) {
        if (call->http.path == "/metrics")
            finish_metrics(*call, &requests, statistics ? &*statistics : nullptr);
        else if (statistics)
            finish(*call, {200, "application/json", to_text(*statistics, 2) + "\n"}, "");
        else
            fail(*call, failure, "the counters could not be read; the log says why");
    }
}

void Api::fail(Call& call, ErrorCode code, const std::string& message) {
    fail(call, to_string(code), http_status(code), message);
}

void Api::fail(Call& call, const std::string& code, int status, const std::string& message) {
    // What a device or file says of an error is for the log, not for the client.
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
    const unsigned status = reply.status;
    const double seconds = std::chrono::duration<double>(Clock::now() - call.start).count();
    ++served_[{action_label(call.action), code.empty() ? "OK" : code}];
    durations_[std::size_t(call.kind)].add(seconds);
    call.answered = true;
    call.respond(std::move(reply));
    options_.log(LogLevel::info, "request",
                 {{"id", call.id},
                  {"action", call.action},
                  {"key", call.key},
                  {"peer", call.peer.address},
                  {"code", code.empty() ? Json(status) : Json(code)},
                  {"ms", std::round(seconds * 1e6) / 1000}});
}

/// Answers /metrics with what can be read at the moment. @param requests null: the device is not
/// open yet
/// @param statistics null: the counters could not be read
void Api::finish_metrics(Call& call, const Requests* requests, const Json* statistics) {
    Metrics metrics;
    metrics.gauge("mirrornic_build_info", "The version that runs and its register map; always 1.");
    metrics.sample({{"version", options_.version}, {"map_hash", options_.map_hash}},
                   std::uint64_t{1});
    add_process(metrics);
    const Health& health = *options_.health;
    metrics.gauge("mirrornic_ready", "1 while /health is answered with 200, else 0.");
    metrics.sample({}, std::uint64_t{health.http_status() == 200});
    metrics.gauge("mirrornic_health", "1 while the service is degraded for this cause, else 0.");
    for (std::size_t i = 0; i < Health::causes; ++i) {
        const auto cause = Health::Cause(i);
        metrics.sample({{"cause", Health::name(cause)}},
                       std::uint64_t{health.trouble(cause).has_value()});
    }
    metrics.gauge("mirrornic_connections", "Connections that are open.");
    metrics.sample({}, std::uint64_t{options_.connections()});
    metrics.counter("mirrornic_connections_displaced_total",
                    "Connections that were closed for others because descriptors ran out.");
    metrics.sample({}, options_.displaced());
    metrics.counter("mirrornic_requests_total",
                    "Requests answered, by action, page or \"other\", and by error code.");
    for (const auto& [key, count] : served_)
        metrics.sample({{"action", key.first}, {"code", key.second}}, count);
    metrics.histogram("mirrornic_request_duration_seconds",
                      "Time from a whole request to its reply, by what was asked for.");
    for (const auto& [kind, name] : {std::pair{Kind::read, "read"},
                                     {Kind::change, "change"},
                                     {Kind::page, "page"},
                                     {Kind::refused, "refused"}})
        metrics.sample({{"class", name}}, durations_[std::size_t(kind)]);
    if (requests) {
        metrics.gauge("mirrornic_sessions", "Sessions that are stored.");
        metrics.sample({}, std::uint64_t{requests->account().sessions().size()});
        metrics.gauge("mirrornic_sessions_disabled", "Stored sessions that mirror nothing now.");
        metrics.sample({}, std::uint64_t{requests->disabled_count()});
    }
    if (statistics) add_statistics(metrics, *statistics);
    finish(call, {200, "text/plain; version=0.0.4; charset=utf-8", metrics.text()}, "");
}

}  // namespace mirrornic
