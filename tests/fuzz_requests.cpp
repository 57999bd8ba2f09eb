// SPDX-License-Identifier: Apache-2.0
/// Any bytes as a file of requests: RequestFileError, or requests that are all answered (S7), and
/// whose changes leave the tables that the account asks for (S8). A libFuzzer entry (./dev fuzz
/// requests).
#include <cstdint>
#include <cstdlib>

#include "../host/configuration.hpp"
#include "../host/request_file.hpp"
#include "table_text.hpp"

using namespace mirrornic;

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

struct Plane : DataPlane {
    Staged stage(const TableState& desired, const Touched*) override {
        return std::make_shared<const TableState>(desired);
    }
    void commit(const Staged&) override {}
};

const Account& network() {
    static const Account account = parse_configuration({{"a.json", R"({"NetworkInterfaces": [
        {"NetworkInterfaceId": "eni-1", "MacAddress": "02:00:00:00:00:01",
         "PrivateIpAddress": "10.0.0.1", "VpcId": "vpc-1"},
        {"NetworkInterfaceId": "eni-2", "MacAddress": "02:00:00:00:00:02",
         "PrivateIpAddress": "10.0.0.2", "Ipv6Addresses": [{"Ipv6Address": "2001:db8::2"}]}],
        "Vpcs": [{"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/16"}]})"}})
                                       .account;
    return account;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    try {
        auto file =
            RequestFile::parse("r.jsonl", std::string(reinterpret_cast<const char*>(data), size));
        MemoryStore store{network()};
        Plane plane;
        Settings settings;
        settings.now = [] { return std::chrono::system_clock::time_point{}; };
        Requests requests{store.load(), store, plane, settings};
        while (file.remaining() != 0) {
            const auto before = describe(requests.tables());
            const RequestOutcome outcome = file.perform_next(requests);
            require(outcome.reply.code != "InternalError" && outcome.reply.code != "Unavailable");
            require(outcome.good == outcome.complaint.empty());
            require(!to_text(outcome.record()).empty());
            const auto now = describe(requests.tables());
            if (!outcome.reply.ok()) require(now == before);
            require(now == describe(table_state(requests.account())));
        }
    } catch (const RequestFileError& error) {
        require(!std::string(error.what()).empty());
    }
    return 0;
}
