// SPDX-License-Identifier: Apache-2.0
/// What one account holds, as values: the network, and the traffic-mirroring objects with their
/// tags, in creation order. Knows no JSON, no device and no store.
/// Source: EC2 API 2016-11-15, types of the same names; docs/behaviour.md rules S1 to S4.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "driver/tables.hpp"
#include "host/account/network.hpp"

namespace mirrornic {

enum class TargetType { network_interface, network_load_balancer, gateway_load_balancer_endpoint };

struct TrafficMirrorTarget {
    std::string id;  ///< tmt-
    Sequence sequence = 0;
    TargetType type = TargetType::network_interface;
    std::string address;  ///< by type: interface id, load balancer ARN or endpoint id
    std::optional<std::string> description;
    std::string owner_id;
    Tags tags;

    /// The interface id of a target that is an interface. Of a load balancer or endpoint: the text
    /// that NetworkInterface::service() gives of each interface that stands for it.
    std::string endpoint() const;
};

struct TrafficMirrorFilter {
    std::string id;  ///< tmf-
    Sequence sequence = 0;
    bool amazon_dns = false;  ///< network service "amazon-dns"
    std::optional<std::string> description;
    Tags tags;
};

struct TrafficMirrorFilterRule {
    std::string id;  ///< tmfr-
    Sequence sequence = 0;
    std::string filter_id;
    Direction direction = Direction::ingress;
    std::uint16_t number = 0;  ///< 1..32766, unique in its filter and direction
    bool accept = false;
    std::optional<std::uint8_t> protocol;
    std::optional<PortRange> source_ports, destination_ports;  ///< only with protocol 6 or 17
    Cidr source, destination;                                  ///< of one IP version
    std::optional<std::string> description;
    Tags tags;
};

struct TrafficMirrorSession {
    std::string id;  ///< tms-
    Sequence sequence = 0;
    std::string interface_id, target_id, filter_id, owner_id;
    std::uint16_t number = 0;                    ///< 1..32766, unique in its interface
    std::uint32_t vni = 0;                       ///< 24 bits
    std::optional<std::uint16_t> packet_length;  ///< as asked, 1..8500
    std::optional<std::string> description;
    Tags tags;
};

/// Whether the text is the prefix, followed by letters, digits and hyphens only.
bool is_id(const std::string& text, const std::string& prefix);

/// "net/NAME/ID" of a network load balancer's ARN; nothing when the text is no such ARN.
std::optional<std::string> load_balancer_of(const std::string& arn);

/// Why a rule is not allowed (S2).
struct RuleFault {
    bool combination = false;  ///< true: members exclude each other; false: one value is bad
    std::string sentence;
};
/// Nothing: the rule is allowed.
std::optional<RuleFault> fault_of(const TrafficMirrorFilterRule& rule);

/// Objects of one kind by id, iterated in creation order.
template <class T>
class Ordered {
public:
    const T* find(const std::string& id) const {
        const auto at = sequence_of_.find(id);
        return at == sequence_of_.end() ? nullptr : &objects_.at(at->second);
    }
    const T& at(Sequence sequence) const { return objects_.at(sequence); }
    /// The first object after this sequence, or null.
    const T* next(Sequence sequence) const {
        const auto at = objects_.upper_bound(sequence);
        return at == objects_.end() ? nullptr : &at->second;
    }
    std::size_t size() const { return objects_.size(); }
    /// Pairs of sequence and object.
    auto begin() const { return objects_.begin(); }
    auto end() const { return objects_.end(); }
    auto after(Sequence sequence) const { return objects_.upper_bound(sequence); }

    void put(T object) {
        sequence_of_[object.id] = object.sequence;
        const Sequence sequence = object.sequence;
        objects_.insert_or_assign(sequence, std::move(object));
    }
    void erase(const std::string& id) {
        const auto at = sequence_of_.find(id);
        if (at == sequence_of_.end()) return;
        objects_.erase(at->second);
        sequence_of_.erase(at);
    }

private:
    std::map<Sequence, T> objects_;
    std::unordered_map<std::string, Sequence> sequence_of_;
};

/// The first answer to a Create with a client token (S6).
struct TokenRecord {
    std::string action, token;
    std::string parameters;  ///< JSON without DryRun; equal parameters give equal texts
    std::string reply;       ///< JSON
    std::chrono::system_clock::time_point time;
};

enum class Kind { target, filter, rule, session };
using Object = std::variant<TrafficMirrorTarget, TrafficMirrorFilter, TrafficMirrorFilterRule,
                            TrafficMirrorSession>;

/// An object that is to be erased, or was erased.
struct Erased {
    Kind kind;
    std::string id;
    Sequence sequence;
};

/// What one request changes: first objects are erased, then others are put. Either all of it
/// happens or nothing.
struct Change {
    std::vector<Erased> erased;
    std::vector<Object> put;  ///< new, or replaces the object with its id
    std::vector<std::pair<std::string, std::string>> tokens_erased;  ///< action and token
    std::vector<TokenRecord> tokens_put;
};

/// The state of one account, with indices, so that no answer needs a search. Not thread-safe.
/// References that it gives are valid until the next apply() or take_network().
class Account {
public:
    /// Replaces the interfaces and VPCs. @param network not null
    void take_network(std::shared_ptr<const Network> network) { network_ = std::move(network); }

    /// Makes the change, and returns its inverse: the change that undoes it. A new object with
    /// sequence 0 gets the next sequence, which is written to `change` too.
    Change apply(Change& change);

    const std::shared_ptr<const Network>& network() const { return network_; }
    const Listed<NetworkInterface>& interfaces() const { return network_->interfaces(); }
    const Listed<Vpc>& vpcs() const { return network_->vpcs(); }
    const Listed<RouteTable>& route_tables() const { return network_->route_tables(); }
    const Ordered<TrafficMirrorTarget>& targets() const { return targets_; }
    const Ordered<TrafficMirrorFilter>& filters() const { return filters_; }
    const Ordered<TrafficMirrorFilterRule>& rules() const { return rules_; }
    const Ordered<TrafficMirrorSession>& sessions() const { return sessions_; }
    const std::map<std::pair<std::string, std::string>, TokenRecord>& tokens() const {
        return tokens_;
    }

    // The pointers are never null, and are in creation order.
    std::vector<const TrafficMirrorSession*> sessions_of_interface(const std::string& id) const;
    std::vector<const TrafficMirrorSession*> sessions_of_filter(const std::string& id) const;
    std::vector<const TrafficMirrorSession*> sessions_of_target(const std::string& id) const;
    std::vector<const TrafficMirrorFilterRule*> rules_of_filter(const std::string& id) const;
    /// Targets whose endpoint() is this.
    std::vector<const TrafficMirrorTarget*> targets_at(const std::string& endpoint) const;
    /// The interfaces that stand for a target: the one, or all of a load balancer or endpoint.
    std::vector<const NetworkInterface*> interfaces_of(const TrafficMirrorTarget& target) const;
    /// A target for which this interface stands (S4); null: there is none.
    const TrafficMirrorTarget* target_on(const NetworkInterface& interface) const;
    bool vni_in_use(std::uint32_t vni) const { return vnis_.count(vni) != 0; }
    /// When each token was given, and its key in tokens(); the oldest first.
    const std::set<
        std::pair<std::chrono::system_clock::time_point, std::pair<std::string, std::string>>>&
    tokens_by_age() const {
        return tokens_by_age_;
    }

    /// A copy of the object with this id, of any kind.
    std::optional<Object> object(const std::string& id) const;

private:
    using Index = std::unordered_map<std::string, std::set<Sequence>>;

    void erase(Kind kind, const std::string& id, Change& inverse);
    template <class T>
    void put(Ordered<T>& objects, Kind kind, T& object, Change& inverse);
    void index(const TrafficMirrorTarget& target, bool present);
    void index(const TrafficMirrorFilter& filter, bool present);
    void index(const TrafficMirrorFilterRule& rule, bool present);
    void index(const TrafficMirrorSession& session, bool present);

    Sequence next_ = 1;
    std::shared_ptr<const Network> network_ = std::make_shared<const Network>();
    Ordered<TrafficMirrorTarget> targets_;
    Ordered<TrafficMirrorFilter> filters_;
    Ordered<TrafficMirrorFilterRule> rules_;
    Ordered<TrafficMirrorSession> sessions_;
    std::map<std::pair<std::string, std::string>, TokenRecord> tokens_;
    std::set<std::pair<std::chrono::system_clock::time_point, std::pair<std::string, std::string>>>
        tokens_by_age_;
    Index targets_by_endpoint_, rules_by_filter_;
    Index sessions_by_interface_, sessions_by_filter_, sessions_by_target_;
    std::unordered_map<std::uint32_t, std::size_t> vnis_;
};

}  // namespace mirrornic
