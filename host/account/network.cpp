// SPDX-License-Identifier: Apache-2.0
#include "host/account/network.hpp"

namespace mirrornic {
namespace {

std::uint64_t key_of(const MacAddress& mac) {
    std::uint64_t key = 0;
    for (const std::uint8_t byte : mac) key = key << 8 | byte;
    return key;
}

}  // namespace

std::string NetworkInterface::service() const {
    const std::string& text = description.get();
    const std::string balancer = "ELB net/";
    if (text.compare(0, balancer.size(), balancer) == 0) return text.substr(4);
    const auto start = text.find("vpce-");
    if (start == std::string::npos) return "";
    const auto end = text.find_first_not_of(
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", start + 5);
    return text.substr(start, end == std::string::npos ? end : end - start);
}

Network::Network(Listed<NetworkInterface> interfaces, Listed<Vpc> vpcs,
                 Listed<RouteTable> route_tables, std::unordered_set<const ReplyMember*> shown)
    : interfaces_(std::move(interfaces)),
      vpcs_(std::move(vpcs)),
      route_tables_(std::move(route_tables)),
      shown_(std::move(shown)) {
    interfaces_.order();
    vpcs_.order();
    route_tables_.order();
    by_mac_.reserve(interfaces_.size());
    for (const NetworkInterface& interface : interfaces_) {
        by_mac_.emplace(key_of(interface.mac), &interface);
        if (auto service = interface.service(); !service.empty())
            by_service_[std::move(service)].push_back(&interface);
    }
}

const std::vector<const NetworkInterface*>& Network::serving(const std::string& service) const {
    static const std::vector<const NetworkInterface*> none;
    const auto at = by_service_.find(service);
    return at == by_service_.end() ? none : at->second;
}

const NetworkInterface* Network::with_mac(const MacAddress& mac) const {
    const auto at = by_mac_.find(key_of(mac));
    return at == by_mac_.end() ? nullptr : at->second;
}

}  // namespace mirrornic
