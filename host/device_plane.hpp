// SPDX-License-Identifier: Apache-2.0
/// A MirrorDevice as the request layer's data plane.
#pragma once

#include "../driver/mirror_device.hpp"
#include "data_plane.hpp"

namespace mirrornic {

class DevicePlane : public DataPlane {
public:
    explicit DevicePlane(MirrorDevice& device) : device_(device) {}
    TableSizes sizes() const override { return device_.sizes(); }
    Staged stage(const TableState& desired, const Touched* touched) override {
        return device_.plan(desired, touched);
    }
    void commit(const Staged& staged) override {
        device_.commit(std::static_pointer_cast<const MirrorDevice::Plan>(staged));
    }

private:
    MirrorDevice& device_;
};

}  // namespace mirrornic
