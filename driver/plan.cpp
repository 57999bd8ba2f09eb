// SPDX-License-Identifier: Apache-2.0
#include "plan.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

namespace mirrornic {
namespace {

using encoding::FilterWords;
using encoding::SessionWords;

[[noreturn]] void invalid(const std::string& message) { throw std::invalid_argument(message); }

void check(const std::string& what, const std::optional<PortRange>& ports) {
    if (ports && ports->from > ports->to)
        invalid(what + ": port range " + std::to_string(ports->from) + " to " +
                std::to_string(ports->to) + " is empty");
}

void check(const std::string& id, const Filter& filter, const TableSizes& sizes) {
    for (const auto* list : {&filter.ingress, &filter.egress}) {
        const std::string direction = list == &filter.ingress ? "ingress" : "egress";
        if (list->size() > sizes.rules_per_direction)
            throw TableFull("filter rule", "filter " + id + " has " + std::to_string(list->size()) +
                                               " " + direction + " rules, the device holds " +
                                               std::to_string(sizes.rules_per_direction));
        for (std::size_t i = 0; i < list->size(); ++i) {
            const Rule& rule = (*list)[i];
            const std::string what =
                "filter " + id + ", " + direction + " rule " + std::to_string(i);
            const bool v6 = rule.source.base.v6;
            if (rule.destination.base.v6 != v6) invalid(what + ": its CIDRs mix IP versions");
            const unsigned longest = v6 ? 128 : 32;
            if (rule.source.prefix > longest || rule.destination.prefix > longest)
                invalid(what + ": a prefix is over " + std::to_string(longest) + " bits");
            check(what, rule.source_ports);
            check(what, rule.destination_ports);
        }
    }
}

void check(const std::string& id, const Session& session) {
    const std::string what = "session " + id + ": ";
    if (id.empty()) invalid("a session has an empty id");
    if (session.number < 1 || session.number > 32766)
        invalid(what + "number " + std::to_string(session.number) + " is outside 1..32766");
    if (session.vni >> 24)
        invalid(what + "VNI " + std::to_string(session.vni) + " is over 24 bits");
    if (session.packet_length && *session.packet_length == 0) invalid(what + "packet length is 0");
    if (session.mtu < 576 || session.mtu > 9216)
        invalid(what + "MTU " + std::to_string(session.mtu) + " is outside 576..9216");
    if (session.source_address.v6 != session.target_address.v6)
        invalid(what + "source and target address are of different IP versions");
}

void check_room(const std::string& table, std::size_t wanted, std::uint32_t room,
                const std::string& what) {
    if (wanted > room)
        throw TableFull(table, std::to_string(wanted) + " " + what + " are wanted, the device's " +
                                   table + " table holds " + std::to_string(room));
}

void take(std::deque<Tables::Free>& free, std::uint32_t index) {
    free.erase(std::find_if(free.begin(), free.end(),
                            [&](const Tables::Free& entry) { return entry.index == index; }));
}

struct WantedSession {
    std::string id, filter;
    std::uint16_t number = 0;
    SessionWords words{};
};

struct WantedInterface {
    std::string id;
    std::optional<std::uint32_t> resolver;
    std::vector<WantedSession> sessions;  ///< in ascending number
};

class Planner {
public:
    Planner(const Tables& tables, const TableState& desired, const TableSizes& sizes)
        : base_(tables) {
        encode(desired, sizes);
        match_interfaces();
        match_filters();
        for (auto& loaded : base_.filters) {  // ids of rules may be new where the words are not
            const auto used = used_.find(loaded.name);
            if (loaded.words && used != used_.end() && *used->second.words == *loaded.words)
                loaded.filter = used->second.filter;
        }
        now_ = base_;
    }

    Changes run() {
        remove_interfaces();
        rewrite_filters();
        change_interfaces();
        return {std::move(base_), std::move(steps_)};
    }

private:
    // What is wanted, checked and as words.

    void encode(const TableState& desired, const TableSizes& sizes) {
        for (const auto& [id, session] : desired.sessions) {
            check(id, session);
            const auto interface = desired.interfaces.find(session.interface);
            if (interface == desired.interfaces.end() || session.interface.empty())
                invalid("session " + id + ": there is no interface '" + session.interface + "'");
            const auto filter = desired.filters.find(session.filter);
            if (filter == desired.filters.end() || session.filter.empty() || !filter->second)
                invalid("session " + id + ": there is no filter '" + session.filter + "'");
            if (used_.find(session.filter) == used_.end()) {
                check(session.filter, *filter->second, sizes);
                used_[session.filter] = {
                    session.filter, filter->second,
                    std::make_shared<const FilterWords>(encoding::encode(*filter->second))};
            }
            auto& wanted = wanted_[session.interface];
            wanted.id = session.interface;
            if (const auto& resolver = interface->second.resolver) {
                if (resolver->v6)
                    invalid("interface " + wanted.id + ": its resolver is no IPv4 address");
                wanted.resolver = encoding::address_word(*resolver);
            }
            wanted.sessions.push_back(
                {id, session.filter, session.number, encoding::encode(session)});
        }
        for (auto& [id, wanted] : wanted_) {
            auto& sessions = wanted.sessions;
            if (sessions.size() > sizes.slots)
                throw TableFull("slot", "interface " + id + " has " +
                                            std::to_string(sessions.size()) +
                                            " sessions, the device holds " +
                                            std::to_string(sizes.slots) + " of an interface");
            std::sort(sessions.begin(), sessions.end(),
                      [](const auto& a, const auto& b) { return a.number < b.number; });
            for (std::size_t i = 1; i < sessions.size(); ++i)
                if (sessions[i].number == sessions[i - 1].number)
                    invalid("sessions " + sessions[i - 1].id + " and " + sessions[i].id +
                            " of interface " + id + " share number " +
                            std::to_string(sessions[i].number));
        }
        check_room("interface", wanted_.size(), sizes.interfaces, "interfaces with a session");
        check_room("filter", used_.size(), sizes.filters, "filters that a session uses");
        check_room("session", desired.sessions.size(), sizes.sessions, "sessions");
    }

    // Matching of what was read back, which has no ids, with what is wanted, by content.

    bool same_filter(const encoding::Slot& slot, const WantedSession& session) const {
        return *base_.filters[slot.filter].words == *used_.at(session.filter).words;
    }

    bool same_slot(const encoding::Slot& slot, const WantedSession& session) const {
        return slot.number == session.number && base_.sessions[slot.session] == session.words &&
               same_filter(slot, session);
    }

    void match_interfaces() {
        std::multimap<std::uint64_t, std::uint32_t> by_mac;
        for (std::uint32_t i = 0; i < base_.interfaces.size(); ++i) {
            std::set<std::uint64_t> macs;
            if (base_.interfaces[i].name.empty())
                for (const auto& slot : base_.interfaces[i].slots)
                    macs.insert(encoding::source_mac(base_.sessions[slot.word.session]));
            for (const auto mac : macs) by_mac.emplace(mac, i);
        }
        converging_ = !by_mac.empty();
        if (!converging_) return;

        struct Pair {
            bool exact;
            int score;
            WantedInterface* wanted;
            std::uint32_t index;
        };
        std::vector<Pair> pairs;
        for (auto& [id, wanted] : wanted_) {
            if (find_interface(base_, id)) continue;
            std::set<std::uint32_t> candidates;
            for (const auto& session : wanted.sessions) {
                const auto range = by_mac.equal_range(encoding::source_mac(session.words));
                for (auto i = range.first; i != range.second; ++i) candidates.insert(i->second);
            }
            for (const auto index : candidates) {
                const auto& held = base_.interfaces[index];
                std::size_t equal = 0;
                for (const auto& slot : held.slots)
                    for (const auto& session : wanted.sessions)
                        equal += same_slot(slot.word, session);
                const bool same_resolver = held.resolver == wanted.resolver;
                const bool exact =
                    same_resolver && equal == held.slots.size() && equal == wanted.sessions.size();
                pairs.push_back({exact, int(2 * equal) + same_resolver, &wanted, index});
            }
        }
        std::stable_sort(pairs.begin(), pairs.end(), [](const Pair& a, const Pair& b) {
            return std::tie(a.exact, a.score) > std::tie(b.exact, b.score);
        });
        std::set<std::string> placed;
        for (const auto& pair : pairs) {
            auto& held = base_.interfaces[pair.index];
            if (!held.name.empty() || !placed.insert(pair.wanted->id).second) continue;
            held.name = pair.wanted->id;
            match_sessions(held, *pair.wanted);
        }
    }

    /// A session keeps its entry, and with it its counters, when number or entry are the same.
    void match_sessions(Tables::Interface& held, const WantedInterface& wanted) {
        std::set<std::string> placed;
        for (int round = 0; round < 3; ++round)
            for (auto& slot : held.slots)
                for (const auto& session : wanted.sessions) {
                    const bool number = slot.word.number == session.number;
                    const bool entry = base_.sessions[slot.word.session] == session.words;
                    const bool same = round == 0 ? number && entry : round == 1 ? number : entry;
                    if (slot.session.empty() && same && placed.insert(session.id).second)
                        slot.session = session.id;
                }
    }

    void match_filters() {
        if (!converging_) return;
        std::map<std::string, const WantedSession*> sessions;
        for (const auto& [id, wanted] : wanted_)
            for (const auto& session : wanted.sessions) sessions[session.id] = &session;

        const auto name = [&](std::uint32_t index, const std::string& id) {
            if (base_.filters[index].name.empty() && !find_filter(base_, id))
                base_.filters[index].name = id;
        };
        // By index: the filters that its slots are to have; "" where a slot changes otherwise too.
        std::map<std::uint32_t, std::set<std::string>> wanted_by;
        for (const auto& interface : base_.interfaces)
            for (const auto& slot : interface.slots) {
                const auto found = sessions.find(slot.session);
                if (found == sessions.end()) {
                    wanted_by[slot.word.filter].insert("");
                    continue;
                }
                const WantedSession& session = *found->second;
                const bool same_else = slot.word.number == session.number &&
                                       base_.sessions[slot.word.session] == session.words;
                wanted_by[slot.word.filter].insert(same_else ? session.filter : "");
                if (same_filter(slot.word, session)) name(slot.word.filter, session.filter);
            }
        std::map<FilterWords, std::vector<std::uint32_t>> by_words;
        for (std::uint32_t i = 0; i < base_.filters.size(); ++i)
            if (base_.filters[i].words && base_.filters[i].name.empty())
                by_words[*base_.filters[i].words].push_back(i);
        for (const auto& [id, used] : used_) {
            const auto equal = by_words.find(*used.words);
            if (equal == by_words.end() || find_filter(base_, id)) continue;
            name(equal->second.back(), id);
            equal->second.pop_back();
            if (equal->second.empty()) by_words.erase(equal);
        }
        // Rules that changed are written in place, where that is all that changes for each slot.
        for (const auto& [index, ids] : wanted_by)
            if (ids.size() == 1 && !ids.begin()->empty()) name(index, *ids.begin());
    }

    // Places.

    static std::optional<std::uint32_t> find_interface(const Tables& tables,
                                                       const std::string& id) {
        for (std::uint32_t i = 0; i < tables.interfaces.size(); ++i)
            if (!tables.interfaces[i].slots.empty() && tables.interfaces[i].name == id) return i;
        return std::nullopt;
    }

    static std::optional<std::uint32_t> find_filter(const Tables& tables, const std::string& id) {
        for (std::uint32_t i = 0; i < tables.filters.size(); ++i)
            if (tables.filters[i].words && tables.filters[i].name == id) return i;
        return std::nullopt;
    }

    static const Tables::Slot* find_slot(const Tables::Interface& interface,
                                         const std::string& session) {
        for (const auto& slot : interface.slots)
            if (slot.session == session) return &slot;
        return nullptr;
    }

    std::vector<unsigned> filter_references() const {
        std::vector<unsigned> references(now_.filters.size());
        for (const auto& interface : now_.interfaces)
            for (const auto& slot : interface.slots) ++references[slot.word.filter];
        return references;
    }

    // Steps.

    void emit(Step step) {
        now_.apply(step, 0);  // when an index was freed matters at the commit alone
        if (step.interface) {
            const auto references = filter_references();
            for (std::uint32_t i = 0; i < now_.filters.size(); ++i)
                if (now_.filters[i].words && references[i] == 0 &&
                    used_.find(now_.filters[i].name) == used_.end())
                    step.freed_filters.push_back(i);
            Step freed;
            freed.freed_filters = step.freed_filters;
            now_.apply(freed, 0);
        }
        steps_.push_back(std::move(step));
    }

    void empty_interface(std::uint32_t index) {
        Step step;
        step.interface = {index, {}};
        emit(std::move(step));
    }

    void write_filter(std::uint32_t index, const std::string& id) {
        Step step;
        step.filter = {index, used_.at(id)};
        emit(std::move(step));
    }

    void remove_interfaces() {
        for (std::uint32_t i = 0; i < now_.interfaces.size(); ++i) {
            const auto& held = now_.interfaces[i];
            if (!held.slots.empty() && wanted_.find(held.name) == wanted_.end()) empty_interface(i);
        }
    }

    void rewrite_filters() {
        for (const auto& [id, used] : used_) {
            const auto index = find_filter(now_, id);
            if (index && *now_.filters[*index].words != *used.words) write_filter(*index, id);
        }
    }

    bool up_to_date(const WantedInterface& wanted) const {
        const auto index = find_interface(now_, wanted.id);
        if (!index) return false;
        const auto& held = now_.interfaces[*index];
        if (held.resolver != wanted.resolver || held.slots.size() != wanted.sessions.size())
            return false;
        for (std::size_t i = 0; i < held.slots.size(); ++i) {
            const auto& slot = held.slots[i];
            const auto& session = wanted.sessions[i];
            if (slot.session != session.id || slot.word.number != session.number ||
                now_.filters[slot.word.filter].name != session.filter ||
                now_.sessions[slot.word.session] != session.words)
                return false;
        }
        return true;
    }

    std::set<std::string> missing_filters(const WantedInterface& wanted) const {
        std::set<std::string> missing;
        for (const auto& session : wanted.sessions)
            if (!find_filter(now_, session.filter)) missing.insert(session.filter);
        return missing;
    }

    void change_interfaces() {
        std::vector<const WantedInterface*> open;
        for (const auto& [id, wanted] : wanted_)
            if (!up_to_date(wanted)) open.push_back(&wanted);
        const bool one_request = open.size() == 1 && steps_.empty() && !converging_;
        while (!open.empty()) {
            const auto possible =
                std::find_if(open.begin(), open.end(), [&](const WantedInterface* wanted) {
                    return missing_filters(*wanted).size() <= now_.free_filters.size();
                });
            if (possible != open.end()) {
                const WantedInterface& wanted = **possible;
                for (const auto& id : missing_filters(wanted))
                    write_filter(now_.free_filters.front().index, id);
                if (!up_to_date(wanted)) change_interface(wanted);
                open.erase(possible);
            } else if (!replace_filter(open)) {
                make_filter_room(open, one_request);
            }
        }
    }

    /// With the filter table full: a session that gets another filter and keeps all else, and is
    /// the only user of its old one, gets it by one write over the old.
    bool replace_filter(const std::vector<const WantedInterface*>& open) {
        const auto references = filter_references();
        for (const auto* wanted : open) {
            const auto index = find_interface(now_, wanted->id);
            if (!index || now_.interfaces[*index].resolver != wanted->resolver) continue;
            for (const auto& session : wanted->sessions) {
                const auto* slot = find_slot(now_.interfaces[*index], session.id);
                if (slot && slot->word.number == session.number &&
                    now_.sessions[slot->word.session] == session.words &&
                    references[slot->word.filter] == 1 && !find_filter(now_, session.filter)) {
                    write_filter(slot->word.filter, session.filter);
                    return true;
                }
            }
        }
        return false;
    }

    /// With the filter table full and no atomic way: what takes part in several changes is taken
    /// out and comes back; one request alone cannot be made without a mix (T2), so it fails.
    void make_filter_room(const std::vector<const WantedInterface*>& open, bool one_request) {
        if (!one_request)
            for (const auto* wanted : open)
                if (const auto index = find_interface(now_, wanted->id)) {
                    empty_interface(*index);
                    return;
                }
        throw TableFull("filter", "interface " + open.front()->id +
                                      " needs a filter that is not loaded, and each of the " +
                                      std::to_string(now_.filters.size()) +
                                      " filters that the device holds is in use");
    }

    void change_interface(const WantedInterface& wanted) {
        struct Target {
            Tables::Slot slot;
            std::optional<Tables::Slot> old;
            const SessionWords* words;  ///< to be written; null: the entry is right
        };
        const auto found = find_interface(now_, wanted.id);
        const std::uint32_t index = found ? *found : now_.free_interfaces.front().index;
        std::vector<Target> targets;
        auto free_session = now_.free_sessions.begin();
        for (const auto& session : wanted.sessions) {
            Target target{};
            target.slot.session = session.id;
            target.slot.word.number = session.number;
            target.slot.word.filter = std::uint16_t(*find_filter(now_, session.filter));
            if (const auto* slot = find_slot(now_.interfaces[index], session.id)) {
                target.old = *slot;
                target.slot.word.session = slot->word.session;
                if (now_.sessions[slot->word.session] != session.words)
                    target.words = &session.words;
            } else {
                if (free_session == now_.free_sessions.end())
                    throw TableFull("session", "no session entry is free for " + session.id);
                target.slot.word.session = std::uint16_t((free_session++)->index);
                target.words = &session.words;
            }
            targets.push_back(std::move(target));
        }
        // One session entry a commit. Slots whose entry is not written yet keep their old form, or
        // stay out; all that needs no entry goes with the first.
        bool first = true;
        for (auto next = targets.begin();; first = false) {
            next = std::find_if(next, targets.end(), [](const Target& t) { return t.words; });
            if (next == targets.end() && !first) return;
            Step step;
            if (next != targets.end()) {
                step.session = {next->slot.word.session, *next->words};
                step.new_session = !next->old;
                next->words = nullptr;
            }
            Tables::Interface interface {
                wanted.id, wanted.resolver, {}
            };
            for (const auto& target : targets)
                if (!target.words)
                    interface.slots.push_back(target.slot);
                else if (target.old)
                    interface.slots.push_back(*target.old);
            std::stable_sort(
                interface.slots.begin(), interface.slots.end(),
                [](const auto& a, const auto& b) { return a.word.number < b.word.number; });
            if (encoding::encode(interface.word()) !=
                encoding::encode(now_.interfaces[index].word()))
                step.interface = {index, std::move(interface)};
            if (step.interface || step.session) emit(std::move(step));
        }
    }

    std::map<std::string, WantedInterface> wanted_;     ///< by id
    std::map<std::string, Tables::LoadedFilter> used_;  ///< by id, as they are to be
    bool converging_ = false;                           ///< some of the tables has no ids yet
    Tables base_, now_;
    std::vector<Step> steps_;
};

}  // namespace

encoding::InterfaceWord Tables::Interface::word() const {
    encoding::InterfaceWord word;
    word.resolver = resolver;
    for (const auto& slot : slots) word.slots.push_back(slot.word);
    return word;
}

void Tables::apply(const Step& step, std::uint64_t sequence) {
    if (step.interface) {
        const auto& [index, next] = *step.interface;
        auto& held = interfaces[index];
        if (held.slots.empty() && !next.slots.empty()) take(free_interfaces, index);
        if (!held.slots.empty() && next.slots.empty()) free_interfaces.push_back({index, sequence});
        for (const auto& slot : held.slots)
            if (std::none_of(next.slots.begin(), next.slots.end(), [&](const auto& other) {
                    return other.word.session == slot.word.session;
                }))
                free_sessions.push_back({slot.word.session, sequence});
        held = next;
    }
    if (step.session) {
        if (step.new_session) take(free_sessions, step.session->first);
        sessions[step.session->first] = step.session->second;
    }
    if (step.filter) {
        auto& held = filters[step.filter->first];
        if (!held.words) take(free_filters, step.filter->first);
        held = step.filter->second;
    }
    for (const auto index : step.freed_filters) {
        filters[index] = {};
        free_filters.push_back({index, sequence});
    }
}

Changes plan_changes(const Tables& tables, const TableState& desired, const TableSizes& sizes) {
    return Planner(tables, desired, sizes).run();
}

}  // namespace mirrornic
