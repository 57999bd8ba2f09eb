// SPDX-License-Identifier: Apache-2.0
/// A MirrorDevice as the device of the request layer.
#pragma once

#include "driver/mirror_device.hpp"
#include "host/account/device.hpp"

namespace mirrornic {

class DriverDevice : public Device {
public:
    explicit DriverDevice(MirrorDevice& device) { use(&device); }
    /// Another device from now on; null: it is gone, and every call but sizes() throws DeviceGone.
    void use(MirrorDevice* device) {
        device_ = device;
        if (device) sizes_ = device->sizes();
    }
    TableSizes sizes() const override { return sizes_; }
    Staged stage(const TableState& desired, const Touched* touched) override {
        return device().plan(desired, touched);
    }
    void commit(const Staged& staged) override {
        device().commit(std::static_pointer_cast<const MirrorDevice::Plan>(staged));
    }
    void probe() override { device().probe(); }

private:
    MirrorDevice& device() const {
        if (!device_) throw DeviceGone("the device is gone; it is used again when it is back");
        return *device_;
    }
    MirrorDevice* device_ = nullptr;
    TableSizes sizes_{};
};

}  // namespace mirrornic
