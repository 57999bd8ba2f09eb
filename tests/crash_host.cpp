// SPDX-License-Identifier: Apache-2.0
// The request layer over a state file and a register file, as `mirrornic serve` has it, in a
// process that kills itself between any two steps of a change (S8); and a look at what is left.
//
//   crash_host serve STATE DEVICE CONFIG STEP SEED   requests on standard input, JSON, a line each,
//   or
//                                               an array of those that come together; replies the
//                                               same. Dies at the step of that number, 0: at none;
//                                               then says at the end how many there were
//   crash_host look STATE DEVICE CONFIG [restart]   prints what both files hold, and with `restart`
//                                               what the device holds after a start
#include <signal.h>
#include <unistd.h>

#include <iostream>

#include "driver/mirror_device.hpp"
#include "host/account/driver_device.hpp"
#include "host/base/json_text.hpp"
#include "host/configuration/configuration.hpp"
#include "host/requests/request_service.hpp"
#include "host/store/sqlite_store.hpp"
#include "sim/models/register_file.hpp"
#include "table_text.hpp"

using namespace mirrornic;

namespace {

const SqliteStore::Owner owner{"000000000000", "us-east-1"};

/// Counts steps, and kills the process at one.
class Fuse {
public:
    explicit Fuse(unsigned last) : last_(last) {}
    void step() {
        if (++steps_ == last_) ::kill(::getpid(), SIGKILL);
    }
    unsigned steps() const { return steps_; }

private:
    unsigned last_, steps_ = 0;
};

struct CrashingRegisters : RegisterAccess {
    CrashingRegisters(RegisterAccess& access, Fuse& the_fuse) : registers(access), fuse(the_fuse) {}
    void write(std::uint32_t address, std::uint32_t value) override {
        const bool commit = address == registers::commit::address();
        if (commit) fuse.step();
        registers.write(address, value);
        if (commit) fuse.step();
    }
    std::uint32_t read(std::uint32_t address) override { return registers.read(address); }
    RegisterAccess& registers;
    Fuse& fuse;
};

struct CrashingStore : Store {
    CrashingStore(Store& a_store, Fuse& the_fuse) : store(a_store), fuse(the_fuse) {}
    Account load() override { return store.load(); }
    void commit(const std::vector<Change>& changes) override {
        fuse.step();
        store.commit(changes);
        fuse.step();
    }
    std::optional<std::string> note(const std::string& key) override { return store.note(key); }
    void commit(const Change& change, const std::string& key, const std::string& value) override {
        store.commit(change, key, value);
    }
    Store& store;
    Fuse& fuse;
};

struct CrashingPlane : Device {
    CrashingPlane(Device& a_plane, Fuse& the_fuse) : plane(a_plane), fuse(the_fuse) {}
    TableSizes sizes() const override { return plane.sizes(); }
    Staged stage(const TableState& desired, const Touched* touched) override {
        fuse.step();
        const auto staged = plane.stage(desired, touched);
        fuse.step();
        return staged;
    }
    void commit(const Staged& staged) override {
        fuse.step();
        plane.commit(staged);
        fuse.step();
    }
    Device& plane;
    Fuse& fuse;
};

/// Takes everything.
struct NoPlane : Device {
    Staged stage(const TableState&, const Touched*) override { return nullptr; }
    void commit(const Staged&) override {}
};

Json json_of(const Reply& reply) {
    return {{"Code", reply.code}, {"Message", reply.message}, {"Body", reply.body}};
}

Request request_of(const Json& line) {
    Json parameters = line;
    parameters.erase("Action");
    return {line.at("Action").get<std::string>(), parameters};
}

int serve(const std::string& state, const std::string& device_file, const std::string& config,
          unsigned last, std::uint64_t seed) {
    Fuse fuse(last);
    RegisterFile file(device_file);
    CrashingRegisters registers(file, fuse);
    SqliteStore sqlite(state, SqliteStore::Access::read_write, owner);
    CrashingStore store(sqlite, fuse);
    MirrorDevice device(registers);
    DriverDevice device_plane(device);
    CrashingPlane plane(device_plane, fuse);
    Account account = store.load();
    account.take_network(read_configuration({config}, false).account.network());
    Settings settings;
    settings.seed = seed;
    Requests requests(std::move(account), store, plane, settings);
    for (std::string line; std::getline(std::cin, line);) {
        fuse.step();
        const Json asked = parse_json(line);
        Json answer;
        if (asked.is_array()) {
            std::vector<Request> together;
            for (const auto& each : asked) together.push_back(request_of(each));
            answer = Json::array();
            for (const auto& reply : requests.handle(together)) answer.push_back(json_of(reply));
        } else {
            answer = json_of(requests.handle(request_of(asked)));
        }
        fuse.step();
        std::cout << answer << std::endl;
        fuse.step();
    }
    std::cout << Json{{"Steps", fuse.steps()}} << std::endl;
    return 0;
}

Json look_at(const RegisterFile& file, const MirrorDevice& device) {
    const TableDump dump = device.dump();
    Json held = Json::array(), places = Json::object();
    for (const auto& [index, text] : describe(dump)) held.push_back(text);
    for (const auto& [index, tapped] : dump.interfaces)
        for (const auto& slot : tapped.slots)
            places[describe_slot(slot.number, dump.sessions.at(slot.session),
                                 dump.filters.at(slot.filter))] = {index, slot.session,
                                                                   slot.filter};
    return {{"Sequence", file.sequence()}, {"Held", held}, {"Places", places}};
}

int look(const std::string& state, const std::string& device_file, const std::string& config,
         bool restart) {
    SqliteStore sqlite(state, SqliteStore::Access::read_only, owner);
    Account account = sqlite.load();
    account.take_network(read_configuration({config}, false).account.network());
    RegisterFile file(device_file);
    MirrorDevice device(file);
    Json seen = {{"Device", look_at(file, device)}, {"Tokens", account.tokens().size()}};
    Json wanted = Json::array();
    for (const auto& [interface, text] : describe(table_state(account))) wanted.push_back(text);
    seen["Wanted"] = wanted;
    MemoryStore memory(account);
    {
        NoPlane nothing;
        Requests requests(account, memory, nothing);
        for (const char* what : {"Sessions", "Targets", "Filters", "FilterRules"})
            seen["Store"][what] = requests.handle({std::string("DescribeTrafficMirror") + what})
                                      .body.at(std::string("TrafficMirror") + what);
    }
    if (restart) {
        DriverDevice plane(device);
        Requests requests(account, memory, plane);
        seen["After"] = look_at(file, device);
    }
    std::cout << seen << std::endl;
    return 0;
}

}  // namespace

int main(int argc, char* argv[]) {
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    try {
        if (arguments.size() == 6 && arguments[0] == "serve")
            return serve(arguments[1], arguments[2], arguments[3],
                         unsigned(std::stoul(arguments[4])), std::stoul(arguments[5]));
        if (arguments.size() >= 4 && arguments[0] == "look")
            return look(arguments[1], arguments[2], arguments[3], arguments.size() > 4);
        std::cerr << "usage: crash_host serve|look STATE DEVICE CONFIG [STEP SEED|restart]\n";
        return 2;
    } catch (const std::exception& error) {
        std::cerr << "crash_host: " << error.what() << '\n';
        return 1;
    }
}
