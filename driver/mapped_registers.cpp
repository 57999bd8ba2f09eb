// SPDX-License-Identifier: Apache-2.0
#include "mapped_registers.hpp"

#include <endian.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "file_lock.hpp"
#include "register_map.hpp"

namespace mirrornic {
namespace {

constexpr std::size_t map_size = registers::end_address;

std::string error_text() { return std::strerror(errno); }

bool is_pci_address(const std::string& text) {
    const std::string form = "hhhh:hh:hh.h";
    return std::equal(text.begin(), text.end(), form.begin(), form.end(), [](char c, char kind) {
        return kind == 'h' ? std::isxdigit(static_cast<unsigned char>(c)) != 0 : c == kind;
    });
}

}  // namespace

MappedRegisters::MappedRegisters(const std::string& path)
    : file_(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_SYNC)), base_(MAP_FAILED) {
    if (file_ < 0)
        throw std::runtime_error("the registers " + path + " cannot be opened: " + error_text());
    try {
        struct stat status {};
        if (::fstat(file_, &status) != 0)
            throw std::runtime_error("the registers " + path +
                                     " cannot be examined: " + error_text());
        if (status.st_size < off_t(map_size))
            throw std::runtime_error(
                "the registers " + path + " are " + std::to_string(status.st_size) +
                " bytes, a mirrornic's are at least " + std::to_string(map_size));
        lock_file(file_, "the registers " + path);
        base_ = ::mmap(nullptr, map_size, PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
        if (base_ == MAP_FAILED)
            throw std::runtime_error("the registers " + path +
                                     " cannot be mapped: " + error_text());
    } catch (...) {
        ::close(file_);
        throw;
    }
}

MappedRegisters::~MappedRegisters() {
    ::munmap(base_, map_size);
    ::close(file_);
}

MappedRegisters MappedRegisters::pci(const std::string& address, const std::string& devices) {
    if (!is_pci_address(address))
        throw std::runtime_error("'" + address +
                                 "' is no PCI address; one is written as 0000:03:00.0");
    const std::string folder = devices + "/" + address;
    if (!std::filesystem::is_directory(folder))
        throw std::runtime_error("there is no PCI device " + address);
    std::string enabled;
    std::ifstream(folder + "/enable") >> enabled;
    if (enabled == "0")
        throw std::runtime_error("PCI device " + address +
                                 " is not enabled; to enable it: echo 1 > " + folder + "/enable");
    return MappedRegisters(folder + "/resource0");
}

volatile std::uint32_t& MappedRegisters::at(std::uint32_t address) const {
    if (address % 4 != 0 || address >= map_size)
        throw std::out_of_range("register address " + std::to_string(address) +
                                " is not in the register map");
    return static_cast<volatile std::uint32_t*>(base_)[address / 4];
}

// The processor keeps the order of accesses to a mapped BAR, which is device memory, and PCIe does
// not let a read pass a posted write. The fences hold other memory accesses in order with them.

void MappedRegisters::write(std::uint32_t address, std::uint32_t value) {
    volatile std::uint32_t& target = at(address);
    std::atomic_thread_fence(std::memory_order_release);
    target = htole32(value);
}

std::uint32_t MappedRegisters::read(std::uint32_t address) {
    const std::uint32_t value = at(address);
    std::atomic_thread_fence(std::memory_order_acquire);
    return le32toh(value);
}

}  // namespace mirrornic
