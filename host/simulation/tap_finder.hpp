// SPDX-License-Identifier: Apache-2.0
/// Finds the interfaces whose taps a frame passes, by its MAC addresses.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>

#include "driver/mirror_device.hpp"
#include "host/account/network.hpp"

namespace mirrornic {

/// Where a frame is tapped: by its MAC addresses, with the index that the device has for the
/// interface now.
class TapFinder {
public:
    struct Tap {
        const std::string* interface;
        std::uint32_t index;
    };

    /// Of two interfaces with one MAC address the first one counts; the configuration has warned of
    /// it.
    explicit TapFinder(std::shared_ptr<const Network> network) : network_(std::move(network)) {}
    void take(std::shared_ptr<const Network> network) {
        network_ = std::move(network);
        taps_.clear();
    }
    /// The indices that were given so far may belong to others now.
    void tables_changed() { ++generation_; }
    /// The interface with this MAC, or nothing.
    std::optional<Tap> find(const std::uint8_t* mac, const MirrorDevice& device) {
        auto at = taps_.find(mac_key(mac));
        if (at == taps_.end()) {
            MacAddress address;
            std::copy_n(mac, address.size(), address.begin());
            const NetworkInterface* interface = network_->with_mac(address);
            if (!interface) return {};
            at = taps_.emplace(mac_key(mac), Entry{&kept(interface->id), 0, 0}).first;
        }
        return Tap{at->second.interface, index(at->second, device)};
    }
    /// The tap of frames whose MAC addresses are no interface's.
    void set_default(const std::string& interface) { default_ = Entry{&kept(interface), 0, 0}; }
    Tap default_tap(const MirrorDevice& device) {
        return Tap{default_.interface, index(default_, device)};
    }

private:
    static std::uint64_t mac_key(const std::uint8_t* bytes) {
        std::uint64_t key = 0;
        for (int i = 0; i < 6; ++i) key = key << 8 | bytes[i];
        return key;
    }
    struct Entry {
        const std::string* interface;
        std::uint64_t generation;
        std::uint32_t index;
    };
    std::uint32_t index(Entry& entry, const MirrorDevice& device) {
        if (entry.generation != generation_) {
            entry.index = device.interface_index(*entry.interface);
            entry.generation = generation_;
        }
        return entry.index;
    }
    /// The name, in a place where it stays: passes refer to it until they are decided.
    const std::string& kept(const std::string& name) { return *names_.insert(name).first; }
    std::set<std::string> names_;
    std::shared_ptr<const Network> network_;
    std::unordered_map<std::uint64_t, Entry> taps_;  ///< of the interfaces that frames were at
    Entry default_{};
    std::uint64_t generation_ = 1;
};

}  // namespace mirrornic
