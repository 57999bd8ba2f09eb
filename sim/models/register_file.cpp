// SPDX-License-Identifier: Apache-2.0
#include "sim/models/register_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <stdexcept>

#include "driver/access/file_lock.hpp"
#include "driver/access/mapped_registers.hpp"

namespace mirrornic {
namespace {

constexpr char magic[] = "mirrornic registers 1\n";  // of the file; zeros and the map's hash follow
constexpr std::size_t hash_at = 8;                   // words
constexpr std::size_t header_words = 16;
constexpr std::uint64_t block = 4096;  // bytes: the header's, a record's
constexpr std::size_t record_words = block / 4;
constexpr std::uint64_t image_at = 3 * block;

// The words of a record: commit sequence, low half first; the bits written to COMMIT; source ports;
// the index of each table; the entries that are committed, of the tables that the bits name;
// checksum.
constexpr std::size_t sequence_at = 0, bits_at = 2, source_ports_at = 3, indices_at = 4,
                      entries_at = 8, checksum_at = record_words - 1;

using Header = std::array<std::uint32_t, header_words>;

Header header() {
    Header words{};
    std::memcpy(words.data(), magic, sizeof magic);
    words[hash_at] = registers::hash_value;
    return words;
}

std::uint32_t checksum_of(const std::vector<std::uint32_t>& record) {
    return std::uint32_t(
        ::crc32(1, reinterpret_cast<const Bytef*>(record.data()), uInt(checksum_at * 4)));
}

std::uint64_t sequence_of(const std::vector<std::uint32_t>& record) {
    return std::uint64_t{record[sequence_at + 1]} << 32 | record[sequence_at];
}

std::uint64_t record_place(std::uint64_t sequence) { return block * (1 + sequence % 2); }

std::string error_text() { return std::strerror(errno); }

}  // namespace

RegisterFile::RegisterFile(const std::string& path)
    : name_("the registers " + path),
      file_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {
    if (file_ < 0) throw std::runtime_error(name_ + " cannot be opened: " + error_text());
    try {
        open();
    } catch (...) {
        ::close(file_);
        throw;
    }
}

RegisterFile::~RegisterFile() { ::close(file_); }

bool RegisterFile::is_one(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return errno == ENOENT;
    if (!S_ISREG(status.st_mode)) return false;
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    char start[sizeof magic] = {};
    const auto size = ::read(file, start, sizeof start);
    ::close(file);
    return size == 0 || std::memcmp(start, magic, sizeof magic) == 0;
}

void RegisterFile::open() {
    lock_file(file_, name_);
    struct stat status {};
    if (::fstat(file_, &status) != 0)
        throw std::runtime_error(name_ + " cannot be examined: " + error_text());
    const Header wanted = header();
    if (status.st_size == 0) write_at(0, wanted.data(), wanted.size());
    Words held(header_words);
    read_at(0, held);
    if (std::memcmp(held.data(), magic, sizeof magic) != 0)
        throw std::runtime_error(name_ + " are no file of mirrornic's register model");
    if (held[hash_at] != wanted[hash_at]) {
        char both[64];
        std::snprintf(both, sizeof both, "0x%08x, this program's is 0x%08x",
                      unsigned(held[hash_at]), unsigned(wanted[hash_at]));
        throw std::runtime_error(name_ + " were made for register map hash " + both +
                                 "; remove the file to begin with empty tables");
    }
    // Reserves room for all that will ever be written. Until it is written it reads as zero.
    const auto end = place_of(*tables_[3], std::uint32_t(tables_[3]->entries.size()));
    if (std::uint64_t(status.st_size) < end)
        if (const int error = ::posix_fallocate(file_, 0, off_t(end)); error != 0)
            throw std::runtime_error(name_ + " cannot be made: " + std::strerror(error));

    for (std::uint64_t parity = 0; parity < 2; ++parity) {
        Words record(record_words);
        read_at(record_place(parity), record);
        if (sequence_of(record) > sequence_ && record[checksum_at] == checksum_of(record)) {
            sequence_ = sequence_of(record);
            latest_ = std::move(record);
        }
    }
    if (latest_.empty()) return;
    source_ports_ = latest_[source_ports_at];
    write_image(latest_);
    load_image();
}

std::uint64_t RegisterFile::place_of(const Table& table, std::uint32_t index) const {
    std::uint64_t words = 0;
    for (const Table* each : tables_) {
        const std::uint64_t stride = 1 + each->registers.size();
        if (each == &table) return image_at + 4 * (words + stride * index);
        words += stride * each->entries.size();
    }
    throw std::logic_error("no table of this device");
}

void RegisterFile::load_image() {
    for (Table* table : tables_) {
        const std::size_t stride = 1 + table->registers.size();
        Words image(stride * table->entries.size());
        read_at(place_of(*table, 0), image);
        for (std::size_t i = 0; i < table->entries.size(); ++i)
            if (const auto* words = &image[stride * i]; *words != 0)
                std::copy(words + 1, words + stride, table->entries[i].begin());
    }
}

void RegisterFile::write_image(const Words& record) {
    const std::uint32_t* words = &record[entries_at];
    for (std::size_t i = 0; i < std::size(tables_); ++i) {
        const Table& table = *tables_[i];
        if (!(record[bits_at] & table.bit)) continue;
        Words entry{1};
        entry.insert(entry.end(), words, words + table.registers.size());
        words += table.registers.size();
        write_at(place_of(table, record[indices_at + i]), entry.data(), entry.size());
    }
}

void RegisterFile::before_commit(std::uint32_t bits) {
    if (behind_) write_image(latest_);
    behind_ = false;
    Words record(record_words);
    const std::uint64_t next = sequence_ + 1;
    record[sequence_at] = std::uint32_t(next);
    record[sequence_at + 1] = std::uint32_t(next >> 32);
    record[bits_at] = bits;
    record[source_ports_at] = registers::commit::source_ports.of(bits)
                                  ? staged(registers::source_ports::address())
                                  : source_ports_;
    std::size_t at = entries_at;
    for (std::size_t i = 0; i < std::size(tables_); ++i) {
        const Table& table = *tables_[i];
        record[indices_at + i] = staged(table.index_register);
        if (!(bits & table.bit)) continue;
        for (const auto address : table.registers) record.at(at++) = staged(address);
    }
    record[checksum_at] = checksum_of(record);
    write_at(record_place(next), record.data(), record.size());
    latest_ = std::move(record);
    try {
        write_image(latest_);
    } catch (const std::exception&) {
        behind_ = true;  // the commit is done nevertheless
    }
}

void RegisterFile::read_at(std::uint64_t offset, Words& words) const {
    auto* bytes = reinterpret_cast<char*>(words.data());
    const std::size_t size = words.size() * 4;
    for (std::size_t done = 0; done < size;) {
        const auto count = ::pread(file_, bytes + done, size - done, off_t(offset + done));
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0)
            throw std::runtime_error(
                name_ + " cannot be read: " + (count < 0 ? error_text() : "the file ends early"));
        done += std::size_t(count);
    }
}

void RegisterFile::write_at(std::uint64_t offset, const std::uint32_t* words,
                            std::size_t count) const {
    const auto* bytes = reinterpret_cast<const char*>(words);
    for (std::size_t done = 0; done < count * 4;) {
        const auto written = ::pwrite(file_, bytes + done, count * 4 - done, off_t(offset + done));
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) throw std::runtime_error(name_ + " cannot be written: " + error_text());
        done += std::size_t(written);
    }
}

std::unique_ptr<RegisterAccess> open_register_file(const std::string& path) {
    if (RegisterFile::is_one(path)) return std::make_unique<RegisterFile>(path);
    return std::make_unique<MappedRegisters>(path);
}

}  // namespace mirrornic
