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

/// Finds the interface that has a MAC address, and the index that the device has for it now.
/// Results are cached. Not thread-safe.
class TapFinder {
public:
    struct Tap {
        const std::string* interface;  ///< its id; not null, valid as long as the TapFinder
        std::uint32_t index;
    };

    /// If two interfaces have one MAC address, the first one counts; reading the configuration has
    /// warned of that. @param network not null
    explicit TapFinder(std::shared_ptr<const Network> network) : network_(std::move(network)) {}
    void take(std::shared_ptr<const Network> network) {
        network_ = std::move(network);
        taps_.clear();
    }
    /// To be called when the tables have changed: interfaces may have other indices now.
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
    /// Sets the interface for frames of which no interface has a MAC address.
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
    /// Keeps a copy of the name for ever, because passes point to it until they are decided.
    const std::string& kept(const std::string& name) { return *names_.insert(name).first; }
    std::set<std::string> names_;
    std::shared_ptr<const Network> network_;
    std::unordered_map<std::uint64_t, Entry> taps_;  ///< by MAC; of those that frames had so far
    Entry default_{};
    std::uint64_t generation_ = 1;
};

}  // namespace mirrornic
