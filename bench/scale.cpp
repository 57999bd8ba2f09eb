// SPDX-License-Identifier: Apache-2.0
// Ten thousand sessions: the request layer with its SQLite file over the register-level model of a
// device with tables of that size (this program is built with a register map of 4096 interfaces and
// 16,384 session entries). Prints one line of JSON. The argument is a folder on a disk.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <memory>

#include "driver/mirror_device.hpp"
#include "host/account/driver_device.hpp"
#include "host/api/query_protocol.hpp"
#include "host/configuration/configuration.hpp"
#include "host/requests/request_service.hpp"
#include "host/store/sqlite_store.hpp"
#include "sim/models/register_model.hpp"

using namespace mirrornic;

namespace {

constexpr unsigned sessions = 10000, per_source = 3, sources_per_target = 10, pages = 200;
constexpr unsigned sources = (sessions + per_source - 1) / per_source;
constexpr unsigned targets = (sources + sources_per_target - 1) / sources_per_target;

std::string interface_name(char kind, unsigned i) {
    char name[22];
    std::snprintf(name, sizeof name, "eni-%c%016x", kind, i);
    return name;
}

std::shared_ptr<const Network> network() {
    Json list = Json::array();
    for (const char kind : {'a', 'b'})
        for (unsigned i = 0; i < (kind == 'a' ? sources : targets); ++i) {
            char mac[18];
            std::snprintf(mac, sizeof mac, "02:00:%02x:00:%02x:%02x", unsigned(kind), i >> 8,
                          i & 255);
            list.push_back(
                {{"NetworkInterfaceId", interface_name(kind, i)},
                 {"MacAddress", mac},
                 {"PrivateIpAddress", "10." + std::to_string(kind) + "." + std::to_string(i >> 8) +
                                          "." + std::to_string(i & 255)}});
        }
    return parse_configuration({{"network", to_text({{"NetworkInterfaces", list}})}})
        .account.network();
}

template <class Act>
double seconds(Act act) {
    const auto start = std::chrono::steady_clock::now();
    act();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Everything that a process has.
struct Host {
    Host(const std::filesystem::path& file, RegisterModel& registers)
        : device(registers),
          plane(device),
          store(file, SqliteStore::Access::read_write,
                SqliteStore::Owner{"000000000000", "us-east-1"}) {
        Account account = store.load();
        account.take_network(network());
        requests.emplace(std::move(account), store, plane);
    }
    Json call(const std::string& action, const Json& parameters) {
        Reply reply = requests->handle(Request{action, parameters});
        if (!reply.ok())
            throw std::runtime_error(action + ": " + reply.code + ": " + reply.message);
        return std::move(reply.body);
    }

    MirrorDevice device;
    DriverDevice plane;
    SqliteStore store;
    std::optional<Requests> requests;
};

}  // namespace

int main(int argc, char* argv[]) {
    if (argc != 2) {
        std::cerr << "usage: bench_scale FOLDER\n";
        return 2;
    }
    try {
        const auto file = std::filesystem::path(argv[1]) / "state.sqlite";
        RegisterModel registers;
        Json thousands = Json::array();
        double page_p99 = 0;
        {
            Host host(file, registers);
            const std::string filter =
                host.call("CreateTrafficMirrorFilter",
                          Json::object())["TrafficMirrorFilter"]["TrafficMirrorFilterId"];
            for (unsigned i = 1; i <= 10; ++i)
                host.call("CreateTrafficMirrorFilterRule", {{"TrafficMirrorFilterId", filter},
                                                            {"TrafficDirection", "ingress"},
                                                            {"RuleNumber", i},
                                                            {"RuleAction", "accept"},
                                                            {"SourceCidrBlock", "10.0.0.0/8"},
                                                            {"DestinationCidrBlock", "0.0.0.0/0"}});
            std::vector<std::string> ids;
            for (unsigned i = 0; i < targets; ++i)
                ids.push_back(host.call(
                    "CreateTrafficMirrorTarget",
                    {{"NetworkInterfaceId",
                      interface_name('b', i)}})["TrafficMirrorTarget"]["TrafficMirrorTargetId"]);
            for (unsigned from = 0; from < sessions; from += 1000)
                thousands.push_back(seconds([&] {
                    for (unsigned n = from; n < from + 1000; ++n)
                        host.call(
                            "CreateTrafficMirrorSession",
                            {{"NetworkInterfaceId", interface_name('a', n / per_source)},
                             {"TrafficMirrorTargetId", ids[n / per_source / sources_per_target]},
                             {"TrafficMirrorFilterId", filter},
                             {"SessionNumber", n % per_source + 1},
                             {"ClientToken", "token-" + std::to_string(n)}});
                }));
            const Action& action = *find_action("DescribeTrafficMirrorSessions");
            std::vector<double> times;
            Json parameters = {{"MaxResults", 1000}};
            for (unsigned i = 0; i < pages; ++i)
                times.push_back(seconds([&] {
                    const Json page = host.call(action.name, parameters);
                    if (page["TrafficMirrorSessions"].size() != 1000)
                        throw std::runtime_error("a page is short");
                    reply_xml(action, page, "id");
                    parameters.erase("NextToken");
                    if (page.contains("NextToken")) parameters["NextToken"] = page["NextToken"];
                }));
            std::sort(times.begin(), times.end());
            page_p99 = times[std::size_t(0.99 * (pages - 1))];
        }
        // A process that starts again: the device has kept its tables.
        const double restart = seconds([&] {
            Host host(file, registers);
            if (host.requests->tables().sessions.size() != sessions)
                throw std::runtime_error("sessions are missing");
        });
        rusage usage{};
        getrusage(RUSAGE_SELF, &usage);
        std::cout << Json{{"sessions", sessions},
                          {"seconds_by_thousand", thousands},
                          {"last_to_first",
                           thousands.back().get<double>() / thousands.front().get<double>()},
                          {"page_of_1000_p99_ms", page_p99 * 1e3},
                          {"restart_seconds", restart},
                          {"memory_mb", double(usage.ru_maxrss) / 1024}}
                  << '\n';
    } catch (const std::exception& error) {
        std::cerr << "bench_scale: " << error.what() << '\n';
        return 1;
    }
}
