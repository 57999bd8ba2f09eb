// SPDX-License-Identifier: Apache-2.0
#include "driver/plan.hpp"

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

/// Makes one plan. It goes through the steps on its tables (now_) as the device will, and undoes
/// all of them at the end, since a plan changes nothing.
class Planner {
public:
    /// From any tables.
    Planner(const Tables& tables, const TableState& desired, const TableSizes& sizes)
        : own_(tables), now_(own_) {
        for (const auto& [id, session] : desired.sessions) encode(id, session, desired, sizes);
        check_interfaces(sizes);
        check_room("interface", wanted_.size(), sizes.interfaces, "interfaces with a session");
        check_room("filter", used_.size(), sizes.filters, "filters that a session uses");
        check_room("session", desired.sessions.size(), sizes.sessions, "sessions");
        match_interfaces();
        match_filters();
        now_.index();
    }

    /// From tables that are as desired except for what was touched. @param tables changed meanwhile
    Planner(Tables& tables, const TableState& desired, const Touched& touched,
            const TableSizes& sizes)
        : now_(tables), touched_(&touched) {
        for (const auto& [id, sessions] : touched.interfaces)
            for (const auto& session : sessions) {
                const auto at = desired.sessions.find(session);
                if (at != desired.sessions.end() && at->second.interface == id)
                    encode(session, at->second, desired, sizes);
            }
        // A touched filter has to be written only if a session that was not touched uses it. If a
        // touched session uses it, encode() has taken it already.
        std::map<std::uint32_t, unsigned> of_touched;
        for (const auto& [id, sessions] : touched.interfaces)
            if (const auto index = find_interface(id))
                for (const auto& slot : now_.interfaces[*index].slots)
                    ++of_touched[slot.word.filter];
        for (const auto& id : touched.filters)
            if (const auto index = find_filter(id))
                if (now_.references[*index] > of_touched[*index])
                    use(id, desired.filters.at(id), sizes);
        check_interfaces(sizes);
    }

    Changes run() {
        rename_filters();
        if (!touched_) changes_.base = now_;
        try {
            if (touched_)
                remove_touched();
            else
                remove_interfaces();
            rewrite_filters();
            change_interfaces();
        } catch (...) {
            take_back();
            throw;
        }
        take_back();
        return std::move(changes_);
    }

private:
    // What is wanted, checked and as words.

    void use(const std::string& id, const std::shared_ptr<const Filter>& filter,
             const TableSizes& sizes) {
        if (used_.find(id) != used_.end()) return;
        check(id, *filter, sizes);
        used_[id] = {id, filter, std::make_shared<const FilterWords>(encoding::encode(*filter))};
    }

    void encode(const std::string& id, const Session& session, const TableState& desired,
                const TableSizes& sizes) {
        check(id, session);
        const auto interface = desired.interfaces.find(session.interface);
        if (interface == desired.interfaces.end() || session.interface.empty())
            invalid("session " + id + ": there is no interface '" + session.interface + "'");
        const auto filter = desired.filters.find(session.filter);
        if (filter == desired.filters.end() || session.filter.empty() || !filter->second)
            invalid("session " + id + ": there is no filter '" + session.filter + "'");
        use(session.filter, filter->second, sizes);
        kept_.insert(session.filter);
        auto& wanted = wanted_[session.interface];
        wanted.id = session.interface;
        if (const auto& resolver = interface->second.resolver) {
            if (resolver->v6)
                invalid("interface " + wanted.id + ": its resolver is no IPv4 address");
            wanted.resolver = encoding::address_word(*resolver);
        }
        wanted.sessions.push_back({id, session.filter, session.number, encoding::encode(session)});
    }

    void check_interfaces(const TableSizes& sizes) {
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
    }

    // Matching: tables that were read back have no ids. These functions find out, by content, which
    // entry belongs to which id of the wanted state.

    template <class Entry>
    static bool named(const std::vector<Entry>& entries, const std::string& id) {
        return std::any_of(entries.begin(), entries.end(),
                           [&](const Entry& entry) { return entry.name == id; });
    }

    bool same_filter(const encoding::Slot& slot, const WantedSession& session) const {
        return *now_.filters[slot.filter].words == *used_.at(session.filter).words;
    }

    bool same_slot(const encoding::Slot& slot, const WantedSession& session) const {
        return slot.number == session.number && now_.sessions[slot.session] == session.words &&
               same_filter(slot, session);
    }

    void match_interfaces() {
        std::multimap<std::uint64_t, std::uint32_t> by_mac;
        for (std::uint32_t i = 0; i < now_.interfaces.size(); ++i) {
            std::set<std::uint64_t> macs;
            if (now_.interfaces[i].name.empty())
                for (const auto& slot : now_.interfaces[i].slots)
                    macs.insert(encoding::source_mac(now_.sessions[slot.word.session]));
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
            if (named(now_.interfaces, id)) continue;
            std::set<std::uint32_t> candidates;
            for (const auto& session : wanted.sessions) {
                const auto range = by_mac.equal_range(encoding::source_mac(session.words));
                for (auto i = range.first; i != range.second; ++i) candidates.insert(i->second);
            }
            for (const auto index : candidates) {
                const auto& held = now_.interfaces[index];
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
            auto& held = now_.interfaces[pair.index];
            if (!held.name.empty() || !placed.insert(pair.wanted->id).second) continue;
            held.name = pair.wanted->id;
            match_sessions(held, *pair.wanted);
        }
    }

    /// Finds the sessions of an interface in its slots, so that each keeps its entry and with it
    /// its counters. Slots with the same number and entry are matched first, then those with the
    /// same number, then those with the same entry.
    void match_sessions(Tables::Interface& held, const WantedInterface& wanted) {
        std::set<std::string> placed;
        for (int round = 0; round < 3; ++round)
            for (auto& slot : held.slots)
                for (const auto& session : wanted.sessions) {
                    const bool number = slot.word.number == session.number;
                    const bool entry = now_.sessions[slot.word.session] == session.words;
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
            if (now_.filters[index].name.empty() && !named(now_.filters, id))
                now_.filters[index].name = id;
        };
        // Several filters may have equal content. Their users tell them apart: the ids are given so
        // that as many slots as possible keep their filter.
        std::map<std::pair<std::uint32_t, std::string>, unsigned> votes;
        // By filter index: the ids of the filters that its slots must get; "" for a slot of which
        // more than the filter changes.
        std::map<std::uint32_t, std::set<std::string>> wanted_by;
        for (const auto& interface : now_.interfaces)
            for (const auto& slot : interface.slots) {
                const auto found = sessions.find(slot.session);
                if (found == sessions.end()) {
                    wanted_by[slot.word.filter].insert("");
                    continue;
                }
                const WantedSession& session = *found->second;
                const bool same_else = slot.word.number == session.number &&
                                       now_.sessions[slot.word.session] == session.words;
                wanted_by[slot.word.filter].insert(same_else ? session.filter : "");
                if (same_filter(slot.word, session)) ++votes[{slot.word.filter, session.filter}];
            }
        std::map<std::string, unsigned> places;
        std::vector<std::pair<std::uint32_t, std::string>> pairs;
        for (const auto& [pair, count] : votes) {
            ++places[pair.second];
            pairs.push_back(pair);
        }
        std::stable_sort(pairs.begin(), pairs.end(), [&](const auto& a, const auto& b) {
            return std::pair(votes[b], places[a.second]) < std::pair(votes[a], places[b.second]);
        });
        for (const auto& [index, id] : pairs) name(index, id);
        std::map<FilterWords, std::vector<std::uint32_t>> by_words;
        for (std::uint32_t i = 0; i < now_.filters.size(); ++i)
            if (now_.filters[i].words && now_.filters[i].name.empty())
                by_words[*now_.filters[i].words].push_back(i);
        for (const auto& [id, used] : used_) {
            const auto equal = by_words.find(*used.words);
            if (equal == by_words.end() || named(now_.filters, id)) continue;
            name(equal->second.back(), id);
            equal->second.pop_back();
            if (equal->second.empty()) by_words.erase(equal);
        }
        // If nothing changes for a filter's slots but the rules, the filter keeps its index and is
        // written in place.
        for (const auto& [index, ids] : wanted_by)
            if (ids.size() == 1 && !ids.begin()->empty()) name(index, *ids.begin());
    }

    // Indices by id.

    static std::optional<std::uint32_t> find(
        const std::unordered_map<std::string, std::uint32_t>& indices, const std::string& id) {
        const auto at = indices.find(id);
        return at == indices.end() ? std::nullopt : std::optional(at->second);
    }
    std::optional<std::uint32_t> find_interface(const std::string& id) const {
        return find(now_.interface_of, id);
    }
    std::optional<std::uint32_t> find_filter(const std::string& id) const {
        return find(now_.filter_of, id);
    }

    static const Tables::Slot* find_slot(const Tables::Interface& interface,
                                         const std::string& session) {
        for (const auto& slot : interface.slots)
            if (slot.session == session) return &slot;
        return nullptr;
    }

    // Steps.

    /// Adds a step to the plan, and applies it to now_. The number of its commit is not known yet,
    /// and matters only when it is committed; here it is 0.
    void emit(Step step) {
        std::set<std::uint32_t> left;  ///< filters that the interface pointed to
        if (step.interface)
            for (const auto& slot : now_.interfaces[step.interface->first].slots)
                left.insert(slot.word.filter);
        undo_.push_back(now_.apply(step, 0));
        Step freed;
        for (const auto i : left)
            if (now_.references[i] == 0 && kept_.count(now_.filters[i].name) == 0)
                freed.freed_filters.push_back(i);
        undo_.push_back(now_.apply(freed, 0));
        step.freed_filters = std::move(freed.freed_filters);
        changes_.steps.push_back(std::move(step));
    }

    void take_back() {
        for (; touched_ && !undo_.empty(); undo_.pop_back()) now_.take_back(undo_.back());
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

    void remove_touched() {
        std::set<std::uint32_t> gone;
        for (const auto& [id, sessions] : touched_->interfaces)
            if (wanted_.find(id) == wanted_.end())
                if (const auto index = find_interface(id)) gone.insert(*index);
        for (const auto index : gone) empty_interface(index);
    }

    /// Notes the filters that have the wanted words already, but other ids of rules.
    void rename_filters() {
        for (const auto& [id, used] : used_) {
            const auto index = find_filter(id);
            if (!index || *now_.filters[*index].words != *used.words) continue;
            if (now_.filters[*index].filter != used.filter)
                changes_.renamed.emplace_back(*index, used.filter);
        }
    }

    void rewrite_filters() {
        for (const auto& [id, used] : used_) {
            const auto index = find_filter(id);
            if (index && *now_.filters[*index].words != *used.words) write_filter(*index, id);
        }
    }

    bool up_to_date(const WantedInterface& wanted) const {
        const auto index = find_interface(wanted.id);
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
            if (!find_filter(session.filter)) missing.insert(session.filter);
        return missing;
    }

    void change_interfaces() {
        std::vector<const WantedInterface*> open;
        for (const auto& [id, wanted] : wanted_)
            if (!up_to_date(wanted)) open.push_back(&wanted);
        const bool one_request =
            touched_ || (open.size() == 1 && changes_.steps.empty() && !converging_);
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

    /// For a full filter table: finds a session that gets another filter, keeps all else, and is
    /// the only user of its old filter. The new filter is written over the old one, which is one
    /// commit.
    /// @return whether there was one
    bool replace_filter(const std::vector<const WantedInterface*>& open) {
        for (const auto* wanted : open) {
            const auto index = find_interface(wanted->id);
            if (!index || now_.interfaces[*index].resolver != wanted->resolver) continue;
            for (const auto& session : wanted->sessions) {
                const auto* slot = find_slot(now_.interfaces[*index], session.id);
                if (slot && slot->word.number == session.number &&
                    now_.sessions[slot->word.session] == session.words &&
                    now_.references[slot->word.filter] == 1 && !find_filter(session.filter)) {
                    write_filter(slot->word.filter, session.filter);
                    return true;
                }
            }
        }
        return false;
    }

    /// For a full filter table where replace_filter() finds nothing. If the plan is more than one
    /// request, an interface is emptied, and is filled again later. One request must not interrupt
    /// anything (T2), so it fails: TableFull.
    void make_filter_room(const std::vector<const WantedInterface*>& open, bool one_request) {
        if (!one_request)
            for (const auto* wanted : open)
                if (const auto index = find_interface(wanted->id)) {
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
            const SessionWords* words;  ///< to be written; null: the entry has them
        };
        const auto found = find_interface(wanted.id);
        if (!found && now_.free_interfaces.empty())
            throw TableFull("interface",
                            "no entry of the device's interface table is free for " + wanted.id);
        const std::uint32_t index = found ? *found : now_.free_interfaces.front().index;
        std::vector<Target> targets;
        auto free_session = now_.free_sessions.begin();
        for (const auto& session : wanted.sessions) {
            Target target{};
            target.slot.session = session.id;
            target.slot.word.number = session.number;
            target.slot.word.filter = std::uint16_t(*find_filter(session.filter));
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
        // A commit can write one session entry. So there is one step for each entry that changes. A
        // slot whose entry is not written yet stays as it was, or is left out if it is new. All
        // that needs no entry goes with the first step.
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
    std::map<std::string, Tables::LoadedFilter> used_;  ///< by id, as wanted
    std::set<std::string> kept_;                        ///< filters of sessions in wanted_
    bool converging_ = false;                           ///< some entries have no ids yet
    Tables own_;
    Tables& now_;  ///< own_, or the caller's
    const Touched* touched_ = nullptr;
    std::vector<Tables::Undo> undo_;
    Changes changes_;
};

}  // namespace

encoding::InterfaceWord Tables::Interface::word() const {
    encoding::InterfaceWord word;
    word.resolver = resolver;
    for (const auto& slot : slots) word.slots.push_back(slot.word);
    return word;
}

void Tables::index() {
    interface_of.clear();
    filter_of.clear();
    references.assign(filters.size(), 0);
    for (std::uint32_t i = 0; i < interfaces.size(); ++i) {
        if (!interfaces[i].slots.empty()) interface_of[interfaces[i].name] = i;
        for (const auto& slot : interfaces[i].slots) ++references[slot.word.filter];
    }
    for (std::uint32_t i = 0; i < filters.size(); ++i)
        if (filters[i].words) filter_of[filters[i].name] = i;
}

void Tables::set(std::uint32_t index, Interface next) {
    auto& held = interfaces[index];
    for (const auto& slot : held.slots) --references[slot.word.filter];
    for (const auto& slot : next.slots) ++references[slot.word.filter];
    if (!held.slots.empty()) interface_of.erase(held.name);
    if (!next.slots.empty()) interface_of[next.name] = index;
    held = std::move(next);
}

void Tables::set(std::uint32_t index, LoadedFilter next) {
    auto& held = filters[index];
    if (held.words) filter_of.erase(held.name);
    if (next.words) filter_of[next.name] = index;
    held = std::move(next);
}

Tables::Undo::FreeList Tables::take(std::deque<Free> Tables::*list, std::uint32_t index) {
    auto& free = this->*list;
    const auto at = std::find_if(free.begin(), free.end(),
                                 [&](const Free& entry) { return entry.index == index; });
    const Undo::FreeList undo{list, std::pair(std::size_t(at - free.begin()), *at)};
    free.erase(at);
    return undo;
}

Tables::Undo::FreeList Tables::give(std::deque<Free> Tables::*list, std::uint32_t index,
                                    std::uint64_t since) {
    (this->*list).push_back({index, since});
    return {list, std::nullopt};
}

Tables::Undo Tables::apply(const Step& step, std::uint64_t sequence) {
    Undo undo;
    if (step.interface) {
        const auto& [index, next] = *step.interface;
        const auto& held = interfaces[index];
        undo.interface = {index, held};
        if (held.slots.empty() && !next.slots.empty())
            undo.free.push_back(take(&Tables::free_interfaces, index));
        if (!held.slots.empty() && next.slots.empty())
            undo.free.push_back(give(&Tables::free_interfaces, index, sequence));
        for (const auto& slot : held.slots)
            if (std::none_of(next.slots.begin(), next.slots.end(), [&](const auto& other) {
                    return other.word.session == slot.word.session;
                }))
                undo.free.push_back(give(&Tables::free_sessions, slot.word.session, sequence));
        set(index, next);
    }
    if (step.session) {
        const auto& [index, words] = *step.session;
        undo.session = {index, sessions[index]};
        if (step.new_session) undo.free.push_back(take(&Tables::free_sessions, index));
        sessions[index] = words;
    }
    if (step.filter) {
        const auto& [index, next] = *step.filter;
        undo.filters.emplace_back(index, filters[index]);
        if (!filters[index].words) undo.free.push_back(take(&Tables::free_filters, index));
        set(index, next);
    }
    for (const auto index : step.freed_filters) {
        undo.filters.emplace_back(index, filters[index]);
        undo.free.push_back(give(&Tables::free_filters, index, sequence));
        set(index, LoadedFilter{});
    }
    return undo;
}

void Tables::take_back(const Undo& undo) {
    for (auto at = undo.free.rbegin(); at != undo.free.rend(); ++at) {
        auto& free = this->*(at->list);
        if (at->taken)
            free.insert(free.begin() + std::ptrdiff_t(at->taken->first), at->taken->second);
        else
            free.pop_back();
    }
    for (auto at = undo.filters.rbegin(); at != undo.filters.rend(); ++at)
        set(at->first, at->second);
    if (undo.session) sessions[undo.session->first] = undo.session->second;
    if (undo.interface) set(undo.interface->first, undo.interface->second);
}

Changes plan_changes(const Tables& tables, const TableState& desired, const TableSizes& sizes) {
    return Planner(tables, desired, sizes).run();
}

Changes plan_changes(Tables& tables, const TableState& desired, const Touched& touched,
                     const TableSizes& sizes) {
    return Planner(tables, desired, touched, sizes).run();
}

}  // namespace mirrornic
