// SPDX-License-Identifier: Apache-2.0
#include "host/requests/request_service.hpp"

#include <algorithm>

#include "driver/mirror_device.hpp"
#include "host/requests/perform_actions.hpp"

namespace mirrornic {
namespace {

using TokenKeys = std::vector<std::pair<std::string, std::string>>;

/// Adds the oldest tokens that were given by then, at most `limit`. A change that stores one token
/// erases these with it: enough that no expired token stays for long, and few enough that the
/// change is not slow.
void add_expired(TokenKeys& keys, const Account& account,
                 std::chrono::system_clock::time_point given_by) {
    constexpr std::size_t limit = 64;
    for (const auto& [time, key] : account.tokens_by_age()) {
        if (time > given_by || keys.size() == limit) break;
        if (keys.empty() || key != keys.front()) keys.push_back(key);
    }
}

[[noreturn]] void fail_dry_run() {
    throw RequestError(ErrorCode::dry_run, "the request would have succeeded, but DryRun is set");
}

}  // namespace

void Quotas::set(const std::string& assignment) {
    const std::pair<const char*, std::size_t Quotas::*> names[] = {
        {"sessions-per-interface", &Quotas::sessions_per_interface},
        {"sources-per-target", &Quotas::sources_per_target},
        {"rules-per-filter", &Quotas::rules_per_filter},
        {"sessions", &Quotas::sessions},
        {"targets", &Quotas::targets},
        {"filters", &Quotas::filters}};
    const auto equals = assignment.find('=');
    const auto name = assignment.substr(0, equals);
    const auto number = equals == std::string::npos ? "" : assignment.substr(equals + 1);
    std::string all;
    for (const auto& [known, member] : names) {
        all += (all.empty() ? "" : ", ") + std::string(known);
        if (name != known) continue;
        if (number.empty() || number.size() > 9 ||
            number.find_first_not_of("0123456789") != std::string::npos)
            throw std::invalid_argument("quota " + shown(assignment) +
                                        " does not read NAME=N with N from 0 to 999999999");
        this->*member = std::stoul(number);
        return;
    }
    throw std::invalid_argument("no quota is named " + shown(name) + "; there are " + all);
}

Requests::Requests(Account account, Store& store, Device& device, Settings settings)
    : account_(std::move(account)),
      tables_(table_state(account_)),
      store_(store),
      device_(device),
      settings_(std::move(settings)),
      generator_(settings_.seed) {
    waiting_ = fit(tables_, account_, device_.sizes());
    device_.commit(device_.stage(tables_, nullptr));
}

bool Listing::go_on(const Portion& portion) {
    constexpr unsigned looks = 8;  // between two of the clock
    for (unsigned n = 1; step(); ++n) {
        if (items_.size() >= portion.items) return true;
        if (n % looks == 0 && n >= portion.at_least &&
            portion.until != Portion::Clock::time_point::max() &&
            Portion::Clock::now() >= portion.until)
            return true;
    }
    return false;
}

Reply reply_of(Listing& listing) {
    Reply reply;
    reply.body[listing.member()] = listing.items();
    if (!listing.next_token().empty()) reply.body["NextToken"] = listing.next_token();
    return reply;
}

std::vector<Reply> Requests::handle(const std::vector<Request>& requests, const Portion& portion) {
    const auto attempt = [](const auto& act) -> Reply {
        const auto failure = [](ErrorCode code, const std::string& message) {
            return Reply{Json::object(), http_status(code), to_string(code), message};
        };
        try {
            return act();
        } catch (const RequestError& error) {
            return failure(error.code, error.what());
        } catch (const StoreUnavailable& error) {
            return failure(ErrorCode::unavailable, error.what());
        } catch (const DeviceGone& error) {
            return failure(ErrorCode::unavailable, error.what());
        } catch (const std::exception& error) {
            return failure(ErrorCode::internal_error, error.what());
        }
    };
    const auto reads = [](const Request& request) { return is_read(request.action); };

    std::vector<Reply> replies(requests.size());
    Batch batch;
    const auto generator = generator_;
    for (std::size_t i = 0; i < requests.size(); ++i)
        if (!reads(requests[i]))
            replies[i] = attempt([&] { return perform(requests[i], batch, portion); });
    if (!batch.changes.empty()) {
        const auto writes =
            requests.size() - std::size_t(std::count_if(requests.begin(), requests.end(), reads));
        const Reply committed = attempt([&]() -> Reply {
            try {
                commit(batch, stage());
            } catch (...) {
                take_back(batch);
                throw;
            }
            return {};
        });
        if (!committed.ok()) generator_ = generator;
        for (std::size_t i = 0; i < requests.size() && !committed.ok(); ++i) {
            if (reads(requests[i])) continue;
            // One change of the batch may have failed all of it. So each is performed by itself: it
            // succeeds, or is answered with its own error.
            replies[i] = writes > 1 ? handle(requests[i]) : committed;
        }
    }
    for (std::size_t i = 0; i < requests.size(); ++i) {
        if (!reads(requests[i])) continue;
        Portion own = portion;  // a quarter of the time left, so that the other requests get some
        if (own.until != Portion::Clock::time_point::max()) {
            const auto now = Portion::Clock::now();
            own.until = now + std::max(own.until - now, Portion::Clock::duration::zero()) / 4;
        }
        replies[i] = attempt([&] { return perform(requests[i], batch, own); });
    }
    return replies;
}

/// The order of the checks is that of S5.
Reply Requests::perform(const Request& request, Batch& batch, const Portion& portion) {
    if (request.action.empty())
        throw RequestError(ErrorCode::missing_action, "the request names no Action");
    const auto* action = find_action(request.action);
    if (!action)
        throw RequestError(ErrorCode::invalid_action,
                           "Action: " + shown(request.action) + " is not known");
    Json p = checked_parameters(*action, request.parameters);
    const auto& handler = handler_of(*action);
    if (handler.check) handler.check(p);

    const bool dry_run = p.value("DryRun", false);
    p.erase("DryRun");
    std::optional<std::string> token;
    if (p.contains("ClientToken")) token = text(p, "ClientToken");
    const std::string decoded = token ? to_text(p) : "";
    const auto now = settings_.now();
    TokenKeys expired;
    if (token) {
        const std::pair key(action->name, *token);
        const auto at = account_.tokens().find(key);
        if (at != account_.tokens().end()) {
            if (now - at->second.time >= settings_.token_life) {
                expired.push_back(key);
            } else {
                if (at->second.parameters != decoded)
                    throw RequestError(
                        ErrorCode::idempotent_parameter_mismatch,
                        "ClientToken: " + shown(*token) + " was used with other parameters");
                if (dry_run) fail_dry_run();
                return {Json::parse(at->second.reply)};
            }
        }
        add_expired(expired, account_, now - settings_.token_life);
    }

    auto generator = generator_;  // a request that fails draws nothing
    Effect effect = handler.perform({account_, settings_, generator}, p);
    if (token) {
        effect.reply["ClientToken"] = *token;
        effect.change.tokens_put.push_back(
            {action->name, *token, decoded, to_text(effect.reply), now});
        effect.change.tokens_erased = std::move(expired);
    }
    if (!effect.change.erased.empty() || !effect.change.put.empty()) {
        Batch mine;
        make(effect.change, dry_run ? mine : batch);
        if (dry_run) {
            try {
                stage();
            } catch (...) {
                take_back(mine);
                throw;
            }
            take_back(mine);
        }
    }
    if (dry_run) fail_dry_run();
    generator_ = generator;
    if (!effect.listing) return {std::move(effect.reply)};
    if (effect.listing->go_on(portion)) {
        Reply begun;
        begun.listing = std::move(effect.listing);
        return begun;
    }
    return reply_of(*effect.listing);
}

Device::Staged Requests::stage() {
    try {
        return device_.stage(tables_, settled_ ? &touched_ : nullptr);
    } catch (const TableFull& full) {
        const auto code = full.table == "filter"        ? ErrorCode::filter_limit
                          : full.table == "filter rule" ? ErrorCode::filter_rule_limit
                          : full.table == "slot"        ? ErrorCode::sessions_per_interface_limit
                                                        : ErrorCode::session_limit;
        throw RequestError(code, "the device's " + full.table + " table is full: " + full.what());
    } catch (const std::exception& error) {
        device_failed(error);
        throw;
    }
}

void Requests::device_failed(const std::exception& error) {
    settled_ = false;
    device_trouble_ = error.what();
}

void Requests::make(Change& change, Batch& batch) {
    if (batch.changes.empty()) batch.waiting = waiting_;
    Change inverse = account_.apply(change);
    // S8: a session that is created must be in force. So its interface no longer waits: either the
    // device takes all of the interface's sessions, or it throws TableFull and the request fails.
    if (!waiting_.empty())
        for (const auto& object : change.put)
            if (const auto* session = std::get_if<TrafficMirrorSession>(&object))
                for (const auto& created : inverse.erased)
                    if (created.id == session->id && waiting_.erase(session->interface_id) != 0)
                        refresh(tables_, touched_, account_, waiting_, session->interface_id);
    refresh(tables_, touched_, account_, waiting_, change, inverse);
    batch.changes.push_back(std::move(change));
    batch.inverses.push_back(std::move(inverse));
}

void Requests::take_back(Batch& batch) {
    while (!batch.inverses.empty()) {
        Change inverse = std::move(batch.inverses.back());
        const Change again = account_.apply(inverse);
        refresh(tables_, touched_, account_, waiting_, inverse, again);
        batch.inverses.pop_back();
    }
    if (!batch.changes.empty()) wait(batch.waiting);
    batch.changes.clear();
}

Requests::~Requests() {
    try {
        if (!owed_.empty()) store_.commit(owed_);
    } catch (const std::exception&) {
        // The next start finds a change in the store that has failed. Nobody is left to be told.
    }
}

void Requests::keep(const std::vector<Change>& changes) {
    try {
        if (owed_.empty()) {
            store_.commit(changes);
        } else {
            std::vector<Change> all = owed_;
            all.insert(all.end(), changes.begin(), changes.end());
            store_.commit(all);
            owed_.clear();
        }
        store_trouble_.reset();
    } catch (const std::exception& error) {
        store_trouble_ = error.what();
        throw;
    }
}

void Requests::put_back(const std::vector<Change>& inverses) {
    owed_.assign(inverses.rbegin(), inverses.rend());
    try {
        keep({});
    } catch (const std::exception&) {
        // keep() has noted the trouble, and owed_ stays for the next attempt.
    }
}

void Requests::bring_back() {
    try {
        device_.commit(device_.stage(tables_, nullptr));
        settled_ = true;
        touched_ = {};
    } catch (const std::exception& error) {
        device_failed(error);
    }
}

void Requests::wait(const Waiting& waiting) {
    std::set<std::string> others;
    for (const auto& [id, _] : waiting_)
        if (waiting.count(id) == 0) others.insert(id);
    for (const auto& [id, _] : waiting)
        if (waiting_.count(id) == 0) others.insert(id);
    waiting_ = waiting;
    for (const auto& id : others) refresh(tables_, touched_, account_, waiting_, id);
}

/// Which interfaces wait is not stored, so when the device fails they only have to wait on.
void Requests::admit() {
    if (waiting_.empty()) return;
    Room room(device_.sizes(), tables_);
    if (room.full()) return;
    const Waiting before = waiting_;
    for (const auto& id : in_order(before, account_)) {
        if (auto lacking = room.take(routed_sessions(account_, id), tables_)) {
            waiting_[id] = std::move(*lacking);
            continue;
        }
        waiting_.erase(id);
        refresh(tables_, touched_, account_, waiting_, id);
    }
    if (waiting_.size() == before.size()) return;
    try {
        device_.commit(device_.stage(tables_, settled_ ? &touched_ : nullptr));
        settled_ = true;
        touched_ = {};
    } catch (const TableFull&) {
        wait(before);
    } catch (const std::exception& error) {
        device_failed(error);
        wait(before);
        bring_back();
    }
}

std::vector<DisabledSession> Requests::disabled() const {
    std::vector<DisabledSession> out;
    if (disabled_count() == 0) return out;
    for (const auto& [_, session] : account_.sessions()) {
        if (tables_.sessions.count(session.id) != 0) continue;
        const auto why = why_no_route(account_, session);
        out.push_back({session.id, why ? *why : waiting_.at(session.interface_id)});
    }
    return out;
}

void Requests::tend() {
    if (device_trouble_) {
        bring_back();
        // That the device holds what is wanted does not show that it takes changes.
        try {
            if (settled_) {
                device_.probe();
                device_trouble_.reset();
                admit();  // what found room when the device failed
            }
        } catch (const std::exception& error) {
            device_failed(error);
        }
    }
    try {
        if (owed_.empty()) {
            store_.look(account_);
            if (store_trouble_) store_.probe();
        } else {
            keep({});
        }
        store_trouble_.reset();
    } catch (const std::exception& error) {
        store_trouble_ = error.what();
    }
}

void Requests::device_is_new() {
    // The device may have tables of other sizes, so which interfaces wait is worked out anew.
    tables_ = table_state(account_);
    waiting_ = fit(tables_, account_, device_.sizes());
    bring_back();
    if (settled_) device_trouble_.reset();
}

/// The store comes before the device: what is in force must be stored (S8).
void Requests::commit(Batch& batch, const Device::Staged& staged) {
    keep(batch.changes);
    try {
        device_.commit(staged);
        settled_ = true;
        touched_ = {};
    } catch (const std::exception& error) {
        device_failed(error);
        const std::exception_ptr failure = std::current_exception();
        put_back(batch.inverses);
        take_back(batch);
        bring_back();
        std::rethrow_exception(failure);
    }
    admit();
}

std::vector<std::string> Requests::replace_network(std::shared_ptr<const Network> network) {
    const auto former = account_.network();
    account_.take_network(std::move(network));
    Batch batch;
    std::vector<std::string> deleted;
    batch.changes.emplace_back();
    if (settings_.delete_orphans)
        for (const auto& [sequence, session] : account_.sessions()) {
            if (account_.interfaces().find(session.interface_id)) continue;
            batch.changes.back().erased.push_back({Kind::session, session.id, sequence});
            deleted.push_back(session.id);
        }
    batch.inverses.push_back(account_.apply(batch.changes.back()));
    TableState tables = table_state(account_);
    Waiting waiting = fit(tables, account_, device_.sizes());
    std::swap(tables, tables_);
    std::swap(waiting, waiting_);
    settled_ = false;
    try {
        const auto staged = stage();
        if (!deleted.empty()) keep(batch.changes);
        try {
            device_.commit(staged);
        } catch (const std::exception& error) {
            device_failed(error);
            if (!deleted.empty()) put_back(batch.inverses);
            throw;
        }
        settled_ = true;
        touched_ = {};
    } catch (...) {
        const std::exception_ptr failure = std::current_exception();
        account_.apply(batch.inverses.back());
        account_.take_network(former);
        std::swap(tables, tables_);
        std::swap(waiting, waiting_);
        bring_back();
        std::rethrow_exception(failure);
    }
    return deleted;
}

}  // namespace mirrornic
