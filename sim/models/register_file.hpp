// SPDX-License-Identifier: Apache-2.0
/// The register model in a file: a device whose tables outlive the process that drives it.
///
/// A process that is killed at any moment leaves the tables before or after a commit, whole. The
/// rest of the device (staging, counters, errors) begins as after a reset with each opening. What
/// a power cut leaves is not defined, as of a device in hardware.
///
/// The file, numbers of 32 bits in this host's order: a header; two records of a commit each,
/// checksummed, written in turn; the image of all tables. A commit is done once its record is
/// whole; the image follows, and is brought up to the newer record when the file is opened.
#pragma once

#include <memory>
#include <string>

#include "sim/models/register_model.hpp"

namespace mirrornic {

class RegisterFile : public RegisterModel {
public:
    /// Opens the file, or makes it (mode 0600), and takes an advisory lock on it (flock), which
    /// ends with the object. A write of COMMIT that the file cannot take throws std::runtime_error;
    /// the commit is then not done.
    /// @throws std::runtime_error when the file cannot be opened, holds something else, was made
    /// for another register map, or is locked; the message says by which process.
    explicit RegisterFile(const std::string& path);
    ~RegisterFile() override;
    RegisterFile(const RegisterFile&) = delete;
    RegisterFile& operator=(const RegisterFile&) = delete;

    /// The file is this model's, empty, or not there.
    static bool is_one(const std::string& path);

private:
    using Words = std::vector<std::uint32_t>;
    void open();
    void before_commit(std::uint32_t bits) override;
    void load_image();
    void write_image(const Words& record);
    void read_at(std::uint64_t offset, Words& words) const;
    void write_at(std::uint64_t offset, const std::uint32_t* words, std::size_t count) const;
    /// Where a table's entry begins in the image: a word that says whether it was ever written,
    /// then its own.
    std::uint64_t place_of(const Table& table, std::uint32_t index) const;

    std::string name_;
    int file_;
    Words latest_;         ///< record of the last commit
    bool behind_ = false;  ///< the image may lack it
    Table* const tables_[4] = {&interfaces_, &filters_, &sessions_, &services_};
};

/// The device at a path: a RegisterFile, or where the file exists and is none, MappedRegisters.
std::unique_ptr<RegisterAccess> open_register_file(const std::string& path);

}  // namespace mirrornic
