// SPDX-License-Identifier: Apache-2.0
/// The interfaces and VPCs that exist, as the configuration says. A Network is built once and never
/// changes, so any number of threads may read it; they share it by shared_ptr<const Network>. A
/// quarter of a million interfaces with id, MAC address, IPv4 address and VPC take about 100 MB.
/// Source: EC2 API 2016-11-15, types of the same names.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "driver/tables.hpp"

namespace mirrornic {

using Tags = std::map<std::string, std::string>;  ///< key to value

/// An object's place in creation order; 0: it has none yet.
using Sequence = std::uint64_t;

inline constexpr std::uint16_t default_mtu = 9001;  ///< bytes, of an interface that names none

/// A text that is the same in many objects. Copies share its memory.
class SharedText {
public:
    SharedText() = default;
    SharedText(std::string text)
        : text_(text.empty() ? nullptr : std::make_shared<const std::string>(std::move(text))) {}
    SharedText(const char* text) : SharedText(std::string(text)) {}

    const std::string& get() const { return text_ ? *text_ : none(); }
    operator const std::string&() const { return get(); }
    bool empty() const { return !text_; }
    friend bool operator==(const SharedText& a, const SharedText& b) {
        return a.text_ == b.text_ || a.get() == b.get();
    }
    friend bool operator!=(const SharedText& a, const SharedText& b) { return !(a == b); }

private:
    static const std::string& none() {
        static const std::string empty;
        return empty;
    }
    std::shared_ptr<const std::string> text_;  ///< null: the empty text
};

struct ReplyMember;

struct NetworkInterface {
    std::string id;  ///< eni-
    Sequence sequence = 0;
    MacAddress mac{};
    std::uint16_t mtu = default_mtu;      ///< bytes of IP packet, 576..9216
    std::optional<IpAddress> ipv4;        ///< PrivateIpAddress, the primary
    std::vector<IpAddress> ipv6;          ///< as listed
    std::vector<IpAddress> private_ipv4;  ///< PrivateIpAddresses, as listed
    SharedText vpc_id, subnet_id, type, description, availability_zone, owner_id;
    Tags tags;
    std::string shown;  ///< what else was configured, to be shown: a JSON object's text, or empty

    /// What the interface belongs to, as its description says: "net/NAME/ID" of a network load
    /// balancer, the "vpce-" id of an endpoint, or empty.
    std::string service() const;
};

struct Vpc {
    std::string id;  ///< vpc-
    Sequence sequence = 0;
    std::optional<Cidr> cidr;  ///< the primary IPv4 block
    Tags tags;
    std::vector<Cidr> associated;  ///< IPv4 blocks, as listed
    std::string owner_id;
    /// The attributes that DescribeVpcAttribute shows; absent: the configuration does not say.
    std::optional<bool> dns_support, dns_hostnames, address_usage_metrics;
    std::string shown;  ///< what else was configured, to be shown: a JSON object's text, or empty
};

struct RouteTable {
    std::string id;  ///< rtb-
    Sequence sequence = 0;
    Tags tags;
    std::string shown;  ///< what else was configured: a JSON object's text, or empty
};

/// Objects of one kind in the order in which they were added: the one with sequence n is the nth.
template <class T>
class Listed {
public:
    Listed() = default;
    Listed(Listed&&) noexcept = default;
    Listed& operator=(Listed&&) noexcept = default;

    /// The object with this id, which is added if there is none. The caller must not change its id.
    T& of(const std::string& id) {
        if (const auto at = by_id_.find(id); at != by_id_.end()) return *at->second;
        T object;
        object.id = id;
        return add(std::move(object));
    }
    /// Adds an object, whose id no other may have.
    T& add(T object) {
        T& added = objects_.emplace_back(std::move(object));
        added.sequence = objects_.size();
        by_id_.emplace(added.id, &added);
        return added;
    }

    const T* find(const std::string& id) const {
        const auto at = by_id_.find(id);
        return at == by_id_.end() ? nullptr : at->second;
    }
    const T& at(Sequence sequence) const { return objects_.at(sequence - 1); }
    /// The first object after this sequence, or null.
    const T* next(Sequence sequence) const {
        return sequence < objects_.size() ? &objects_[sequence] : nullptr;
    }
    /// Orders the objects by their ids, for behind() and in_order(). To be called after the last
    /// add.
    void order() {
        by_order_.clear();
        for (const T& object : objects_) by_order_.push_back(&object);
        std::sort(by_order_.begin(), by_order_.end(),
                  [](const T* a, const T* b) { return a->id < b->id; });
    }
    /// The place, in the order of ids, of the first object whose id is greater than this one.
    std::size_t behind(const std::string& id) const {
        const auto at =
            std::upper_bound(by_order_.begin(), by_order_.end(), id,
                             [](const std::string& a, const T* b) { return a < b->id; });
        return std::size_t(at - by_order_.begin());
    }
    /// The object at a place in the order of ids; null: there are fewer objects.
    const T* in_order(std::size_t place) const {
        return place < by_order_.size() ? by_order_[place] : nullptr;
    }
    std::size_t size() const { return objects_.size(); }
    auto begin() const { return objects_.begin(); }
    auto end() const { return objects_.end(); }

private:
    std::deque<T> objects_;                           // a deque, so that elements do not move
    std::unordered_map<std::string_view, T*> by_id_;  // views of the objects' own ids
    std::vector<const T*> by_order_;                  // in the order of ids
};

class Network {
public:
    Network() = default;
    /// @param shown which members of replies the configuration gives, of at least one object
    Network(Listed<NetworkInterface> interfaces, Listed<Vpc> vpcs,
            Listed<RouteTable> route_tables = {},
            std::unordered_set<const ReplyMember*> shown = {});
    Network(const Network&) = delete;
    Network& operator=(const Network&) = delete;

    const Listed<NetworkInterface>& interfaces() const { return interfaces_; }
    const Listed<Vpc>& vpcs() const { return vpcs_; }
    const Listed<RouteTable>& route_tables() const { return route_tables_; }
    /// Whether at least one object has this member in its `shown`.
    bool shows(const ReplyMember& member) const { return shown_.count(&member) != 0; }
    /// The interfaces whose service() this is, in creation order.
    const std::vector<const NetworkInterface*>& serving(const std::string& service) const;
    /// The first interface with this MAC address, or null.
    const NetworkInterface* with_mac(const MacAddress& mac) const;

private:
    Listed<NetworkInterface> interfaces_;
    Listed<Vpc> vpcs_;
    Listed<RouteTable> route_tables_;
    std::unordered_set<const ReplyMember*> shown_;
    std::unordered_map<std::string, std::vector<const NetworkInterface*>> by_service_;
    std::unordered_map<std::uint64_t, const NetworkInterface*> by_mac_;
};

}  // namespace mirrornic
