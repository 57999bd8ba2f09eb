// SPDX-License-Identifier: Apache-2.0
/// The register model in a file: a device whose tables outlive the process that drives it. It has
/// no data plane.
///
/// If the process is killed at any moment, the file holds the tables as they were before a commit
/// or after it, whole. The rest of the device (staging, counters, errors) starts as after a reset
/// each time the file is opened. What a power cut leaves is not defined, as with a device in
/// hardware.
///
/// Layout, in 32-bit numbers of this host's byte order: a header; two records, each of one commit
/// with a checksum, written in turn; the image of all tables. A commit is done once its record is
/// whole. The image is written after that. When the file is opened, the image is brought up to the
/// newer record.
#pragma once

#include <memory>
#include <string>

#include "sim/models/register_model.hpp"

namespace mirrornic {

class RegisterFile : public RegisterModel {
public:
    /// Opens the file, or makes it (mode 0600), and takes an advisory lock on it (flock), which
    /// ends with the object. If the file cannot take a commit, the write of COMMIT throws
    /// std::runtime_error and the commit is not done.
    /// @throws std::runtime_error when the file cannot be opened, holds something else, was made
    /// for another register map, or is locked; the message says by which process.
    explicit RegisterFile(const std::string& path);
    ~RegisterFile() override;
    RegisterFile(const RegisterFile&) = delete;
    RegisterFile& operator=(const RegisterFile&) = delete;

    /// Whether open() can take it: the file is one of this class, is empty, or does not exist.
    static bool is_one(const std::string& path);

private:
    using Words = std::vector<std::uint32_t>;
    void open();
    void before_commit(std::uint32_t bits) override;
    void load_image();
    void write_image(const Words& record);
    void read_at(std::uint64_t offset, Words& words) const;
    void write_at(std::uint64_t offset, const std::uint32_t* words, std::size_t count) const;
    /// Where an entry of a table begins in the image: first a word that says whether the entry was
    /// ever written, then the entry's words.
    std::uint64_t place_of(const Table& table, std::uint32_t index) const;

    std::string name_;
    int file_;
    Words latest_;         ///< record of the last commit
    bool behind_ = false;  ///< the image may lack that commit
    Table* const tables_[4] = {&interfaces_, &filters_, &sessions_, &services_};
};

/// Opens the device at a path: MappedRegisters if the file exists and is no RegisterFile, otherwise
/// a RegisterFile.
std::unique_ptr<RegisterAccess> open_register_file(const std::string& path);

}  // namespace mirrornic
