// SPDX-License-Identifier: Apache-2.0
/// Registers of a device on PCIe, mapped into this process; or of any file that can be mapped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "register_access.hpp"

namespace mirrornic {

/// A device that goes away while it is mapped (a card that is pulled, a file that is cut) reads as
/// all ones from then on, and what is written is lost: the fault that the processor raises (SIGBUS)
/// puts memory of all ones in the place of the registers. Such a MappedRegisters does not come
/// back; a new one may be opened.
class MappedRegisters : public RegisterAccess {
public:
    /// Maps a file, such as a PCI BAR in sysfs, and takes an advisory lock on it (flock), which
    /// ends with the object: one user at a time drives a device.
    /// @throws std::runtime_error when the file cannot be opened or mapped, is smaller than the
    /// register map, or is locked; the message says by which process.
    /// @param combining a second view of the same memory whose writes the processor combines, as
    /// sysfs gives it of a prefetchable BAR (resource0_wc); empty: there is none, and a line is
    /// written register by register
    explicit MappedRegisters(const std::string& path, const std::string& combining = {});
    ~MappedRegisters() override;
    MappedRegisters(const MappedRegisters&) = delete;
    MappedRegisters& operator=(const MappedRegisters&) = delete;

    /// BAR 0 of a PCI function whose memory space is enabled, with lines where it is prefetchable.
    /// @param address domain:bus:device.function as lspci -D prints it, "0000:03:00.0"
    /// @param devices the folder in which the system lists PCI functions
    /// @throws std::runtime_error also when there is no such function or it is not enabled.
    static MappedRegisters pci(const std::string& address,
                               const std::string& devices = "/sys/bus/pci/devices");

    /// @throws std::out_of_range when the address is outside the map or not a multiple of 4.
    void write(std::uint32_t address, std::uint32_t value) override;
    std::uint32_t read(std::uint32_t address) override;
    /// Stores of 64 bytes to the write-combining view, and a fence. On PCIe they are a single write
    /// as a rule, which no processor promises: the buffer may leave earlier, in several writes of
    /// whole registers and in any order. Behind the fence they are on their way, and in front of
    /// every later access: PCIe keeps the order of posted writes, and no read passes one.
    void write_line(std::uint32_t address, const RegisterLine& words,
                    std::uint16_t changed) override;

private:
    volatile std::uint32_t& at(std::uint32_t address) const;

    void close();

    int file_, combining_file_ = -1;
    void* base_;
    void* combining_;
};

}  // namespace mirrornic
