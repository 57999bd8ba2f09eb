// SPDX-License-Identifier: Apache-2.0
/// The interface of a device that `mirrornic serve` can serve: the device itself, and, where it is
/// simulated, the traffic through it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "driver/mirror_device.hpp"
#include "host/account/network.hpp"
#include "host/base/json_text.hpp"
#include "host/frames/output_file.hpp"

namespace mirrornic {

/// All members except the constructor and close() are called from within run(). One thread uses it.
class ServedDevice {
public:
    virtual ~ServedDevice() = default;

    /// Calls `work` in a place where the device can be used, and returns when `work` has returned.
    /// @throws what `work` throws; SimulationError when the simulation failed
    virtual void run(const std::function<void()>& work) { work(); }
    /// Opens the device. Where may_come_back() is true it is called again when the device was gone;
    /// the MirrorDevice that was given before is invalid then. The result stays owned by this
    /// object.
    /// @throws UnknownDevice, DeviceError, std::runtime_error.
    virtual MirrorDevice& open() = 0;
    /// True: when the device is gone (DeviceGone), open() is tried again. False: the service ends.
    virtual bool may_come_back() const = 0;
    /// Looks whether it is still the device that was opened. @throws DeviceGone when it is not.
    virtual void look() {}

    // --- traffic, where there is any -------------------------------------------------------------

    /// Moves the traffic on, without waiting.
    /// @param more whether there may be a frame to take
    /// @param wake will be called once, from any thread, when there was no frame and may be one now
    /// @return whether the next call has something to do at once. @throws SimulationError.
    virtual bool advance(bool more, const std::function<void()>& wake) {
        static_cast<void>(more), static_cast<void>(wake);
        return false;
    }
    /// To be called before the tables change. Returns when the tables that are in force have
    /// handled every frame that was taken so far (T2, S8).
    virtual void settle() {}
    /// Taps the frames that come from now on at the interfaces of this network.
    virtual void take_network(const std::shared_ptr<const Network>& network) {
        static_cast<void>(network);
    }
    /// Returns when all frames and copies have come out. Then keeps the counters for statistics().
    virtual void finish() {}
    /// The counters as finish() found them, JSON; nothing: there is no traffic.
    virtual std::optional<OrderedJson> statistics() const { return {}; }
    /// The state of each output file; nothing: there is no traffic.
    virtual std::optional<std::vector<OutputState>> outputs() const { return {}; }
    /// What ended the traffic, if that was a damaged capture; for Health::Cause::output.
    virtual std::optional<std::string> input_trouble() const { return {}; }
    /// Ends the outputs, within a second.
    virtual void close() {}
};

}  // namespace mirrornic
