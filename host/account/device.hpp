// SPDX-License-Identifier: Apache-2.0
/// The device as the request layer sees it: the tables are first prepared (stage), then put in
/// force (commit). So what the device has no room for is refused before anything is stored. Source:
/// docs/behaviour.md rules T2, S8.
#pragma once

#include <memory>

#include "driver/mirror_device.hpp"

namespace mirrornic {

/// A device that takes tables: a MirrorDevice, or a test's replacement for one. One thread uses it.
class Device {
public:
    using Staged = std::shared_ptr<const void>;

    virtual ~Device() = default;
    virtual TableSizes sizes() const { return {~0u, ~0u, ~0u, ~0u, ~0u, ~0u}; }
    /// Checks that the device has room for `desired`, and prepares it. Changes nothing there.
    /// @param touched what may differ from the tables that were committed last; null: anything
    /// @return not null; to be given to commit(). @throws TableFull.
    virtual Staged stage(const TableState& desired, const Touched* touched) = 0;
    /// Puts staged tables in force, for every frame that enters after the call returns.
    /// @throws std::exception when the device failed.
    virtual void commit(const Staged& staged) = 0;
    /// Makes a commit that changes nothing, to see whether the device takes one.
    /// @throws std::exception when it does not.
    virtual void probe() {}
};

}  // namespace mirrornic
