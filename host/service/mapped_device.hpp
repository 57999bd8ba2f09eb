// SPDX-License-Identifier: Apache-2.0
/// A device whose registers are mapped: a card, or a file in place of one. Its traffic does not go
/// through this process.
/// Source: docs/behaviour.md rule V2.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "driver/access/mapped_registers.hpp"
#include "host/service/served_device.hpp"

namespace mirrornic {

class MappedDevice : public ServedDevice {
public:
    /// A register file, or any other file that can be mapped (open_register_file).
    explicit MappedDevice(std::string path) : path_(std::move(path)) {}
    explicit MappedDevice(const PciLocation& card) : card_(card), path_(card.file()) {}

    MirrorDevice& open() override;
    bool may_come_back() const override { return true; }
    /// When the path now names another file, the device that was opened counts as gone.
    void look() override;

private:
    using Identity = std::pair<dev_t, ino_t>;
    /// Device and inode, which tell files apart; nothing: there is no such file.
    static std::optional<Identity> identity_of(const std::string& path);

    std::optional<PciLocation> card_;  ///< nothing: it is a file
    std::string path_;
    std::optional<Identity> identity_;  ///< of the file that was opened
    std::unique_ptr<RegisterAccess> registers_;
    std::optional<MirrorDevice> device_;
};

}  // namespace mirrornic
