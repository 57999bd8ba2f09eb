// SPDX-License-Identifier: Apache-2.0
/// Remembers the counters of sessions that have ended: the device has entries for those in force
/// only. Source: docs/behaviour.md rule P23.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "driver/mirror_device.hpp"

namespace mirrornic {

/// The sessions that the device has or had, in the order in which they came, with the counters of
/// the times that have ended. Not thread-safe.
class SessionHistory {
public:
    /// @param most how many ended sessions are remembered by id; of older ones only the sum is kept
    explicit SessionHistory(std::size_t most) : most_(most) {}

    /// A session got an entry of the device.
    void placed(const std::string& id) { known(id).entries++; }
    /// A session lost an entry of the device.
    void removed(const std::string& id) {
        const auto at = known_.find(id);
        if (at != known_.end() && at->second.entries != 0) --at->second.entries;
    }
    /// Adds the final counters of one entry of a session (MirrorDevice::on_session_end).
    void ended(const std::string& id, const SessionCounters& counters) {
        Known& session = known(id);
        add(session.counters, counters);
        session.queued = ++queued_;
        queue_.emplace_back(queued_, id);
        while (queue_.size() > most_) forget();
    }
    /// Adds the counters of former times to `sessions`, which has those that the device holds now.
    /// @return the ids of all sessions that are remembered, in order
    std::vector<std::string> merge(std::map<std::string, SessionCounters>& sessions) const {
        std::map<std::uint64_t, std::string> order;
        for (const auto& [id, session] : known_) {
            order.emplace(session.number, id);
            if (session.queued != 0) add(sessions[id], session.counters);
        }
        std::vector<std::string> ids;
        ids.reserve(order.size());
        for (auto& [number, id] : order) ids.push_back(std::move(id));
        return ids;
    }
    /// How many ended sessions are not remembered by id any more.
    std::uint64_t forgotten() const { return forgotten_; }
    const SessionCounters& sum_of_forgotten() const { return sum_; }

private:
    static void add(Tally& sum, const Tally& other) {
        sum.frames += other.frames;
        sum.bytes += other.bytes;
    }

    static void add(SessionCounters& sum, const SessionCounters& other) {
        add(sum.selected, other.selected);
        add(sum.mirrored, other.mirrored);
        add(sum.dropped, other.dropped);
        sum.truncated += other.truncated;
        sum.mirrored_bytes += other.mirrored_bytes;
    }

    struct Known {
        std::uint64_t number = 0;    ///< its place in the order
        std::uint64_t queued = 0;    ///< of its newest place in queue_; 0: it has not ended
        std::uint32_t entries = 0;   ///< how many entries of the device it has now
        SessionCounters counters{};  ///< of the times that have ended
    };

    Known& known(const std::string& id) {
        const auto [at, fresh] = known_.try_emplace(id);
        if (fresh) at->second.number = ++numbers_;
        return at->second;
    }
    void forget() {
        const auto [queued, id] = std::move(queue_.front());
        queue_.pop_front();
        const auto at = known_.find(id);
        if (at == known_.end() || at->second.queued != queued) return;
        if (at->second.entries != 0) {  // it has come back
            at->second.queued = ++queued_;
            queue_.emplace_back(queued_, id);
            return;
        }
        add(sum_, at->second.counters);
        ++forgotten_;
        known_.erase(at);
    }

    const std::size_t most_;
    std::unordered_map<std::string, Known> known_;
    std::deque<std::pair<std::uint64_t, std::string>> queue_;  ///< ended, in order
    std::uint64_t numbers_ = 0, queued_ = 0, forgotten_ = 0;
    SessionCounters sum_{};
};

}  // namespace mirrornic
