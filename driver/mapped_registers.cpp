// SPDX-License-Identifier: Apache-2.0
#include "mapped_registers.hpp"

#include <endian.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __SSE2__
#include <immintrin.h>
#endif

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cerrno>
#include <csignal>
#include <cstdint>
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

// Views that may fault, for the signal handler, which can take no lock: a slot is taken and given
// back by exchanging its address.
constexpr std::size_t views_limit = 64;
std::atomic<void*> views[views_limit];
struct sigaction before_bus_error {};

/// SIGBUS: an access of a mapped page that has no memory behind it any more. In a view, puts
/// memory of all ones there, so that the access is done again and reads that; else what was there
/// before us takes the signal.
void on_bus_error(int number, siginfo_t* info, void* context) {
    const auto at = reinterpret_cast<std::uintptr_t>(info->si_addr);
    for (const auto& view : views) {
        void* const base = view;
        const auto start = reinterpret_cast<std::uintptr_t>(base);
        if (!base || at < start || at >= start + map_size) continue;
        if (::mmap(base, map_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
                   -1, 0) == MAP_FAILED)
            break;
        std::memset(base, 0xff, map_size);
        return;
    }
    if ((before_bus_error.sa_flags & SA_SIGINFO) && before_bus_error.sa_sigaction)
        return before_bus_error.sa_sigaction(number, info, context);
    ::signal(SIGBUS, SIG_DFL);
    ::raise(SIGBUS);  // ends the process when this returns
}

void watch_view(void* base) {
    static const bool installed = [] {
        struct sigaction action {};
        action.sa_sigaction = on_bus_error;
        action.sa_flags = SA_SIGINFO;
        return ::sigaction(SIGBUS, &action, &before_bus_error) == 0;
    }();
    for (auto& view : views) {
        void* none = nullptr;
        if (installed && view.compare_exchange_strong(none, base)) return;
    }
    throw std::runtime_error("too many devices are mapped");
}

void forget_view(void* base) {
    for (auto& view : views) {
        void* held = base;
        if (view.compare_exchange_strong(held, nullptr)) return;
    }
}

bool is_pci_address(const std::string& text) {
    const std::string form = "hhhh:hh:hh.h";
    return std::equal(text.begin(), text.end(), form.begin(), form.end(), [](char c, char kind) {
        return kind == 'h' ? std::isxdigit(static_cast<unsigned char>(c)) != 0 : c == kind;
    });
}

}  // namespace

MappedRegisters::MappedRegisters(const std::string& path, const std::string& combining)
    : file_(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_SYNC)),
      base_(MAP_FAILED),
      combining_(MAP_FAILED) {
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
        watch_view(base_);
        if (combining.empty()) return;
        combining_file_ = ::open(combining.c_str(), O_RDWR | O_CLOEXEC);
        if (combining_file_ >= 0)
            combining_ =
                ::mmap(nullptr, map_size, PROT_READ | PROT_WRITE, MAP_SHARED, combining_file_, 0);
        if (combining_ == MAP_FAILED)
            throw std::runtime_error("the write-combining view " + combining +
                                     " cannot be mapped: " + error_text());
        watch_view(combining_);
    } catch (...) {
        close();
        throw;
    }
}

MappedRegisters::~MappedRegisters() { close(); }

void MappedRegisters::close() {
    for (void* view : {base_, combining_})
        if (view != MAP_FAILED) {
            forget_view(view);
            ::munmap(view, map_size);
        }
    if (combining_file_ >= 0) ::close(combining_file_);
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
    const std::string combining = folder + "/resource0_wc";
    return MappedRegisters(folder + "/resource0",
                           std::filesystem::exists(combining) ? combining : "");
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

namespace {

/// What was stored to write-combining memory goes before all that follows.
void drain_write_combining() {
#if defined __SSE2__
    _mm_sfence();
#elif defined __aarch64__
    asm volatile("dsb st" ::: "memory");
#else
    __sync_synchronize();
#endif
}

}  // namespace

void MappedRegisters::write_line(std::uint32_t address, const RegisterLine& words,
                                 std::uint16_t changed) {
    if (combining_ == MAP_FAILED) return RegisterAccess::write_line(address, words, changed);
    if (address % sizeof words != 0 || address >= map_size)
        throw std::out_of_range("register address " + std::to_string(address) +
                                " is not that of a line in the register map");
    // The 32-bit writes before have left: device memory is written in order, the fence says so
    // here.
    drain_write_combining();
    auto* line = static_cast<volatile std::uint32_t*>(combining_) + address / 4;
    for (std::size_t i = 0; i < words.size(); ++i) line[i] = htole32(words[i]);
    drain_write_combining();
}

}  // namespace mirrornic
