// SPDX-License-Identifier: Apache-2.0
/// The registers of a device on PCIe, or any file that can be mapped, mapped into this process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "driver/register_access.hpp"

namespace mirrornic {

/// Where the registers lie in a PCI function. It differs from shell to shell: in which BAR, and
/// behind how many registers of the shell's own.
struct PciLocation {
    std::string address;       ///< domain:bus:device.function as lspci -D prints it, "0000:03:00.0"
    unsigned bar = 0;          ///< 0..5
    std::uint64_t offset = 0;  ///< of the register map in it, in bytes; a multiple of 64

    /// Reads "ADDRESS[,bar=N][,offset=BYTES]"; numbers are decimal, or hexadecimal after 0x.
    /// @throws std::invalid_argument with a sentence that says what is allowed.
    static PciLocation parse(const std::string& text);
    /// The BAR as sysfs shows it. @param devices the folder in which the system lists PCI functions
    std::string file(const std::string& devices = "/sys/bus/pci/devices") const;
};

/// A device may go away while it is mapped: a card is pulled, or a file is cut. From then on it
/// reads as all ones, and what is written is lost. For that a handler of SIGBUS, the signal of such
/// an access, puts memory of all ones in the place of the registers. Such an object stays so; if
/// the device comes back, a new one must be made.
class MappedRegisters : public RegisterAccess {
public:
    /// Maps a file, such as a PCI BAR in sysfs, and takes an advisory lock on it (flock), which
    /// ends with the object: one user at a time drives a device.
    /// @throws std::runtime_error when the file cannot be opened or mapped, is smaller than the
    /// register map, or is locked; the message says by which process.
    /// @param combining a second view of the same memory whose writes the processor combines, as
    /// sysfs gives it of a prefetchable BAR (resource0_wc); empty: there is none, and a line is
    /// written register by register
    /// @param offset of the registers in the file, in bytes, a multiple of 64
    explicit MappedRegisters(const std::string& path, const std::string& combining = {},
                             std::uint64_t offset = 0);
    ~MappedRegisters() override;
    MappedRegisters(const MappedRegisters&) = delete;
    MappedRegisters& operator=(const MappedRegisters&) = delete;

    /// Maps the registers in a BAR of a PCI function. The function's memory space must be enabled.
    /// Where the BAR is prefetchable, lines are written in one go.
    /// @param devices the folder in which the system lists PCI functions
    /// @throws std::runtime_error also when there is no such function or BAR, or it is not enabled.
    static MappedRegisters pci(const PciLocation& location,
                               const std::string& devices = "/sys/bus/pci/devices");

    /// @throws std::out_of_range when the address is outside the map or not a multiple of 4.
    void write(std::uint32_t address, std::uint32_t value) override;
    std::uint32_t read(std::uint32_t address) override;
    /// Stores 64 bytes to the write-combining view, and then a fence. Usually they are one write on
    /// PCIe. No processor promises that: its buffer may leave earlier, in several writes of whole
    /// registers and in any order. After the fence all of them are on their way, before every later
    /// access: PCIe keeps the order of posted writes, and no read passes a write.
    void write_line(std::uint32_t address, const RegisterLine& words,
                    std::uint16_t changed) override;

private:
    volatile std::uint32_t& at(std::uint32_t address) const;

    void* map(int file, const std::string& what);
    void close();

    int file_, combining_file_ = -1;
    std::uint64_t first_page_;  ///< of what is mapped, in bytes of the file
    std::size_t skipped_;       ///< bytes in front of the registers that are mapped with them
    void* base_;
    void* combining_;
};

}  // namespace mirrornic
