// SPDX-License-Identifier: Apache-2.0
/// A MirrorDevice as the request layer's data plane.
#pragma once

#include <functional>

#include "../driver/mirror_device.hpp"
#include "data_plane.hpp"

namespace mirrornic {

class DevicePlane : public DataPlane {
public:
    /// Does a job where the device may be touched; back when it is done, with what it threw.
    using Turn = std::function<void(const std::function<void()>&)>;

    explicit DevicePlane(
        MirrorDevice& device, Turn turn = [](const auto& job) { job(); })
        : device_(device), turn_(std::move(turn)) {}

    Staged stage(const TableState& desired, const Touched* touched) override {
        Staged staged;
        turn_([&] { staged = device_.plan(desired, touched); });
        return staged;
    }
    void commit(const Staged& staged) override {
        turn_([&] { device_.commit(std::static_pointer_cast<const MirrorDevice::Plan>(staged)); });
    }
    Counters counters() {
        Counters counters;
        turn_([&] { counters = device_.counters(); });
        return counters;
    }

private:
    MirrorDevice& device_;
    Turn turn_;
};

}  // namespace mirrornic
