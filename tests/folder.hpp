// SPDX-License-Identifier: Apache-2.0
/// A temporary folder for a test, which is deleted with the object.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace mirrornic::test {

struct Folder {
    Folder() {
        std::string name = (std::filesystem::temp_directory_path() / "mirrornicXXXXXX").string();
        if (!::mkdtemp(name.data())) throw std::runtime_error("no temporary folder");
        path = name;
    }
    ~Folder() { std::filesystem::remove_all(path); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;

    std::filesystem::path operator/(const std::string& name) const { return path / name; }

    std::filesystem::path path;
};

}  // namespace mirrornic::test
