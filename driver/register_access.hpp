// SPDX-License-Identifier: Apache-2.0
/// How the driver reaches the offload's 32-bit registers. One object is one device. Not
/// thread-safe.
#pragma once

#include <array>
#include <cstdint>

namespace mirrornic {

/// Sixteen registers that lie one behind the other, at an address that is a multiple of 64.
using RegisterLine = std::array<std::uint32_t, 16>;

/// Back ends: the simulation (sim/), a mapped PCIe BAR or file (mapped_registers.hpp), and the
/// tests' fake. Writes are posted: they may return before the device has seen them, and they never
/// report an error. The device sees all accesses in the order in which they were made, so when a
/// read returns, every write before it has arrived.
class RegisterAccess {
public:
    virtual ~RegisterAccess() = default;
    /// @param address byte offset in the register map, a multiple of 4
    virtual void write(std::uint32_t address, std::uint32_t value) = 0;
    virtual std::uint32_t read(std::uint32_t address) = 0;
    /// Writes all registers of a line in one transaction, where the back end has such a
    /// transaction: the device takes the line whole or refuses it whole. This default is for the
    /// others. It writes the changed registers one by one, the last one first, because the device
    /// clears a filter before it takes the filter's flags. A line may reach the device in parts, so
    /// the caller must not rely on the order within it. The next access arrives after all parts.
    /// @param address a multiple of 64
    /// @param words of every writable register of the line; 0 where there is none
    /// @param changed bit i: words[i] is to be written; the others are what their registers hold
    virtual void write_line(std::uint32_t address, const RegisterLine& words,
                            std::uint16_t changed) {
        for (unsigned i = 16; i-- > 0;)
            if (changed >> i & 1) write(address + 4 * i, words[i]);
    }
};

}  // namespace mirrornic
