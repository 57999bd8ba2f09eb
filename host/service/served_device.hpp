// SPDX-License-Identifier: Apache-2.0
/// What `mirrornic serve` stands in front of: a device that the driver reaches, and, where the
/// device is simulated, the traffic through it.
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

/// All but the constructor and close() is called from within run(). One thread uses it.
class ServedDevice {
public:
    virtual ~ServedDevice() = default;

    /// Calls `work` where the device can be used, and returns when it has returned.
    /// @throws what `work` throws; SimulationError when the simulation failed
    virtual void run(const std::function<void()>& work) { work(); }
    /// Opens the device; where may_come_back(), again when it was gone. What was opened before is
    /// invalid then. @throws UnknownDevice, DeviceError, std::runtime_error.
    virtual MirrorDevice& open() = 0;
    /// A device that is gone (DeviceGone) is worth another open(). Else the service ends with it.
    virtual bool may_come_back() const = 0;
    /// Whether it is still the device that was opened. @throws DeviceGone.
    virtual void look() {}

    // --- traffic, where there is any -------------------------------------------------------------

    /// Moves the traffic on, without waiting.
    /// @param more whether there may be a frame to take
    /// @param wake is called once, from any thread, when there is more after all
    /// @return whether the next call has something to do at once. @throws SimulationError.
    virtual bool advance(bool more, const std::function<void()>& wake) {
        static_cast<void>(more), static_cast<void>(wake);
        return false;
    }
    /// To be called before the tables change: returns when every frame that is in is handled by the
    /// tables as they are (T2, S8).
    virtual void settle() {}
    /// Frames that are fed from now on are tapped at the interfaces of this network.
    virtual void take_network(const std::shared_ptr<const Network>& network) {
        static_cast<void>(network);
    }
    /// Returns when all that is in has come out, and keeps the counters for statistics().
    virtual void finish() {}
    /// The counters as finish() found them, JSON; nothing: there is no traffic.
    virtual std::optional<OrderedJson> statistics() const { return {}; }
    /// Nothing: there is no traffic.
    virtual std::optional<std::vector<OutputState>> outputs() const { return {}; }
    /// What ended the traffic, if it was damage; for Health::Cause::output.
    virtual std::optional<std::string> input_trouble() const { return {}; }
    /// Ends the outputs, within a second.
    virtual void close() {}
};

}  // namespace mirrornic
