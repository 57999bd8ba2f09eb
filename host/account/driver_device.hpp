// SPDX-License-Identifier: Apache-2.0
/// Gives the request layer a MirrorDevice as its Device.
#pragma once

#include "driver/mirror_device.hpp"
#include "host/account/device.hpp"

namespace mirrornic {

class DriverDevice : public Device {
public:
    /// @param device not owned; must be valid until use() is called again
    explicit DriverDevice(MirrorDevice& device) { use(&device); }
    /// Uses another device from now on. Null: the device is gone, and every call except sizes()
    /// throws DeviceGone; sizes() gives those of the last device.
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
