// SPDX-License-Identifier: Apache-2.0
/// Any bytes as a capture: frames, or CaptureError. What was read is read again the same once it
/// is written. A libFuzzer entry (./dev fuzz capture).
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <vector>

#include "host/frames/capture_file.hpp"

using namespace mirrornic;

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

/// A file without a name; its path lives as long as it does.
class File {
public:
    File() : descriptor_(memfd_create("capture", 0)) { require(descriptor_ >= 0); }
    ~File() { ::close(descriptor_); }
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    void put(const std::uint8_t* data, std::size_t size) const {
        require(::write(descriptor_, data, size) == ::ssize_t(size));
    }
    std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

private:
    int descriptor_;
};

struct Record {
    std::vector<std::uint8_t> data;
    std::uint64_t time;
};

/// What there is up to the end or the first damage, of 4 MiB at most: a few compressed bytes may
/// hold much.
std::vector<Record> read_all(const std::string& path) {
    std::vector<Record> records;
    std::size_t bytes = 0;
    try {
        CaptureReader reader(path);
        CaptureReader::Frame frame;
        while (bytes < 4 << 20 && reader.next(frame)) {
            require(frame.size >= 1 && frame.size <= 262144 && frame.original_size >= frame.size);
            records.push_back({{frame.data, frame.data + frame.size}, frame.timestamp_ns});
            bytes += frame.size;
        }
    } catch (const CaptureError& error) {
        require(std::string(error.what()).find('\n') == std::string::npos);
    }
    return records;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const File input;
    input.put(data, size);
    auto records = read_all(input.path());
    for (Record& record : records) record.time %= std::uint64_t{1'000'000'000} << 32;
    const File output;
    CaptureWriter writer(output.path());
    for (const Record& record : records)
        writer.write(record.time, record.data.data(), record.data.size());
    writer.close();
    const auto again = read_all(output.path());
    require(again.size() == records.size());
    for (std::size_t i = 0; i < again.size(); ++i)
        require(again[i].data == records[i].data && again[i].time == records[i].time);
    return 0;
}
