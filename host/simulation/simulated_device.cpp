// SPDX-License-Identifier: Apache-2.0
#include "host/simulation/simulated_device.hpp"

namespace mirrornic {

SimulatedDevice::SimulatedDevice(const TrafficOptions& options,
                                 const std::shared_ptr<const Network>& network, Log log)
    : log_(std::move(log)), traffic_(options, network), told_of_end_(!options.in) {}

void SimulatedDevice::run(const std::function<void()>& work) { traffic_.board().run(work); }

bool SimulatedDevice::advance(bool more, const std::function<void()>& wake) {
    auto& offload = traffic_.board().offload();
    if (offload.failure()) std::rethrow_exception(offload.failure());
    if (const Traffic::Frame* frame = more ? next_frame(wake) : nullptr) {
        traffic_.feed(*frame);
        flushed_ = false;
        return true;
    }
    if (!flushed_) {
        offload.wait_until_idle();
        traffic_.flush();
        flushed_ = true;
    }
    if (!told_of_end_ && traffic_.ended()) {
        told_of_end_ = true;
        for (const auto& sentence : traffic_.warnings()) log_(LogLevel::warning, sentence, {});
        log_(LogLevel::info, "the capture has ended", {{"frames", traffic_.frames()}});
    }
    return false;
}

/// Takes the next frame. A damaged capture ends the traffic, but not the service.
const Traffic::Frame* SimulatedDevice::next_frame(const std::function<void()>& wake) {
    try {
        return traffic_.poll(wake);
    } catch (const CaptureError& error) {
        traffic_.end_capture();
        input_trouble_ = error.what();
        return nullptr;
    }
}

void SimulatedDevice::finish() {
    traffic_.board().offload().wait_until_idle();
    statistics_ = traffic_.statistics();
}

}  // namespace mirrornic
