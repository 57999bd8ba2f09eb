// SPDX-License-Identifier: Apache-2.0
#include "driver/access/mapped_registers.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "driver/mirror_device.hpp"
#include "driver_contract.hpp"
#include "folder.hpp"
#include "register_map.hpp"

using namespace mirrornic;
using Catch::Matchers::Contains;
namespace map = mirrornic::registers;

namespace {

/// With files of zeros.
struct Folder : test::Folder {
    std::string file(const std::string& name, std::size_t size) const {
        const auto file = path / name;
        std::filesystem::create_directories(file.parent_path());
        std::ofstream(file, std::ios::binary) << std::string(size, '\0');
        return file.string();
    }
};

std::string error_of(const std::string& path) {
    try {
        MappedRegisters registers(path);
    } catch (const std::runtime_error& error) {
        return error.what();
    }
    return "nothing was thrown";
}

}  // namespace

TEST_CASE("a mapped file keeps the register contract") {
    const Folder folder;
    MappedRegisters registers(folder.file("bar", map::end_address));
    check_register_access(registers);
}

TEST_CASE("a mapped register is 4 bytes at its address, little-endian") {
    const Folder folder;
    const auto path = folder.file("bar", map::end_address + 4096);
    MappedRegisters registers(path);
    registers.write(0x1234, 0x11223344);
    std::ifstream file(path, std::ios::binary);
    file.seekg(0x1234);
    char bytes[4];
    file.read(bytes, 4);
    REQUIRE(std::string(bytes, 4) == "\x44\x33\x22\x11");
    MappedRegisters& same = registers;
    REQUIRE(same.read(0x1234) == 0x11223344);
    REQUIRE(same.read(0x1230) == 0);
    REQUIRE(same.read(0x1238) == 0);
}

TEST_CASE("a line is written through the write-combining view, whole, or without one in parts") {
    const Folder folder;
    const auto path = folder.file("bar", map::end_address),
               combining = folder.file("bar_wc", map::end_address);
    RegisterLine words{};
    for (std::uint32_t i = 0; i < 16; ++i) words[i] = 0x01020304 * (i + 1);
    const auto held = [](const std::string& file, std::uint32_t address) {
        std::uint8_t bytes[4]{};
        std::ifstream stream(file, std::ios::binary);
        stream.seekg(address);
        stream.read(reinterpret_cast<char*>(bytes), 4);
        return bytes[0] | bytes[1] << 8 | bytes[2] << 16 | std::uint32_t(bytes[3]) << 24;
    };
    {
        MappedRegisters registers(path, combining);
        registers.write_line(0x1040, words, 1);
        registers.write(0x1080, 7);
        for (std::uint32_t i = 0; i < 16; ++i) {
            REQUIRE(held(combining, 0x1040 + 4 * i) == words[i]);
            REQUIRE(held(path, 0x1040 + 4 * i) == 0);
        }
        REQUIRE(held(combining, 0x103c) + held(combining, 0x1080) == 0);
        REQUIRE(held(path, 0x1080) == 7);
        REQUIRE_THROWS_AS(registers.write_line(0x1044, words, 1), std::out_of_range);
        REQUIRE_THROWS_AS(registers.write_line(map::end_address, words, 1), std::out_of_range);
    }
    MappedRegisters registers(path);
    registers.write_line(0x1040, words, 0x8006);
    for (std::uint32_t i = 0; i < 16; ++i)
        REQUIRE(registers.read(0x1040 + 4 * i) == (0x8006 >> i & 1 ? words[i] : 0));
    REQUIRE_THROWS_WITH(MappedRegisters(folder.file("other", map::end_address), "/none"),
                        Contains("write-combining view /none cannot be mapped"));
}

TEST_CASE("addresses outside the register map do not reach memory") {
    const Folder folder;
    MappedRegisters registers(folder.file("bar", 2 * map::end_address));
    REQUIRE_THROWS_AS(registers.read(map::end_address), std::out_of_range);
    REQUIRE_THROWS_AS(registers.write(map::end_address, 1), std::out_of_range);
    REQUIRE_THROWS_AS(registers.read(2), std::out_of_range);
    REQUIRE(registers.read(map::end_address - 4) == 0);
}

TEST_CASE("what is cut while it is mapped reads as all ones, and the process lives") {
    const Folder folder;
    const auto path = folder.file("bar", map::end_address);
    const auto other = folder.file("other", map::end_address);
    const auto combining = GENERATE(false, true);
    MappedRegisters registers(path, combining ? path : "");
    MappedRegisters beside(other);
    registers.write(0x1040, 7);
    REQUIRE(registers.read(0x1040) == 7);
    std::filesystem::resize_file(path, 0);
    REQUIRE(registers.read(0) == ~0u);
    REQUIRE(registers.read(map::end_address - 4) == ~0u);
    RegisterLine words;
    words.fill(5);
    registers.write_line(0x1040, words, 0xffff);
    registers.write(0x1044, 9);
    REQUIRE(registers.read(0x2000 - 4) == ~0u);
    REQUIRE_THROWS_AS(MirrorDevice(registers), DeviceGone);
    // Others are not touched, and a whole file in its place can be opened.
    beside.write(0x1040, 8);
    REQUIRE(beside.read(0x1040) == 8);
    REQUIRE(beside.read(0) == 0);
    std::filesystem::remove(path);
    folder.file("bar", map::end_address);
    MappedRegisters again(path);
    REQUIRE(again.read(0) == 0);
}

TEST_CASE("a fault that is no device's still ends the process") {
    const Folder folder;
    const auto path = folder.file("bar", map::end_address);
    const pid_t process = ::fork();
    if (process == 0) {
        MappedRegisters registers(path);
        const int file = ::open(path.c_str(), O_RDWR);
        auto* const at = static_cast<volatile char*>(
            ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, file, 1 << 20));
        [[maybe_unused]] const char byte = *at;
        ::_exit(0);
    }
    int status = 0;
    REQUIRE(::waitpid(process, &status, 0) == process);
#ifdef __SANITIZE_ADDRESS__  // whose handler has the fault then, and reports it
    REQUIRE(WIFEXITED(status));
    REQUIRE(WEXITSTATUS(status) == 1);
#else
    REQUIRE(WIFSIGNALED(status));
    REQUIRE(WTERMSIG(status) == SIGBUS);
#endif
}

TEST_CASE("a file that cannot be a device is refused with a reason") {
    const Folder folder;
    REQUIRE_THAT(error_of((folder.path / "none").string()), Contains("No such file"));
    REQUIRE_THAT(error_of(folder.file("short", map::end_address - 1)),
                 Contains("8191 bytes") && Contains("8192"));
    MappedRegisters registers(folder.file("empty", map::end_address));
    REQUIRE_THROWS_AS(MirrorDevice(registers), UnknownDevice);
}

TEST_CASE("a device more than can be mapped is refused, and nothing of it stays") {
    const Folder folder;
    const auto entries = [](const char* list) {  // lines of a file, or files of a folder
        if (std::filesystem::is_directory(list))
            return std::distance(std::filesystem::directory_iterator(list), {});
        std::ifstream file(list);
        const std::string text(std::istreambuf_iterator<char>(file), {});
        return std::count(text.begin(), text.end(), '\n');
    };
    std::deque<MappedRegisters> held;  // does not move what it holds
    std::string error;
    for (int i = 0; error.empty() && i < 1000; ++i) {
        const auto path = folder.file(std::to_string(i), map::end_address);
        try {
            held.emplace_back(path);
        } catch (const std::runtime_error& thrown) {
            error = thrown.what();
        }
    }
    REQUIRE_THAT(error, Contains("too many devices are mapped"));
    REQUIRE(held.size() == 64);
    const auto other = folder.file("other", map::end_address);
    const auto mappings = entries("/proc/self/maps"), files = entries("/proc/self/fd");
    for (int i = 0; i < 10; ++i) REQUIRE_THAT(error_of(other), Contains("too many devices"));
    REQUIRE(entries("/proc/self/maps") - mappings < 10);
    REQUIRE(entries("/proc/self/fd") == files);
    held.pop_back();
    REQUIRE(error_of(other) == "nothing was thrown");
}

TEST_CASE("a device is driven by one user at a time, who is named") {
    const Folder folder;
    const auto path = folder.file("bar", map::end_address);
    SECTION("in one process") {
        {
            MappedRegisters first(path);
            REQUIRE_THAT(error_of(path),
                         Contains("in use by process " + std::to_string(::getpid())));
        }
        REQUIRE(error_of(path) == "nothing was thrown");
    }
    SECTION("in two") {
        int locked[2], done[2];
        REQUIRE(::pipe(locked) == 0);
        REQUIRE(::pipe(done) == 0);
        const pid_t child = ::fork();
        REQUIRE(child >= 0);
        char byte = 0;
        if (child == 0) {
            MappedRegisters registers(path);
            const bool told = ::write(locked[1], &byte, 1) == 1;
            const bool asked = ::read(done[0], &byte, 1) == 1;
            ::_exit(told && asked ? 0 : 1);
        }
        REQUIRE(::read(locked[0], &byte, 1) == 1);
        const auto error = error_of(path);
        REQUIRE(::write(done[1], &byte, 1) == 1);
        int status = 1;
        REQUIRE(::waitpid(child, &status, 0) == child);
        for (const int end : {locked[0], locked[1], done[0], done[1]}) ::close(end);
        REQUIRE(status == 0);
        REQUIRE_THAT(error, Contains("in use by process " + std::to_string(child)));
        REQUIRE(error_of(path) == "nothing was thrown");
    }
}

TEST_CASE("of several devices each is in use by its own user") {
    const Folder folder;
    std::vector<std::pair<std::string, pid_t>> users;
    int locked[2], done[2];
    REQUIRE(::pipe(locked) == 0);
    REQUIRE(::pipe(done) == 0);
    char byte = 0;
    for (const char* name : {"a", "b", "c"}) {
        const auto path = folder.file(name, map::end_address);
        const pid_t child = ::fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            ::close(done[1]);
            MappedRegisters registers(path);
            const bool told = ::write(locked[1], &byte, 1) == 1;
            ::_exit(told && ::read(done[0], &byte, 1) == 0 ? 0 : 1);
        }
        REQUIRE(::read(locked[0], &byte, 1) == 1);
        users.emplace_back(path, child);
    }
    std::vector<std::string> errors;
    for (const auto& [path, child] : users) errors.push_back(error_of(path));
    for (const int end : {locked[0], locked[1], done[0], done[1]}) ::close(end);
    for (std::size_t i = 0; i < users.size(); ++i) {
        int status = 1;
        REQUIRE(::waitpid(users[i].second, &status, 0) == users[i].second);
        CHECK(status == 0);
        CHECK_THAT(errors[i], Contains("in use by process " + std::to_string(users[i].second)));
    }
}

TEST_CASE("a PCI function is found by its address, when its memory is enabled") {
    const Folder folder;
    folder.file("0000:03:00.0/resource0", 0x10000);
    const auto devices = folder.path.string();
    const auto enable = [&](const char* value) {
        std::ofstream(folder.path / "0000:03:00.0/enable") << value << "\n";
    };
    const auto error = [&](const std::string& location) -> std::string {
        try {
            auto registers = MappedRegisters::pci(PciLocation::parse(location), devices);
            registers.write(map::interrupt_mask::address(), 5);
            return registers.read(map::interrupt_mask::address()) == 5 ? "works" : "does not work";
        } catch (const std::exception& thrown) {
            return thrown.what();
        }
    };
    enable("1");
    REQUIRE(error("0000:03:00.0") == "works");
    folder.file("0000:03:00.0/resource0_wc", 0x10000);
    {
        auto registers = MappedRegisters::pci({"0000:03:00.0"}, devices);
        RegisterLine words{};
        words[15] = 1;
        registers.write_line(0x1000, words, 0);  // whole, into the other view
        std::ifstream view(folder.path / "0000:03:00.0/resource0_wc", std::ios::binary);
        view.seekg(0x103c);
        REQUIRE(view.get() == 1);
        REQUIRE(registers.read(0x103c) == 0);
    }
    enable("0");
    REQUIRE_THAT(error("0000:03:00.0"), Contains("not enabled") && Contains("echo 1 > "));
    REQUIRE_THAT(error("0000:04:00.0"), Contains("no PCI device 0000:04:00.0"));
    REQUIRE_THAT(error("03:00.0"), Contains("no PCI address"));
    REQUIRE_THAT(error("../../etc"), Contains("no PCI address"));
    for (const std::size_t digit : {0, 5, 8, 11}) {
        std::string address = "0000:03:00.0";
        for (const char other : {'g', ':', '.', '/', '\xff'}) {
            address[digit] = other;
            REQUIRE_THAT(error(address), Contains("no PCI address"));
        }
    }
}

TEST_CASE("the registers are in any BAR of a PCI function, from any line on") {
    const Folder folder;
    const auto devices = folder.path.string();
    // OpenNIC's user registers; a place in the midst of a page; the last one that fits.
    const std::pair<const char*, std::uint64_t> places[] = {
        {"0000:03:00.0,bar=2,offset=0x100000", 0x100000},
        {"0000:03:00.0,offset=4160,bar=2", 4160},
        {"0000:03:00.0,bar=2,offset=2088960", 0x200000 - map::end_address},
        {"0000:03:00.0,bar=2", 0}};
    for (const auto& [text, offset] : places) {
        INFO(text);
        folder.file("0000:03:00.0/resource0", map::end_address);
        const auto bar = folder.file("0000:03:00.0/resource2", 0x200000),
                   combining = folder.file("0000:03:00.0/resource2_wc", 0x200000);
        const auto held = [](const std::string& file, std::uint64_t at) {
            std::uint32_t word = 0;
            std::ifstream stream(file, std::ios::binary);
            stream.seekg(std::streamoff(at));
            stream.read(reinterpret_cast<char*>(&word), 4);
            return word;
        };
        const PciLocation location = PciLocation::parse(text);
        REQUIRE(location.bar == 2);
        REQUIRE(location.offset == offset);
        auto registers = MappedRegisters::pci(location, devices);
        for (const std::uint32_t address : {0u, 0x40u, map::end_address - 4}) {
            registers.write(address, 0x11223344 + address);
            REQUIRE(held(bar, offset + address) == 0x11223344 + address);
            REQUIRE(registers.read(address) == 0x11223344 + address);
        }
        RegisterLine words{};
        for (std::uint32_t i = 0; i < 16; ++i) words[i] = i + 1;
        registers.write_line(map::end_address - 64, words, 0xffff);
        for (std::uint32_t i = 0; i < 16; ++i)
            REQUIRE(held(combining, offset + map::end_address - 64 + 4 * i) == i + 1);
        check_register_access(registers);
        // A card that is pulled.
        for (const auto& file : {bar, combining}) std::filesystem::resize_file(file, 0);
        REQUIRE(registers.read(0) == ~0u);
        REQUIRE(registers.read(map::end_address - 4) == ~0u);
        registers.write_line(0, words, 0xffff);
    }
}

TEST_CASE("an impossible place on a PCI function is refused with what is allowed") {
    const Folder folder;
    folder.file("0000:03:00.0/resource2", 0x100000);
    const auto refused = [&](const std::string& text) -> std::string {
        try {
            MappedRegisters::pci(PciLocation::parse(text), folder.path.string());
        } catch (const std::exception& thrown) {
            return thrown.what();
        }
        return "nothing was thrown";
    };
    const std::string at = "0000:03:00.0";
    REQUIRE(refused(at + ",bar=2") == "nothing was thrown");
    REQUIRE_THAT(refused(at + ",bar=5"), Contains("has no BAR 5"));
    for (const char* bar :
         {"bar=6", "bar=", "bar=-1", "bar=two", "bar=0x", "bar", "bar=99999999999"})
        REQUIRE_THAT(refused(at + "," + bar), Contains(bar) && Contains("from 0 to 5"));
    for (const char* offset : {"offset=1", "offset=4", "offset=0x20", "offset=", "offset=1k",
                               "offset=-64", "offset=99999999999999999999"})
        REQUIRE_THAT(refused(at + "," + offset), Contains(offset) && Contains("multiple of 64"));
    for (const char* other : {",", ",size=4", ",bar=2,bar=2", ",offset=0,offset=0", ",bar=2,"})
        REQUIRE_THAT(refused(at + other), Contains("bar=N and offset=BYTES"));
    REQUIRE_THAT(refused("03:00.0,bar=2"), Contains("no PCI address"));
    REQUIRE_THAT(refused(at + ",bar=0"), Contains("has no BAR 0") && Contains("resource0"));
    REQUIRE_THAT(refused(at + ",bar=2,offset=0xfe040"),
                 Contains("1048576 bytes") && Contains("8192 behind offset 1040448"));
}
