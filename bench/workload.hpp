// SPDX-License-Identifier: Apache-2.0
/// Frames and tables that the benchmarks share.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "driver/tables.hpp"

namespace mirrornic::bench {

using Bytes = std::vector<std::uint8_t>;

/// A UDP frame over IPv4 of at least 42 bytes; shorter ones are cut.
inline Bytes frame_of(std::size_t size) {
    Bytes frame{2, 0,  0,  0, 0, 0xb, 2, 0, 0,  0,  0, 0xa, 8,  0,    0x45, 0,    0,    0, 0, 0, 0,
                0, 64, 17, 0, 0, 10,  0, 1, 10, 10, 0, 2,   20, 0x9c, 0x40, 0x13, 0x88, 0, 0, 0, 0};
    while (frame.size() < size) frame.push_back(static_cast<std::uint8_t>(frame.size() * 7));
    frame.resize(size);
    return frame;
}

/// Three sessions with full rule lists on one interface; only the last rule of the last one
/// accepts, so that every frame goes through all there is.
inline TableState full_tables(bool v6, std::optional<std::uint16_t> packet_length) {
    TableState state;
    state.interfaces["eni"] = {};
    for (int i = 0; i < 3; ++i) {
        auto filter = std::make_shared<Filter>();
        for (int rule = 0; rule < 16; ++rule) {
            Rule entry;
            entry.id = "r" + std::to_string(rule);
            const bool accepts = i == 2 && rule == 15;
            entry.accept = accepts;
            entry.source = entry.destination = Cidr::parse(accepts ? "0.0.0.0/0" : "192.0.2.0/24");
            entry.protocol = 17;
            if (!accepts)
                entry.destination_ports = PortRange{static_cast<std::uint16_t>(rule), 60000};
            filter->egress.push_back(entry);
            filter->ingress.push_back(entry);
        }
        const std::string name = "f" + std::to_string(i);
        state.filters[name] = filter;
        Session session;
        session.interface = "eni";
        session.filter = name;
        session.number = static_cast<std::uint16_t>(i + 1);
        session.vni = static_cast<std::uint32_t>(1000 + i);
        session.packet_length = packet_length;
        session.source_mac = {2, 0, 0, 0, 0, 0xa};
        session.target_mac = {2, 0, 0, 0, 0, 0xc};
        session.source_address = IpAddress::parse(v6 ? "2001:db8::a" : "10.0.1.10");
        session.target_address = IpAddress::parse(v6 ? "2001:db8::c" : "10.0.1.30");
        session.mtu = 9216;
        state.sessions["s" + std::to_string(i)] = session;
    }
    return state;
}

}  // namespace mirrornic::bench
