// SPDX-License-Identifier: Apache-2.0
#include "host/service/mapped_device.hpp"

#include <sys/stat.h>

#include "sim/models/register_file.hpp"

namespace mirrornic {

std::optional<MappedDevice::Identity> MappedDevice::identity_of(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return {};
    return Identity{status.st_dev, status.st_ino};
}

MirrorDevice& MappedDevice::open() {
    device_.reset();
    registers_.reset();
    if (card_)
        registers_.reset(new MappedRegisters(MappedRegisters::pci(*card_)));
    else
        registers_ = open_register_file(path_);
    identity_ = identity_of(path_);
    return device_.emplace(*registers_);
}

void MappedDevice::look() {
    if (identity_ && identity_ != identity_of(path_))
        throw DeviceGone("the registers " + path_ + " are gone, or others are in their place");
}

}  // namespace mirrornic
