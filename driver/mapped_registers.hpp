// SPDX-License-Identifier: Apache-2.0
/// Registers of a device on PCIe, mapped into this process; or of any file that can be mapped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "register_access.hpp"

namespace mirrornic {

class MappedRegisters : public RegisterAccess {
public:
    /// Maps a file, such as a PCI BAR in sysfs, and takes an advisory lock on it (flock), which
    /// ends with the object: one user at a time drives a device.
    /// @throws std::runtime_error when the file cannot be opened or mapped, is smaller than the
    /// register map, or is locked; the message says by which process.
    explicit MappedRegisters(const std::string& path);
    ~MappedRegisters() override;
    MappedRegisters(const MappedRegisters&) = delete;
    MappedRegisters& operator=(const MappedRegisters&) = delete;

    /// BAR 0 of a PCI function whose memory space is enabled.
    /// @param address domain:bus:device.function as lspci -D prints it, "0000:03:00.0"
    /// @param devices the folder in which the system lists PCI functions
    /// @throws std::runtime_error also when there is no such function or it is not enabled.
    static MappedRegisters pci(const std::string& address,
                               const std::string& devices = "/sys/bus/pci/devices");

    /// @throws std::out_of_range when the address is outside the map or not a multiple of 4.
    void write(std::uint32_t address, std::uint32_t value) override;
    std::uint32_t read(std::uint32_t address) override;

private:
    volatile std::uint32_t& at(std::uint32_t address) const;

    int file_;
    void* base_;
};

}  // namespace mirrornic
