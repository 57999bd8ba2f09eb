// SPDX-License-Identifier: Apache-2.0
/// A device behind mapped registers, without traffic of ours: a card, or a file in its place.
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
    /// A register file, or another file that is mapped (open_register_file).
    explicit MappedDevice(std::string path) : path_(std::move(path)) {}
    explicit MappedDevice(const PciLocation& card) : card_(card), path_(card.file()) {}

    MirrorDevice& open() override;
    bool may_come_back() const override { return true; }
    /// Another file in the place of the one that was opened counts as gone.
    void look() override;

private:
    using Identity = std::pair<dev_t, ino_t>;
    /// Nothing: there is no such file.
    static std::optional<Identity> identity_of(const std::string& path);

    std::optional<PciLocation> card_;
    std::string path_;
    std::optional<Identity> identity_;  ///< of the file that was opened
    std::unique_ptr<RegisterAccess> registers_;
    std::optional<MirrorDevice> device_;
};

}  // namespace mirrornic
