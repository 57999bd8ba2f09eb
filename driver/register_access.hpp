// SPDX-License-Identifier: Apache-2.0
/// How the driver reaches the offload's 32-bit registers. One instance is one device.
#pragma once

#include <cstdint>

namespace mirrornic {

/// Back ends: the simulation (sim/), a mapped PCIe BAR or file (mapped_registers.hpp), and the
/// tests' fake. Writes are posted: they may return before the device has seen them and never
/// report an error; the order of all accesses is kept, and a read follows every write before it.
class RegisterAccess {
public:
    virtual ~RegisterAccess() = default;
    /// @param address byte offset in the register map, a multiple of 4
    virtual void write(std::uint32_t address, std::uint32_t value) = 0;
    virtual std::uint32_t read(std::uint32_t address) = 0;
};

}  // namespace mirrornic
