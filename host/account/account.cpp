// SPDX-License-Identifier: Apache-2.0
#include "host/account/account.hpp"

#include <algorithm>
#include <sstream>

namespace mirrornic {
namespace {

/// The characters that the variable part of an id may have. AWS makes it of hex digits; its
/// examples have other letters too.
constexpr const char* id_characters =
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

using Index = std::unordered_map<std::string, std::set<Sequence>>;

void link(Index& index, const std::string& key, Sequence sequence, bool present) {
    if (present) {
        index[key].insert(sequence);
        return;
    }
    const auto at = index.find(key);
    if (at == index.end()) return;
    at->second.erase(sequence);
    if (at->second.empty()) index.erase(at);
}

template <class T>
std::vector<const T*> linked(const Index& index, const std::string& key,
                             const Ordered<T>& objects) {
    std::vector<const T*> out;
    const auto at = index.find(key);
    if (at != index.end())
        for (const Sequence sequence : at->second) out.push_back(&objects.at(sequence));
    return out;
}

}  // namespace

bool is_id(const std::string& text, const std::string& prefix) {
    return text.compare(0, prefix.size(), prefix) == 0 && text.size() > prefix.size() &&
           std::all_of(text.begin(), text.end(), [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '-';
           });
}

std::optional<std::string> load_balancer_of(const std::string& arn) {
    std::vector<std::string> parts;
    std::istringstream in(arn);
    for (std::string part; std::getline(in, part, ':');) parts.push_back(part);
    if (parts.size() != 6 || parts[0] != "arn" || parts[1].compare(0, 3, "aws") != 0 ||
        parts[2] != "elasticloadbalancing" || parts[3].empty() || parts[4].size() != 12 ||
        parts[4].find_first_not_of("0123456789") != std::string::npos)
        return std::nullopt;
    const std::string prefix = "loadbalancer/net/", &resource = parts[5];
    const auto slash = resource.find('/', prefix.size());
    if (resource.compare(0, prefix.size(), prefix) != 0 || slash == std::string::npos ||
        slash == prefix.size() || slash + 1 == resource.size() ||
        resource.find_first_not_of(id_characters, slash + 1) != std::string::npos)
        return std::nullopt;
    return resource.substr(std::string("loadbalancer/").size());
}

std::string TrafficMirrorTarget::endpoint() const {
    if (type != TargetType::network_load_balancer) return address;
    return load_balancer_of(address).value_or(address);
}

std::optional<RuleFault> fault_of(const TrafficMirrorFilterRule& rule) {
    if (rule.source.base.v6 != rule.destination.base.v6)
        return RuleFault{false, "SourceCidrBlock " + rule.source.to_string() +
                                    " and DestinationCidrBlock " + rule.destination.to_string() +
                                    " are not of one IP version"};
    for (const auto& [name, range] : {std::pair{"SourcePortRange", rule.source_ports},
                                      std::pair{"DestinationPortRange", rule.destination_ports}}) {
        if (!range) continue;
        if (range->from > range->to)
            return RuleFault{false, std::string(name) + ": FromPort " +
                                        std::to_string(range->from) + " is above ToPort " +
                                        std::to_string(range->to)};
        if (rule.protocol != 6 && rule.protocol != 17)
            return RuleFault{true, std::string(name) + " needs Protocol 6 (TCP) or 17 (UDP), not " +
                                       (rule.protocol ? std::to_string(*rule.protocol) : "none")};
    }
    return std::nullopt;
}

void Account::index(const TrafficMirrorTarget& target, bool present) {
    link(targets_by_endpoint_, target.endpoint(), target.sequence, present);
}

void Account::index(const TrafficMirrorFilter&, bool) {}

void Account::index(const TrafficMirrorFilterRule& rule, bool present) {
    link(rules_by_filter_, rule.filter_id, rule.sequence, present);
}

void Account::index(const TrafficMirrorSession& session, bool present) {
    link(sessions_by_interface_, session.interface_id, session.sequence, present);
    link(sessions_by_filter_, session.filter_id, session.sequence, present);
    link(sessions_by_target_, session.target_id, session.sequence, present);
    if (present)
        ++vnis_[session.vni];
    else if (const auto at = vnis_.find(session.vni); --at->second == 0)
        vnis_.erase(at);
}

void Account::erase(Kind kind, const std::string& id, Change& inverse) {
    const auto from = [&](auto& objects) {
        const auto* old = objects.find(id);
        if (!old) return;
        index(*old, false);
        inverse.put.emplace_back(*old);
        objects.erase(id);
    };
    switch (kind) {
        case Kind::target:
            return from(targets_);
        case Kind::filter:
            return from(filters_);
        case Kind::rule:
            return from(rules_);
        case Kind::session:
            return from(sessions_);
    }
}

template <class T>
void Account::put(Ordered<T>& objects, Kind kind, T& object, Change& inverse) {
    if (const auto* old = objects.find(object.id)) {
        object.sequence = old->sequence;
        index(*old, false);
        inverse.put.emplace_back(*old);
    } else {
        if (object.sequence == 0) object.sequence = next_;
        inverse.erased.push_back({kind, object.id, object.sequence});
    }
    next_ = std::max(next_, object.sequence + 1);
    index(object, true);
    objects.put(object);
}

Change Account::apply(Change& change) {
    Change inverse;
    for (const auto& each : change.erased) erase(each.kind, each.id, inverse);
    for (auto& object : change.put) {
        if (auto* target = std::get_if<TrafficMirrorTarget>(&object))
            put(targets_, Kind::target, *target, inverse);
        else if (auto* filter = std::get_if<TrafficMirrorFilter>(&object))
            put(filters_, Kind::filter, *filter, inverse);
        else if (auto* rule = std::get_if<TrafficMirrorFilterRule>(&object))
            put(rules_, Kind::rule, *rule, inverse);
        else
            put(sessions_, Kind::session, std::get<TrafficMirrorSession>(object), inverse);
    }
    for (const auto& key : change.tokens_erased) {
        const auto at = tokens_.find(key);
        if (at == tokens_.end()) continue;
        tokens_by_age_.erase({at->second.time, key});
        inverse.tokens_put.push_back(std::move(at->second));
        tokens_.erase(at);
    }
    for (const auto& record : change.tokens_put) {
        const std::pair key(record.action, record.token);
        tokens_by_age_.emplace(record.time, key);
        tokens_.emplace(key, record);
        inverse.tokens_erased.push_back(key);
    }
    return inverse;
}

std::vector<const TrafficMirrorSession*> Account::sessions_of_interface(
    const std::string& id) const {
    return linked(sessions_by_interface_, id, sessions_);
}

std::vector<const TrafficMirrorSession*> Account::sessions_of_filter(const std::string& id) const {
    return linked(sessions_by_filter_, id, sessions_);
}

std::vector<const TrafficMirrorSession*> Account::sessions_of_target(const std::string& id) const {
    return linked(sessions_by_target_, id, sessions_);
}

std::vector<const TrafficMirrorFilterRule*> Account::rules_of_filter(const std::string& id) const {
    return linked(rules_by_filter_, id, rules_);
}

std::vector<const TrafficMirrorTarget*> Account::targets_at(const std::string& endpoint) const {
    return linked(targets_by_endpoint_, endpoint, targets_);
}

std::vector<const NetworkInterface*> Account::interfaces_of(
    const TrafficMirrorTarget& target) const {
    if (target.type != TargetType::network_interface) return network_->serving(target.endpoint());
    const auto* interface = interfaces().find(target.address);
    return interface ? std::vector{interface} : std::vector<const NetworkInterface*>{};
}

const TrafficMirrorTarget* Account::target_on(const NetworkInterface& interface) const {
    for (const auto& endpoint : {interface.id, interface.service()}) {
        const auto targets = targets_at(endpoint);
        if (!endpoint.empty() && !targets.empty()) return targets.front();
    }
    return nullptr;
}

std::optional<Object> Account::object(const std::string& id) const {
    if (const auto* target = targets_.find(id)) return *target;
    if (const auto* filter = filters_.find(id)) return *filter;
    if (const auto* rule = rules_.find(id)) return *rule;
    if (const auto* session = sessions_.find(id)) return *session;
    return std::nullopt;
}

}  // namespace mirrornic
