// SPDX-License-Identifier: Apache-2.0
#include "sim/models/register_file.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>

#include "catch.hpp"
#include "driver/mirror_device.hpp"
#include "driver_contract.hpp"
#include "folder.hpp"
#include "register_map.hpp"

using namespace mirrornic;
using Catch::Matchers::Contains;
namespace map = mirrornic::registers;

namespace {

struct Folder : test::Folder {
    std::string file(const std::string& name) const { return (path / name).string(); }
};

std::string error_of(const std::string& path) {
    try {
        open_register_file(path);
    } catch (const std::runtime_error& error) {
        return error.what();
    }
    return "nothing was thrown";
}

std::string bytes_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

void put_bytes(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
}

}  // namespace

TEST_CASE("the register file keeps the register contract") {
    const Folder folder;
    RegisterFile registers(folder.file("device"));
    check_register_access(registers);
}

TEST_CASE("T5 the register file answers as the register map says") {
    const Folder folder;
    RegisterFile registers(folder.file("device"));
    check_register_map(registers);
}

TEST_CASE("T2 the driver keeps its contract over the register file") {
    const Folder folder;
    RegisterFile registers(folder.file("device"));
    check_mirror_device(registers);
}

TEST_CASE("the register file's tables and commit sequence outlive it, and nothing else does") {
    const Folder folder;
    const auto path = folder.file("device");
    RandomStates random(5);
    TableState state;
    std::uint64_t sequence = 0;
    for (int i = 0; i < 10; ++i) {
        RegisterFile registers(path);
        REQUIRE(registers.sequence() == sequence);
        REQUIRE(registers.read(map::interrupt_mask::address()) == 0);
        REQUIRE(map::error_reason::reason.of(registers.read(map::error_reason::address())) == 0);
        MirrorDevice device(registers);
        device.apply(state);
        REQUIRE(registers.sequence() == sequence);
        check_holds(device.dump(), device, state);
        state = random.state();
        device.apply(state);
        device.set_source_ports(std::uint16_t(1024 + i), 3);
        check_holds(device.dump(), device, state);
        sequence = registers.sequence();
        registers.write(map::interrupt_mask::address(), 5);
        registers.write(map::magic::address(), 1);
    }
}

TEST_CASE(
    "the register file of a process that was killed holds the last commit or the one before") {
    const Folder folder;
    const auto path = folder.file("device");
    RandomStates random(6);
    TableState before = random.state(), after;
    {
        RegisterFile registers(path);
        MirrorDevice(registers).apply(before);
    }
    const auto start = bytes_of(path);
    after = before;
    RandomStates(7).request(after);
    std::uint64_t sequence;
    std::string whole;
    {
        RegisterFile registers(path);
        MirrorDevice(registers).apply(after);
        sequence = registers.sequence();
        whole = bytes_of(path);
    }
    REQUIRE(whole.size() == start.size());
    const auto holds = [&](const std::string& bytes) {
        put_bytes(path, bytes);
        RegisterFile registers(path);
        MirrorDevice device(registers);
        const auto commits = registers.sequence();
        const auto& wanted = commits == sequence ? after : before;
        device.apply(wanted);
        CHECK(registers.sequence() == commits);  // it holds that state, wholly
        check_holds(device.dump(), device, wanted);
        return commits;
    };
    // The bytes that the change touches, written up to each of them: first the records, then the
    // image, as the file's places come.
    std::vector<std::size_t> changed;
    for (std::size_t i = 0; i < whole.size(); ++i)
        if (whole[i] != start[i]) changed.push_back(i);
    REQUIRE(changed.size() > 20);
    auto bytes = start;
    std::uint64_t last = 0;
    std::vector<std::uint64_t> seen;
    const std::size_t step = changed.size() / 40 + 1;
    for (std::size_t i = 0; i < changed.size(); ++i) {
        bytes[changed[i]] = whole[changed[i]];
        if (i % step != 0 && i + 1 != changed.size()) continue;
        last = holds(bytes);
        if (seen.empty() || seen.back() != last) seen.push_back(last);
    }
    REQUIRE(last == sequence);
    REQUIRE(seen.size() >= 2);
    for (std::size_t i = 1; i < seen.size(); ++i) REQUIRE(seen[i] > seen[i - 1]);
}

TEST_CASE("a register file whose making was cut off is made anew") {
    const Folder folder;
    const auto path = folder.file("device");
    { RegisterFile registers(path); }
    const auto whole = bytes_of(path);
    struct stat status {};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    REQUIRE((status.st_mode & 0777) == 0600);
    for (const std::size_t size : {std::size_t(0), std::size_t(64), std::size_t(4096),
                                   std::size_t(12288), whole.size() - 1}) {
        put_bytes(path, whole.substr(0, size));
        RegisterFile registers(path);
        MirrorDevice device(registers);
        REQUIRE(device.dump().interfaces.empty());
        REQUIRE(bytes_of(path) == whole);
    }
}

TEST_CASE("a file that is no register file is mapped, or refused with a reason") {
    const Folder folder;
    put_bytes(folder.file("bar"), std::string(map::end_address, '\0'));
    const auto mapped = open_register_file(folder.file("bar"));
    mapped->write(map::interrupt_mask::address(), 0x7);
    REQUIRE(bytes_of(folder.file("bar"))[map::interrupt_mask::address()] == '\x07');

    put_bytes(folder.file("short"), "mirrornic");
    REQUIRE_THAT(error_of(folder.file("short")), Contains("9 bytes"));
    REQUIRE_THAT(error_of(folder.path.string()), Contains("cannot be opened: Is a directory"));
    REQUIRE_THAT(error_of(folder.file("none/device")), Contains("No such file or directory"));

    { RegisterFile registers(folder.file("other")); }
    auto bytes = bytes_of(folder.file("other"));
    bytes[32] ^= 1;
    put_bytes(folder.file("other"), bytes);
    REQUIRE_THAT(error_of(folder.file("other")), Contains("register map hash 0x"));
    REQUIRE_THROWS_WITH(RegisterFile(folder.file("bar")), Contains("in use by process"));
}

TEST_CASE("a register file is driven by one process at a time, which is named") {
    const Folder folder;
    const auto path = folder.file("device");
    int ready[2];
    REQUIRE(::pipe(ready) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    char byte = 0;
    if (child == 0) {
        RegisterFile registers(path);
        if (::write(ready[1], &byte, 1) != 1) ::_exit(1);
        while (true) ::pause();
    }
    REQUIRE(::read(ready[0], &byte, 1) == 1);
    const auto error = error_of(path);
    REQUIRE(::kill(child, SIGKILL) == 0);
    REQUIRE(::waitpid(child, nullptr, 0) == child);
    for (const int end : ready) ::close(end);
    REQUIRE_THAT(error, Contains("in use by process " + std::to_string(child)));
    REQUIRE(error_of(path) == "nothing was thrown");
}

TEST_CASE("a commit that the register file cannot write is not done, and can be done later") {
    const Folder folder;
    RegisterFile registers(folder.file("device"));
    MirrorDevice device(registers);
    RandomStates random(8);
    const TableState before = random.state(), after = random.state();
    device.apply(before);
    rlimit room{};
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &room) == 0);
    const auto former = std::signal(SIGXFSZ, SIG_IGN);
    std::optional<std::string> error;
    for (const rlim_t bytes : {rlim_t(0), rlim_t(6000), rlim_t(20000)}) {
        rlimit full = room;
        full.rlim_cur = bytes;  // neither record; a part of one; both, and not the image's end
        REQUIRE(::setrlimit(RLIMIT_FSIZE, &full) == 0);
        error.reset();
        try {
            device.apply(after);
        } catch (const std::exception& thrown) {
            error = thrown.what();
        }
        REQUIRE(::setrlimit(RLIMIT_FSIZE, &room) == 0);
        REQUIRE(error);
        CHECK_THAT(*error, Contains("cannot be written: File too large"));
        device.apply(before);
        check_holds(device.dump(), device, before);
    }
    std::signal(SIGXFSZ, former);
    device.apply(after);
    check_holds(device.dump(), device, after);
}

TEST_CASE("an error number that an earlier call left is none of the register file's") {
    const Folder folder;
    const auto path = folder.file("device");
    RandomStates random(9);
    const TableState state = random.state();
    for (int i = 0; i < 2; ++i) {
        errno = EINTR;
        RegisterFile registers(path);
        MirrorDevice device(registers);
        errno = EINTR;
        device.apply(state);
        check_holds(device.dump(), device, state);
    }
}
