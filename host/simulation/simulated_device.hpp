// SPDX-License-Identifier: Apache-2.0
/// The simulated offload, with a capture's traffic, as a device of `mirrornic serve`.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/api/log.hpp"
#include "host/service/served_device.hpp"
#include "host/simulation/simulated_traffic.hpp"

namespace mirrornic {

class SimulatedDevice : public ServedDevice {
public:
    /// Opens the files. @throws CaptureError, std::invalid_argument.
    /// @param log gets what there is to say of the capture when it ends
    SimulatedDevice(const TrafficOptions& options, const std::shared_ptr<const Network>& network,
                    Log log);

    void run(const std::function<void()>& work) override;
    MirrorDevice& open() override { return traffic_.open(); }
    /// False: when the simulation fails, the service ends.
    bool may_come_back() const override { return false; }
    bool advance(bool more, const std::function<void()>& wake) override;
    void settle() override { traffic_.settle_indices(); }
    void take_network(const std::shared_ptr<const Network>& network) override {
        traffic_.take_network(network);
    }
    void finish() override;
    std::optional<OrderedJson> statistics() const override { return statistics_; }
    std::optional<std::vector<OutputState>> outputs() const override { return traffic_.outputs(); }
    std::optional<std::string> input_trouble() const override { return input_trouble_; }
    void close() override { traffic_.close(); }

private:
    const Traffic::Frame* next_frame(const std::function<void()>& wake);

    const Log log_;
    Traffic traffic_;
    bool flushed_ = true;  ///< all that was fed has come out and was given to the operating system
    bool told_of_end_;     ///< the end of the capture was logged, or there is no capture
    std::optional<std::string> input_trouble_;  ///< what ended the capture, if it was damage
    std::optional<OrderedJson> statistics_;
};

}  // namespace mirrornic
