// SPDX-License-Identifier: Apache-2.0
/// Converts values to table words, as the staging registers hold them, and back. Internal to the
/// driver. Every function here is pure. The caller (plan.cpp) has checked the values that it gives.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "driver/mirror_device.hpp"
#include "driver/tables.hpp"
#include "register_map.hpp"

namespace mirrornic::encoding {

constexpr std::size_t slots = registers::sizes::slots;
constexpr std::size_t rules = registers::sizes::rules;

/// A table word as the values of its staging registers; `*_addresses` lists those registers.
using InterfaceWords = std::array<std::uint32_t, 2 + 2 * slots>;
using SessionWords = std::array<std::uint32_t, 15>;
using FilterWords = std::array<std::uint32_t, 1 + 2 * rules * 11>;
using ServiceWords = std::array<std::uint32_t, 6>;

const InterfaceWords& interface_addresses();
const SessionWords& session_addresses();
const FilterWords& filter_addresses();
const ServiceWords& service_addresses();

/// A slot in use.
struct Slot {
    std::uint16_t number = 0;   ///< session number
    std::uint16_t filter = 0;   ///< index
    std::uint16_t session = 0;  ///< index of the session entry
    bool operator==(const Slot& other) const {
        return number == other.number && filter == other.filter && session == other.session;
    }
};

struct InterfaceWord {
    std::optional<std::uint32_t> resolver;  ///< IPv4, first byte in bits 31..24
    std::vector<Slot> slots;                ///< at most `slots`, in the order of trial
};

/// Bits that mean nothing, such as those of a slot that is not valid, are 0. So two values that
/// mean the same have equal words.
InterfaceWords encode(const InterfaceWord& word);
SessionWords encode(const Session& session);
FilterWords encode(const Filter& filter);

/// An interface word without slots is decoded without its resolver, which means nothing then.
InterfaceWord decode_interface(const InterfaceWords& words);
TableDump::Session decode_session(const SessionWords& words);
Filter decode_filter(const FilterWords& words);  ///< its rules have no ids

std::uint32_t address_word(const IpAddress& v4);
IpAddress address_of(std::uint32_t v4);
/// The source MAC of a session entry as a number, to use as a key.
std::uint64_t source_mac(const SessionWords& words);

}  // namespace mirrornic::encoding
