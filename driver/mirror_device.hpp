// SPDX-License-Identifier: Apache-2.0
/// The offload as its user sees it: tables to fill, counters to read. No register name leaves this
/// folder.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "driver/register_access.hpp"
#include "driver/tables.hpp"

namespace mirrornic {

/// The device is not one that this driver was built for; the message names both sides.
struct UnknownDevice : std::runtime_error {
    using std::runtime_error::runtime_error;
};
/// A table has no room for what was asked; nothing was changed.
struct TableFull : std::runtime_error {
    std::string table;  ///< "interface", "slot" (sessions of one interface), "filter", "filter
                        ///< rule" (of one direction) or "session"
    TableFull(const std::string& table_name, const std::string& message)
        : std::runtime_error(message), table(table_name) {}
};
/// The device refused or lost a write; the message holds address, reason and count (T5).
struct DeviceError : std::runtime_error {
    using std::runtime_error::runtime_error;
};
/// The device does not answer: it reads as all ones, as a card does that was pulled or lost its
/// power. It may come back, and is then to be opened anew.
struct DeviceGone : DeviceError {
    using DeviceError::DeviceError;
};

struct TableSizes {
    std::uint32_t interfaces, slots, filters, rules_per_direction, sessions, services;
};

/// The device that this driver is built for: the map's hash and its table sizes.
std::uint32_t built_for_map_hash();
TableSizes built_for_sizes();

/// Where things stand in the device after a change. Immutable; a decision record's version names
/// the placement that decided it.
struct Placement {
    struct Slot {
        std::string session;  ///< empty: the slot is not used
        std::string filter_id;
        std::shared_ptr<const Filter> filter;
        std::uint32_t session_index = 0;
    };
    struct Tapped {
        std::string interface;  ///< empty: the index is free
        std::vector<Slot> slots;
    };
    /// Commits that the device had done, counted without end. A decision record holds the low 16
    /// bits of it.
    std::uint64_t sequence = 0;
    std::vector<std::shared_ptr<const Tapped>> interfaces;  ///< by interface index; none is null

    std::uint16_t version() const { return std::uint16_t(sequence); }
    /// The sequence number that a record's 16 bits mean when it is less than 2^15 commits away
    /// from a known one.
    static std::uint64_t unwrap(std::uint16_t version, std::uint64_t near) {
        return near + std::uint64_t(std::int64_t(std::int16_t(version - std::uint16_t(near))));
    }
};

/// Passes and bytes of frames, 64 bits each (P23).
struct Tally {
    std::uint64_t frames = 0;
    std::uint64_t bytes = 0;
};

struct SessionCounters {
    Tally selected, mirrored, dropped;
    std::uint64_t truncated = 0;  ///< copies shorter than their frame
    std::uint64_t mirrored_bytes =
        0;  ///< of copies as sent, outer Ethernet header included, without FCS
};

/// Flipped bits in the device's memories (T4), since it was opened.
struct TableFaults {
    std::uint64_t found = 0;  ///< words that were found faulty, or corrected, when they were used
    std::uint64_t rewritten = 0;  ///< entries that were written again
};

/// All counters as of one clock cycle.
struct Counters {
    Tally received, forwarded, not_eligible, not_accepted, selected, mirrored, dropped, in_flight;
    struct {
        std::uint64_t no_tap, malformed, marked_bad, not_ip, excluded,
            table_fault;                               ///< not eligible
        std::uint64_t overflow, reset, session_fault;  ///< dropped
        std::uint64_t
            late_bad;  ///< mirrored, and marked bad or malformed after the copy was complete
    } causes{};
    TableFaults table_faults;                         ///< as far as repair() has taken them
    std::map<std::string, SessionCounters> sessions;  ///< by session key
};

/// What the device's tables hold, as far as valid slots reach; indices are the device's.
struct TableDump {
    struct Session {
        std::uint32_t vni = 0;
        std::uint16_t packet_length = 9216;  ///< bytes of the frame; 9216: whole
        std::uint16_t mtu_cut = 9216;  ///< bytes of the frame; the smaller of both holds (P14)
        MacAddress source_mac{}, target_mac{};
        IpAddress source_address, target_address;
    };
    struct Slot {
        std::uint16_t number = 0;  ///< session number
        std::uint32_t filter = 0, session = 0;
    };
    struct Tapped {
        std::optional<IpAddress> resolver;
        std::vector<Slot> slots;  ///< in the order of trial
    };
    std::map<std::uint32_t, Tapped> interfaces;
    std::map<std::uint32_t, Filter> filters;  ///< rules without ids
    std::map<std::uint32_t, Session> sessions;
};

/// One device, driven by one thread at a time.
class MirrorDevice {
public:
    /// Opens a device, checks magic, version and map hash, waits for ready, and reads the tables
    /// back so that what is already right stays untouched. @throws UnknownDevice, DeviceError.
    explicit MirrorDevice(RegisterAccess& registers);
    ~MirrorDevice();

    const TableSizes& sizes() const;
    std::uint32_t map_hash() const;

    /// A way from what the device holds to `desired`, in the fewest commits. Touches no register,
    /// unless a commit has failed since the last plan: then the tables are first read again, so
    /// that the way starts from what the device really holds.
    /// @throws TableFull, std::invalid_argument; then nothing was changed. DeviceError.
    /// @param touched what may differ from the state of the last commit; the plan then takes time
    /// that depends on that alone, and is made without interrupting what was not touched, or not at
    /// all. After a commit that failed it is not used.
    class Plan;
    std::shared_ptr<const Plan> plan(const TableState& desired,
                                     const Touched* touched = nullptr) const;
    /// Makes the plan's changes, each atomic for the data plane (T2): one commit for each changed
    /// session or filter, or for all that leaves an interface; a filter that comes into use is
    /// loaded before, where no frame meets it. In force for every frame that enters after the call
    /// returns. @throws DeviceError when the device refused or lost something: what came before it
    /// is in force, the rest is not, and a plan of the state before undoes it.
    /// std::logic_error when a later plan was committed since: nothing was changed.
    void commit(const std::shared_ptr<const Plan>& plan);
    void apply(const TableState& desired) { commit(plan(desired)); }

    /// Called before each commit with the placement that it brings, so that the placement is known
    /// when the first frame is decided by it; also when only names changed, or when the tables were
    /// read again after an error: then with a sequence number that was announced before, whose
    /// placement it replaces. A commit that fails leaves an announced placement that nothing was
    /// decided by; the next one takes its number.
    void on_placement(std::function<void(std::shared_ptr<const Placement>)> callback);
    /// The placement in force. Never null.
    std::shared_ptr<const Placement> placement() const;
    /// The index that the shell must put on the frames of an interface: its own when it has a
    /// session, else the one that no session uses (T1: such passes occur and are not accepted).
    std::uint32_t interface_index(const std::string& interface) const;

    /// P20. @param bits 1..16, base + 2^bits <= 65536. @throws std::invalid_argument, DeviceError.
    void set_source_ports(std::uint16_t base, std::uint8_t bits);

    Counters counters();   ///< takes a snapshot. @throws DeviceError.
    class CounterReading;  ///< the same in portions

    /// Called with the counters of a session that a change took out of the device, or moved to
    /// another entry, when they are final: by commit() before another session gets its entry, and
    /// by take_ended(). A session that comes back may end again; its counters then add up.
    void on_session_end(
        std::function<void(const std::string& session, const SessionCounters&)> callback);
    /// Calls back for all sessions that have ended and whose copies have left. @throws DeviceError.
    void take_ended();

    /// Looks whether a flipped bit was found in a memory since the last call, and if it was in a
    /// table writes that entry again from this driver's copy (T4). One read when nothing was found.
    /// To be called now and then, or when the table fault interrupt says so.
    /// @return a sentence that says where, and what was done; nothing when nothing was found.
    /// @throws DeviceError
    std::optional<std::string> repair();
    TableFaults table_faults() const;
    /// Makes a commit that changes nothing: shows that the device takes changes.
    /// @throws DeviceError when it does not.
    void probe();
    void reset_mirror();  ///< P25: drops what waits; tables and counters stay. @throws DeviceError.

    /// Reads the tables back, for diagnosis. @throws DeviceError.
    TableDump dump() const;
    /// Compares the device with what this driver believes it holds: one sentence for each
    /// register-sized word that differs. After a difference the next plan starts from what the
    /// device holds, so applying the desired state again repairs it. @throws DeviceError.
    std::vector<std::string> verify();

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// Counters as of one cycle, read in portions: changes may be committed between two of them; one
/// that needs a snapshot of its own reads the rest first. One reading at a time, as each takes a
/// snapshot. A session that a change has removed before its
/// portion is left out. To end before its device does.
class MirrorDevice::CounterReading {
public:
    /// Takes a snapshot and reads all but the sessions. @throws DeviceError.
    explicit CounterReading(MirrorDevice& device);
    ~CounterReading();
    /// Reads the next sessions. @return whether those were the last. @throws DeviceError.
    bool advance(std::size_t sessions);
    Counters counters;

private:
    friend State;
    struct Left;
    void read(std::size_t sessions);
    State& state_;
    std::vector<Left> left_;
};

}  // namespace mirrornic
