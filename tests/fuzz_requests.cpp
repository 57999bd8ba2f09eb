// SPDX-License-Identifier: Apache-2.0
/// Any bytes as a file of requests to an account whose objects name interfaces that are not there,
/// while others come and go: RequestFileError, or requests that are all answered (S7), and whose
/// changes leave the tables that the account asks for (S8, H2). A libFuzzer entry (./dev fuzz
/// requests).
#include <cstdint>
#include <cstdlib>

#include "holes.hpp"
#include "host/configuration/configuration.hpp"
#include "host/requests/request_script.hpp"
#include "table_text.hpp"

using namespace mirrornic;

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

struct Plane : Device {
    Staged stage(const TableState& desired, const Touched*) override {
        return std::make_shared<const TableState>(desired);
    }
    void commit(const Staged&) override {}
};

using NetworkPointer = std::shared_ptr<const Network>;

/// All that there is, and what may be left of it.
const std::vector<NetworkPointer>& networks() {
    const auto network = [](const std::string& text) {
        return parse_configuration({{"a.json", text}}).account.network();
    };
    static const std::string first =
        R"({"NetworkInterfaceId": "eni-1", "MacAddress": "02:00:00:00:00:01",
            "PrivateIpAddress": "10.0.0.1", "VpcId": "vpc-1"})";
    static const std::string first_v6 =
        R"({"NetworkInterfaceId": "eni-1", "MacAddress": "02:00:00:00:00:01", "VpcId": "vpc-gone",
            "Ipv6Addresses": [{"Ipv6Address": "2001:db8::1"}]})";
    static const std::string second =
        R"({"NetworkInterfaceId": "eni-2", "MacAddress": "02:00:00:00:00:02",
            "PrivateIpAddress": "10.0.0.2", "Ipv6Addresses": [{"Ipv6Address": "2001:db8::2"}]})";
    static const std::string vpc = R"("Vpcs": [{"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/16"}])";
    const auto with = [&](const std::string& interfaces, const std::string& more) {
        return network("{\"NetworkInterfaces\": [" + interfaces + "]" + more + "}");
    };
    static const std::vector<NetworkPointer> all{
        with(first + "," + second, "," + vpc), with(first, ""), with(second, "," + vpc),
        with(first_v6 + "," + second, ""), std::make_shared<const Network>()};
    return all;
}

Account with_holes() {
    Account account;
    account.take_network(networks().front());
    Change change = test::holes("eni-1", "eni-2", 30000);
    account.apply(change);
    return account;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    try {
        auto file =
            RequestFile::parse("r.jsonl", std::string(reinterpret_cast<const char*>(data), size));
        static const Account account = with_holes();
        MemoryStore store{account};
        Plane plane;
        Settings settings;
        settings.now = [] { return std::chrono::system_clock::time_point{}; };
        Requests requests{store.load(), store, plane, settings};
        for (std::size_t n = 0; file.remaining() != 0; ++n) {
            // The input decides which networks follow each other.
            const std::size_t next = data[(n * 31 + 7) % size] % (2 * networks().size());
            requests.replace_network(networks()[next < networks().size() ? next : 0]);
            require(describe(requests.tables()) == describe(table_state(requests.account())));
            for (const auto& disabled : requests.disabled()) require(!disabled.why.empty());
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
