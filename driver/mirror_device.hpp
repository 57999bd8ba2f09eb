// SPDX-License-Identifier: Apache-2.0
/// The driver: the offload as tables to fill and counters to read. No register name leaves this
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
/// power. If it comes back, a new MirrorDevice must be made for it.
struct DeviceGone : DeviceError {
    using DeviceError::DeviceError;
};

struct TableSizes {
    std::uint32_t interfaces, slots, filters, rules_per_direction, sessions, services;
};

/// The device that this driver is built for: the map's hash and its table sizes.
std::uint32_t built_for_map_hash();
TableSizes built_for_sizes();

/// Which session, filter and interface each index of the device's tables holds, as of one commit.
/// Immutable. A decision record's `version` names the placement by which the pass was decided, so
/// that the record's indices can be turned into names.
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
    /// How many commits the device had done; it does not wrap. A decision record holds its low 16
    /// bits.
    std::uint64_t sequence = 0;
    std::vector<std::shared_ptr<const Tapped>> interfaces;  ///< by interface index; none is null

    std::uint16_t version() const { return std::uint16_t(sequence); }
    /// The sequence number whose low 16 bits a record holds. @param near a known sequence number
    /// that is less than 2^15 commits away from it
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

/// Flipped bits that were found in the device's memories (T4) since it was opened.
struct TableFaults {
    std::uint64_t found = 0;      ///< times that a word was found faulty, or corrected, when used
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
    TableFaults table_faults;                         ///< as of the last repair()
    std::map<std::string, SessionCounters> sessions;  ///< by session key
};

/// What the device's tables hold: the interface words with valid slots, and the filters and session
/// entries to which these point. Indices are the device's.
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

/// One device. Not thread-safe: one thread at a time may call it. Its callbacks are called by that
/// thread, from within a call of a member.
class MirrorDevice {
public:
    /// Opens a device, checks magic, version and map hash, waits for ready, and reads the tables
    /// back so that what is already right stays untouched. @throws UnknownDevice, DeviceError.
    /// @param registers not owned; must outlive this object
    explicit MirrorDevice(RegisterAccess& registers);
    ~MirrorDevice();

    const TableSizes& sizes() const;
    std::uint32_t map_hash() const;

    /// The commits, as few as possible, that lead from what the device holds to `desired`. Makes no
    /// change and accesses no register, with one exception: if a commit has failed since the last
    /// plan, the tables are read again first, so that the plan starts from what the device really
    /// holds.
    /// @throws TableFull, std::invalid_argument; DeviceError when the tables could not be read.
    /// @param touched what may differ between `desired` and the state that was committed last; null
    /// when that is not known. With it, planning takes time for what was touched only, and the plan
    /// never interrupts what was not touched: where that would be needed, TableFull is thrown. It
    /// is ignored after a commit that failed.
    class Plan;
    std::shared_ptr<const Plan> plan(const TableState& desired,
                                     const Touched* touched = nullptr) const;
    /// Makes the plan's changes. They are in force for every frame that enters after the call
    /// returns. Each commit is atomic for the data plane (T2). There is one commit for each changed
    /// session or filter, and one for all sessions that leave an interface. A filter that comes
    /// into use is loaded first, while no session points to it.
    /// @param plan not null
    /// @throws DeviceError when the device refused or lost a commit. The commits before it are in
    /// force, the later ones are not; to undo them, plan and commit the former state.
    /// std::logic_error when another plan was committed since this one was made: nothing changed.
    void commit(const std::shared_ptr<const Plan>& plan);
    void apply(const TableState& desired) { commit(plan(desired)); }

    /// Sets what is called with each new placement; empty: nothing is. The placement is never null.
    /// It is called before each commit, so that the placement is known when the first frame is
    /// decided by it. It is also called when only names changed, and when the tables were read
    /// again after an error: then the placement has a sequence number that was announced before,
    /// and replaces the one with that number. After a commit that failed, no frame was decided by
    /// the placement that was announced for it; the next placement takes its number.
    void on_placement(std::function<void(std::shared_ptr<const Placement>)> callback);
    /// The placement in force. Never null.
    std::shared_ptr<const Placement> placement() const;
    /// The index that the shell must put on the frames of an interface (I2). An interface that has
    /// a session has an index of its own. All others share one index past the end of the table: the
    /// device counts their passes as not accepted (T1).
    std::uint32_t interface_index(const std::string& interface) const;

    /// P20. @param bits 1..16, base + 2^bits <= 65536. @throws std::invalid_argument, DeviceError.
    void set_source_ports(std::uint16_t base, std::uint8_t bits);

    Counters counters();   ///< takes a snapshot. @throws DeviceError.
    class CounterReading;  ///< the same, read in portions

    /// Sets what is called with the final counters of a session that has ended: one that a change
    /// took out of the device, or moved to another entry. It is called by commit() before another
    /// session gets the entry, and by take_ended(). A session that comes back may end again; the
    /// callback then has to add the counters up.
    void on_session_end(
        std::function<void(const std::string& session, const SessionCounters&)> callback);
    /// Calls back for all sessions that have ended and whose copies have left. @throws DeviceError.
    void take_ended();

    /// Looks whether the device has found a flipped bit in a memory since the last call (T4). If it
    /// was in a table, that entry is written again from this driver's copy. Costs one register read
    /// when nothing was found. To be called once a second or so, or at the table fault interrupt.
    /// @return a sentence that says where, and what was done; nothing when nothing was found.
    /// @throws DeviceError
    std::optional<std::string> repair();
    TableFaults table_faults() const;
    /// Makes a commit that changes nothing: shows that the device takes changes.
    /// @throws DeviceError when it does not.
    void probe();
    /// P25: drops the copies that wait; tables and counters stay. @throws DeviceError.
    void reset_mirror();

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

/// Counters as of one cycle, read in portions, so that a caller can do other things in between.
/// Changes may be committed between two portions; a session that a change has removed before its
/// portion is left out. A change that needs a snapshot of its own first reads the rest of this one.
/// There may be one reading at a time, since each takes a snapshot. It must be destroyed before its
/// device is.
class MirrorDevice::CounterReading {
public:
    /// Takes a snapshot and reads all but the sessions. @throws DeviceError.
    explicit CounterReading(MirrorDevice& device);
    ~CounterReading();
    /// Reads the next sessions. @return whether those were the last. @throws DeviceError.
    bool advance(std::size_t sessions);
    Counters counters;  ///< complete once advance() has returned true

private:
    friend State;
    struct Left;
    void read(std::size_t sessions);
    State& state_;
    std::vector<Left> left_;
};

}  // namespace mirrornic
