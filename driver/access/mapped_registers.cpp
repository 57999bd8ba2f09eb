// SPDX-License-Identifier: Apache-2.0
#include "driver/access/mapped_registers.hpp"

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
#include <optional>
#include <stdexcept>
#include <utility>

#include "driver/access/file_lock.hpp"
#include "register_map.hpp"

namespace mirrornic {
namespace {

constexpr std::size_t map_size = registers::end_address;

std::string error_text() { return std::strerror(errno); }

std::uint64_t page_size() { return std::uint64_t(::sysconf(_SC_PAGESIZE)); }

// The views that may fault, for the signal handler. A signal handler can take no lock, so a slot is
// taken and given back by exchanging its address atomically.
constexpr std::size_t views_limit = 64;
struct View {
    std::atomic<void*> base;
    std::atomic<std::size_t> size;
};
View views[views_limit];
struct sigaction before_bus_error {};

/// Handles SIGBUS, which an access to a mapped page raises that has no memory behind it any more.
/// If the page is in a view, memory of all ones is put there; the access is then done again and
/// reads that. If it is not, the handler that was set before gets the signal.
void on_bus_error(int number, siginfo_t* info, void* context) {
    const auto at = reinterpret_cast<std::uintptr_t>(info->si_addr);
    for (const auto& view : views) {
        void* const base = view.base;
        const std::size_t size = view.size;
        const auto start = reinterpret_cast<std::uintptr_t>(base);
        if (!base || at < start || at >= start + size) continue;
        if (::mmap(base, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                   0) == MAP_FAILED)
            break;
        std::memset(base, 0xff, size);
        return;
    }
    if ((before_bus_error.sa_flags & SA_SIGINFO) && before_bus_error.sa_sigaction)
        return before_bus_error.sa_sigaction(number, info, context);
    ::signal(SIGBUS, SIG_DFL);
    ::raise(SIGBUS);  // ends the process when this returns
}

void watch_view(void* base, std::size_t size) {
    static const bool installed = [] {
        struct sigaction action {};
        action.sa_sigaction = on_bus_error;
        action.sa_flags = SA_SIGINFO;
        return ::sigaction(SIGBUS, &action, &before_bus_error) == 0;
    }();
    for (auto& view : views) {
        void* none = nullptr;
        if (!installed || !view.base.compare_exchange_strong(none, base)) continue;
        view.size = size;
        return;
    }
    throw std::runtime_error("too many devices are mapped");
}

void forget_view(void* base) {
    for (auto& view : views) {
        void* held = base;
        if (view.base != base) continue;
        view.size = 0;
        if (view.base.compare_exchange_strong(held, nullptr)) return;
    }
}

bool is_pci_address(const std::string& text) {
    const std::string form = "hhhh:hh:hh.h";
    return std::equal(text.begin(), text.end(), form.begin(), form.end(), [](char c, char kind) {
        return kind == 'h' ? std::isxdigit(static_cast<unsigned char>(c)) != 0 : c == kind;
    });
}

/// Reads a number: decimal, or hexadecimal after 0x.
std::optional<std::uint64_t> number_of(const std::string& text) {
    const bool hex = text.compare(0, 2, "0x") == 0;
    const std::string digits = hex ? text.substr(2) : text;
    const char* allowed = hex ? "0123456789abcdefABCDEF" : "0123456789";
    if (digits.empty() || digits.size() > (hex ? 15 : 18) ||
        digits.find_first_not_of(allowed) != std::string::npos)
        return {};
    return std::stoull(digits, nullptr, hex ? 16 : 10);
}

}  // namespace

PciLocation PciLocation::parse(const std::string& text) {
    PciLocation location;
    location.address = text.substr(0, text.find(','));
    if (!is_pci_address(location.address))
        throw std::invalid_argument("'" + location.address +
                                    "' is no PCI address; one is written as 0000:03:00.0");
    bool bar_given = false, offset_given = false;
    for (std::size_t at = location.address.size(); at < text.size();) {
        const std::size_t end = std::min(text.find(',', at + 1), text.size());
        const std::string option = text.substr(at + 1, end - at - 1);
        const std::size_t equals = std::min(option.find('='), option.size());
        const std::string name = option.substr(0, equals);
        const auto value = number_of(option.substr(std::min(equals + 1, option.size())));
        if (name == "bar" && !std::exchange(bar_given, true)) {
            if (!value || *value > 5)
                throw std::invalid_argument("'" + option + "': a BAR is a number from 0 to 5");
            location.bar = unsigned(*value);
        } else if (name == "offset" && !std::exchange(offset_given, true)) {
            if (!value || *value % sizeof(RegisterLine) != 0)
                throw std::invalid_argument(
                    "'" + option +
                    "': an offset is a number of bytes that is a multiple of 64, "
                    "as 1048576 or 0x100000");
            location.offset = *value;
        } else {
            throw std::invalid_argument("'" + option +
                                        "' behind a PCI address: give bar=N and offset=BYTES, each "
                                        "once at most");
        }
        at = end;
    }
    return location;
}

std::string PciLocation::file(const std::string& devices) const {
    return devices + "/" + address + "/resource" + std::to_string(bar);
}

MappedRegisters::MappedRegisters(const std::string& path, const std::string& combining,
                                 std::uint64_t offset)
    : file_(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_SYNC)),
      first_page_(offset / page_size() * page_size()),
      skipped_(offset - first_page_),
      base_(MAP_FAILED),
      combining_(MAP_FAILED) {
    if (file_ < 0)
        throw std::runtime_error("the registers " + path + " cannot be opened: " + error_text());
    try {
        struct stat status {};
        if (::fstat(file_, &status) != 0)
            throw std::runtime_error("the registers " + path +
                                     " cannot be examined: " + error_text());
        if (status.st_size < off_t(map_size) || std::uint64_t(status.st_size) - map_size < offset)
            throw std::runtime_error(
                "the registers " + path + " are " + std::to_string(status.st_size) +
                " bytes, a mirrornic's are at least " + std::to_string(map_size) +
                (offset ? " behind offset " + std::to_string(offset) : ""));
        lock_file(file_, "the registers " + path);
        base_ = map(file_, "the registers " + path);
        if (combining.empty()) return;
        combining_file_ = ::open(combining.c_str(), O_RDWR | O_CLOEXEC);
        combining_ = map(combining_file_, "the write-combining view " + combining);
    } catch (...) {
        close();
        throw;
    }
}

MappedRegisters::~MappedRegisters() { close(); }

/// Maps the registers, and with them the part of their first page that lies in front of them.
void* MappedRegisters::map(int file, const std::string& what) {
    const std::size_t size = skipped_ + map_size;
    void* const view = file < 0 ? MAP_FAILED
                                : ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file,
                                         off_t(first_page_));
    if (view == MAP_FAILED) throw std::runtime_error(what + " cannot be mapped: " + error_text());
    try {
        watch_view(view, size);
    } catch (...) {
        ::munmap(view, size);
        throw;
    }
    return view;
}

void MappedRegisters::close() {
    for (void* view : {base_, combining_})
        if (view != MAP_FAILED) {
            forget_view(view);
            ::munmap(view, skipped_ + map_size);
        }
    if (combining_file_ >= 0) ::close(combining_file_);
    ::close(file_);
}

MappedRegisters MappedRegisters::pci(const PciLocation& location, const std::string& devices) {
    const std::string folder = devices + "/" + location.address;
    if (!std::filesystem::is_directory(folder))
        throw std::runtime_error("there is no PCI device " + location.address);
    std::string enabled;
    std::ifstream(folder + "/enable") >> enabled;
    if (enabled == "0")
        throw std::runtime_error("PCI device " + location.address +
                                 " is not enabled; to enable it: echo 1 > " + folder + "/enable");
    const std::string bar = location.file(devices), combining = bar + "_wc";
    if (!std::filesystem::exists(bar))
        throw std::runtime_error("PCI device " + location.address + " has no BAR " +
                                 std::to_string(location.bar) + ": there is no " + bar);
    return MappedRegisters(bar, std::filesystem::exists(combining) ? combining : "",
                           location.offset);
}

volatile std::uint32_t& MappedRegisters::at(std::uint32_t address) const {
    if (address % 4 != 0 || address >= map_size)
        throw std::out_of_range("register address " + std::to_string(address) +
                                " is not in the register map");
    return reinterpret_cast<volatile std::uint32_t*>(static_cast<char*>(base_) +
                                                     skipped_)[address / 4];
}

// A mapped BAR is device memory: the processor keeps the order of accesses to it, and on PCIe no
// read passes a posted write. The fences keep accesses to other memory in order with these.

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

/// Sends what was stored to write-combining memory, before any access that follows.
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
    // The 32-bit writes before this line must leave first. Device memory is written in order, and
    // the fence orders it with the write-combining view.
    drain_write_combining();
    auto* line = reinterpret_cast<volatile std::uint32_t*>(static_cast<char*>(combining_) +
                                                           skipped_ + address);
    for (std::size_t i = 0; i < words.size(); ++i) line[i] = htole32(words[i]);
    drain_write_combining();
}

}  // namespace mirrornic
