// SPDX-License-Identifier: Apache-2.0
/// The device as the request layer sees it: tables that are prepared, and then put in force at
/// once. Source: docs/behaviour.md rules T2, S8.
#pragma once

#include <memory>

#include "driver/mirror_device.hpp"

namespace mirrornic {

/// What takes the tables: a MirrorDevice, or a stand-in for it in a test.
class Device {
public:
    using Staged = std::shared_ptr<const void>;

    virtual ~Device() = default;
    virtual TableSizes sizes() const { return {~0u, ~0u, ~0u, ~0u, ~0u, ~0u}; }
    /// Checks that `desired` can be held and prepares it. Changes nothing.
    /// @param touched what may differ from what was committed last; null: anything
    /// @throws TableFull.
    virtual Staged stage(const TableState& desired, const Touched* touched) = 0;
    /// In force for every frame that enters after the call returns.
    /// @throws std::exception when the device failed.
    virtual void commit(const Staged& staged) = 0;
    /// Returns when the device takes a commit, one that changes nothing. @throws std::exception.
    virtual void probe() {}
};

}  // namespace mirrornic
