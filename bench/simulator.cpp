// SPDX-License-Identifier: Apache-2.0
#include "simulator.hpp"

#include <chrono>
#include <ctime>
#include <iostream>
#include <map>
#include <sstream>

#include "driver/mirror_device.hpp"
#include "host/base/json_text.hpp"
#include "host/frames/capture_file.hpp"

namespace mirrornic::bench {
namespace {

class Recorder : public RegisterAccess {
public:
    explicit Recorder(RegisterAccess& registers) : registers_(registers) {}
    void write(std::uint32_t address, std::uint32_t value) override {
        registers_.write(address, value);
        operations_.push_back({"write", address, value});
    }
    std::uint32_t read(std::uint32_t address) override {
        const std::uint32_t value = registers_.read(address);
        operations_.push_back({"read", address, value});
        return value;
    }
    Json take() { return std::exchange(operations_, Json::array()); }

private:
    RegisterAccess& registers_;
    Json operations_ = Json::array();
};

/// Two interfaces with three sessions of full rule lists each. Of the first, the last two rules of
/// the last session accept all IPv6 and all IPv4; of the second, they reject it. No other rule
/// matches.
TableState two_interfaces() {
    TableState state = full_tables(false, {});
    const auto ending = [&](bool accept) {
        auto filter = std::make_shared<Filter>(*state.filters.at("f2"));
        for (auto* rules : {&filter->ingress, &filter->egress}) {
            for (const std::size_t last : {14, 15}) {
                Rule& rule = rules->at(last);
                rule.accept = accept;
                rule.source = rule.destination = Cidr::parse(last == 14 ? "::/0" : "0.0.0.0/0");
                rule.protocol.reset();
                rule.destination_ports.reset();
            }
        }
        return filter;
    };
    state.filters["reject"] = ending(false);
    state.filters["f2"] = ending(true);
    state.interfaces["nothing"] = {};
    for (int i = 0; i < 3; ++i) {
        Session session = state.sessions.at("s" + std::to_string(i));
        session.interface = "nothing";
        if (i == 2) session.filter = "reject";
        session.vni += 10;
        state.sessions["n" + std::to_string(i)] = session;
    }
    return state;
}

std::vector<Bytes> read_frames(const std::string& file) {
    std::vector<Bytes> frames;
    CaptureReader reader(file);
    for (CaptureReader::Frame frame; reader.next(frame);)
        frames.emplace_back(frame.data, frame.data + frame.size);
    return frames;
}

Json run(Simulator& simulator, const std::vector<Bytes>& frames, std::uint64_t count,
         std::uint32_t index) {
    CopyHash copies;
    const std::uint64_t cycle = simulator.cycle();
    const std::clock_t cpu = std::clock();
    const auto start = std::chrono::steady_clock::now();
    simulator.run(frames, count, index, copies);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    return {{"seconds", elapsed.count()},
            {"cpu_seconds", static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC},
            {"cycles", simulator.cycle() - cycle},
            {"copies", copies.copies},
            {"bytes", copies.bytes},
            {"hash", copies.hash}};
}

}  // namespace

void serve(Simulator& simulator) {
    Recorder recorder(simulator.registers());
    MirrorDevice device(recorder);
    device.apply(two_interfaces());
    const Json programming{{"program", recorder.take()},
                           {"selected", device.interface_index("eni")},
                           {"nothing", device.interface_index("nothing")}};
    std::map<std::string, std::vector<Bytes>> files;
    for (std::string line, command; std::getline(std::cin, line);) {
        std::istringstream words(line);
        words >> command;
        if (command == "operations") {
            std::cout << programming << std::endl;
        } else if (command == "counters") {
            device.counters();
            std::cout << recorder.take() << std::endl;
        } else if (command == "run") {
            std::string file;
            std::uint64_t count = 0;
            std::uint32_t index = 0;
            words >> file >> count >> index;
            if (!words)
                throw std::invalid_argument("after `run` come a file, a count and an index: " +
                                            line);
            if (!files.count(file)) files[file] = read_frames(file);
            std::cout << run(simulator, files[file], count, index) << std::endl;
        } else {
            throw std::invalid_argument("there is no command " + line);
        }
    }
}

}  // namespace mirrornic::bench
