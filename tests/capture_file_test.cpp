// SPDX-License-Identifier: Apache-2.0
// Captures are built byte by byte here, so that reader and writer are checked against the formats
// (pcap and pcapng drafts of the IETF's opsawg group) and not against each other alone.
#include "host/frames/capture_file.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "folder.hpp"

namespace {

using namespace mirrornic;
using Bytes = std::vector<std::uint8_t>;

constexpr std::uint32_t kMicro = 0xa1b2c3d4;
constexpr std::uint32_t kNano = 0xa1b23c4d;
constexpr std::uint32_t kEthernet = 1;
constexpr std::uint64_t kSecond = 1'000'000'000;

enum class Order { kLittle, kBig };

Bytes operator+(Bytes left, const Bytes& right) {
    if (!right.empty()) left.insert(left.end(), right.begin(), right.end());
    return left;
}

/// Appends integers in one byte order.
class Encoder {
public:
    explicit Encoder(Order order = Order::kLittle) : order_(order) {}

    Encoder& u16(std::uint16_t value) { return number(value, 2); }
    Encoder& u32(std::uint32_t value) { return number(value, 4); }
    Encoder& raw(const Bytes& more) {
        bytes = bytes + more;
        return *this;
    }
    Bytes bytes;

private:
    Encoder& number(std::uint32_t value, int size) {
        for (int i = 0; i < size; ++i) {
            const int shift = 8 * (order_ == Order::kLittle ? i : size - 1 - i);
            bytes.push_back(static_cast<std::uint8_t>(value >> shift));
        }
        return *this;
    }
    Order order_;
};

Bytes first(const Bytes& bytes, std::size_t size) {
    return Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
}

/// A frame whose every byte depends on its place and on `seed`.
Bytes frame_of(std::size_t size, unsigned seed = 0) {
    Bytes frame(size);
    for (std::size_t i = 0; i < size; ++i) {
        frame[i] = static_cast<std::uint8_t>(i * 7 + (i >> 8) + seed);
    }
    return frame;
}

Bytes pcap_header(std::uint32_t magic = kNano, Order order = Order::kLittle,
                  std::uint32_t link_type = kEthernet, std::uint32_t snap_length = 262144) {
    return Encoder(order)
        .u32(magic)
        .u16(2)
        .u16(4)
        .u32(0)
        .u32(0)
        .u32(snap_length)
        .u32(link_type)
        .bytes;
}

Bytes pcap_record(std::uint32_t seconds, std::uint32_t fraction, const Bytes& data,
                  std::size_t original_size, Order order = Order::kLittle) {
    return Encoder(order)
        .u32(seconds)
        .u32(fraction)
        .u32(static_cast<std::uint32_t>(data.size()))
        .u32(static_cast<std::uint32_t>(original_size))
        .raw(data)
        .bytes;
}

Bytes pcap_record(const Bytes& data) { return pcap_record(1, 2, data, data.size()); }

Bytes pcapng_block(std::uint32_t type, Bytes body, Order order) {
    body.resize((body.size() + 3) / 4 * 4);
    const auto size = static_cast<std::uint32_t>(body.size() + 12);
    return Encoder(order).u32(type).u32(size).raw(body).u32(size).bytes;
}

Bytes pcapng_section(Order order) {
    const Bytes body =
        Encoder(order).u32(0x1a2b3c4d).u16(1).u16(0).u32(0xffffffff).u32(0xffffffff).bytes;
    return pcapng_block(0x0a0d0d0a, body, order);
}

/// An interface whose time stamps count units of 10^-resolution seconds.
Bytes pcapng_interface(std::uint8_t resolution, Order order, std::uint16_t link_type = kEthernet,
                       std::uint32_t snap_length = 0) {
    const Bytes body = Encoder(order)
                           .u16(link_type)
                           .u16(0)
                           .u32(snap_length)
                           .u16(9)  // if_tsresol
                           .u16(1)
                           .raw({resolution, 0, 0, 0})
                           .u16(0)
                           .u16(0)
                           .bytes;
    return pcapng_block(1, body, order);
}

Bytes pcapng_packet(std::uint32_t interface, std::uint64_t timestamp, const Bytes& data,
                    std::size_t original_size, Order order) {
    const Bytes body = Encoder(order)
                           .u32(interface)
                           .u32(static_cast<std::uint32_t>(timestamp >> 32))
                           .u32(static_cast<std::uint32_t>(timestamp))
                           .u32(static_cast<std::uint32_t>(data.size()))
                           .u32(static_cast<std::uint32_t>(original_size))
                           .raw(data)
                           .bytes;
    return pcapng_block(6, body, order);
}

Bytes gzip(const Bytes& plain) {
    z_stream stream{};
    REQUIRE(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    Bytes out(deflateBound(&stream, plain.size()));
    stream.next_in = const_cast<Bytef*>(plain.data());
    stream.avail_in = static_cast<uInt>(plain.size());
    stream.next_out = out.data();
    stream.avail_out = static_cast<uInt>(out.size());
    REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
}

Bytes zstd(const Bytes& plain) {
    Bytes out(ZSTD_compressBound(plain.size()));
    const std::size_t size = ZSTD_compress(out.data(), out.size(), plain.data(), plain.size(), 3);
    REQUIRE(!ZSTD_isError(size));
    out.resize(size);
    return out;
}

Bytes gunzip(const Bytes& packed) {
    z_stream stream{};
    REQUIRE(inflateInit2(&stream, 15 + 16) == Z_OK);
    Bytes out(1 << 22);
    stream.next_in = const_cast<Bytef*>(packed.data());
    stream.avail_in = static_cast<uInt>(packed.size());
    stream.next_out = out.data();
    stream.avail_out = static_cast<uInt>(out.size());
    REQUIRE(inflate(&stream, Z_FINISH) == Z_STREAM_END);
    REQUIRE(stream.avail_in == 0);
    out.resize(stream.total_out);
    inflateEnd(&stream);
    return out;
}

Bytes unzstd(const Bytes& packed) {
    Bytes out(1 << 22);
    ZSTD_DStream* stream = ZSTD_createDStream();
    ZSTD_inBuffer in{packed.data(), packed.size(), 0};
    ZSTD_outBuffer to{out.data(), out.size(), 0};
    REQUIRE(ZSTD_decompressStream(stream, &to, &in) == 0);
    REQUIRE(in.pos == in.size);
    ZSTD_freeDStream(stream);
    out.resize(to.pos);
    return out;
}

/// With names as text, and captures to put into it.
struct Folder : test::Folder {
    std::string operator/(const std::string& name) const { return (path / name).string(); }

    std::string put(const std::string& name, const Bytes& bytes) const {
        std::ofstream file(path / name, std::ios::binary);
        file.write(reinterpret_cast<const char*>(bytes.data()),
                   static_cast<std::streamsize>(bytes.size()));
        file.close();
        REQUIRE(file.good());
        return *this / name;
    }
};

Bytes contents(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    REQUIRE(file.good());
    return Bytes(std::istreambuf_iterator<char>(file), {});
}

struct Record {
    Bytes data;
    std::size_t original_size;
    std::uint64_t timestamp_ns;

    bool operator==(const Record& other) const {
        return data == other.data && original_size == other.original_size &&
               timestamp_ns == other.timestamp_ns;
    }
};

std::vector<Record> read_all(CaptureReader& reader) {
    std::vector<Record> records;
    CaptureReader::Frame frame;
    while (reader.next(frame)) {
        records.push_back(
            {Bytes(frame.data, frame.data + frame.size), frame.original_size, frame.timestamp_ns});
    }
    CHECK_FALSE(reader.next(frame));  // the end is final
    return records;
}

std::vector<Record> read_all(const std::string& path) {
    CaptureReader reader(path);
    std::vector<Record> records = read_all(reader);
    CHECK_FALSE(reader.truncated());
    return records;
}

/// The message with which the file is refused, at once or while it is read.
std::string refusal(const std::string& path) {
    try {
        CaptureReader reader(path);
        CaptureReader::Frame frame;
        while (reader.next(frame)) {
        }
    } catch (const CaptureError& error) {
        return error.what();
    }
    FAIL("not refused: " << path);
    return {};
}

/// Puts another file in the place of standard input or output until it goes out of scope.
class Redirect {
public:
    Redirect(int stream, int fd) : stream_(stream), saved_(dup(stream)) {
        REQUIRE(saved_ >= 0);
        REQUIRE(fd >= 0);
        REQUIRE(dup2(fd, stream) == stream);
        ::close(fd);
    }
    ~Redirect() {
        dup2(saved_, stream_);
        ::close(saved_);
    }
    Redirect(const Redirect&) = delete;
    Redirect& operator=(const Redirect&) = delete;

private:
    int stream_;
    int saved_;
};

using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

}  // namespace

TEST_CASE("pcap is read in either byte order, with microseconds and with nanoseconds") {
    const Order order = GENERATE(Order::kLittle, Order::kBig);
    const std::uint32_t magic = GENERATE(kMicro, kNano);
    const std::uint64_t unit = magic == kMicro ? 1000 : 1;
    const Folder folder;
    const std::string path =
        folder.put("a.pcap", pcap_header(magic, order) +
                                 pcap_record(1700000000, 999999, frame_of(60, 1), 60, order) +
                                 pcap_record(1700000001, 1, frame_of(1514, 2), 1514, order));
    CHECK(read_all(path) ==
          std::vector<Record>{{frame_of(60, 1), 60, 1700000000 * kSecond + 999999 * unit},
                              {frame_of(1514, 2), 1514, 1700000001 * kSecond + unit}});
}

TEST_CASE("pcap's 32 bits of seconds are read without sign") {
    const Folder folder;
    const std::string path =
        folder.put("a.pcap", pcap_header() + pcap_record(0xffffffff, 999999999, frame_of(60), 60));
    CHECK(read_all(path).at(0).timestamp_ns == 0xffffffff * kSecond + 999999999);
}

TEST_CASE("pcapng is read in either byte order with each interface's time resolution") {
    const Order order = GENERATE(Order::kLittle, Order::kBig);
    const Folder folder;
    const Bytes file = pcapng_section(order) + pcapng_interface(6, order) +
                       pcapng_packet(0, 1700000000'000007, frame_of(61, 1), 61, order) +
                       pcapng_interface(9, order) +
                       pcapng_packet(1, 1700000000'000000009, frame_of(62, 2), 62, order) +
                       pcapng_packet(0, 1700000001'000000, frame_of(63, 3), 100, order);
    CaptureReader reader(folder.put("a.pcapng", file));
    CHECK(read_all(reader) == std::vector<Record>{{frame_of(61, 1), 61, 1700000000'000007000},
                                                  {frame_of(62, 2), 62, 1700000000'000000009},
                                                  {frame_of(63, 3), 100, 1700000001'000000000}});
    CHECK(reader.snapped() == 1);
    CHECK_FALSE(reader.truncated());
}

TEST_CASE("a second interface of another link type is refused after the frames before it") {
    const Folder folder;
    const Order order = Order::kLittle;
    const Bytes file = pcapng_section(order) + pcapng_interface(9, order) +
                       pcapng_packet(0, 5, frame_of(60), 60, order) +
                       pcapng_interface(9, order, 101);
    CaptureReader reader(folder.put("a.pcapng", file));
    CaptureReader::Frame frame;
    REQUIRE(reader.next(frame));
    CHECK_THROWS_WITH(reader.next(frame),
                      StartsWith(folder / "a.pcapng: after frame 1: ") && Contains("type"));
    CHECK_FALSE(reader.next(frame));
}

TEST_CASE("gzip and zstd are told by content, also in several parts and under another name") {
    const Folder folder;
    const Bytes plain = pcap_header() + pcap_record(frame_of(60, 1)) +
                        pcap_record(frame_of(9014, 2)) + pcap_record(frame_of(100, 3));
    const std::size_t half = plain.size() / 2;
    const Bytes head = first(plain, half);
    const Bytes tail(plain.begin() + static_cast<std::ptrdiff_t>(half), plain.end());
    const std::vector<Record> expected = read_all(folder.put("plain.pcap", plain));
    REQUIRE(expected.size() == 3);
    const Bytes skippable = Encoder().u32(0x184d2a50).u32(3).raw({1, 2, 3}).bytes;

    CHECK(read_all(folder.put("a.pcap.gz", gzip(plain))) == expected);
    CHECK(read_all(folder.put("a.pcap.zst", zstd(plain))) == expected);
    CHECK(read_all(folder.put("parts.gz", gzip(head) + gzip({}) + gzip(tail))) == expected);
    CHECK(read_all(folder.put("parts.zst", zstd(head) + zstd({}) + zstd(tail))) == expected);
    CHECK(read_all(folder.put("skippable.zst", skippable + zstd(plain))) == expected);
    CHECK(read_all(folder.put("gzip-as.pcap", gzip(plain))) == expected);
    CHECK(read_all(folder.put("zstd-as.gz", zstd(plain))) == expected);
    CHECK(read_all(folder.put("plain-as.zst", plain)) == expected);
}

TEST_CASE("a capture cut at any byte gives its whole frames and says that it is cut off") {
    const Folder folder;
    const Order order = Order::kLittle;
    const Bytes frame = frame_of(60);
    const bool is_pcapng = GENERATE(false, true);
    const Bytes header =
        is_pcapng ? pcapng_section(order) + pcapng_interface(9, order) : pcap_header();
    const Bytes record = is_pcapng ? pcapng_packet(0, 1, frame, 60, order) : pcap_record(frame);
    const Bytes whole = header + record + record;
    for (std::size_t size = header.size(); size <= whole.size(); ++size) {
        CAPTURE(is_pcapng, size);
        CaptureReader reader(folder.put("cut", first(whole, size)));
        REQUIRE(read_all(reader).size() == (size - header.size()) / record.size());
        REQUIRE(reader.truncated() == ((size - header.size()) % record.size() != 0));
    }
    for (std::size_t size = 1; size < header.size(); ++size) {
        CAPTURE(is_pcapng, size);
        REQUIRE_THAT(refusal(folder.put("cut", first(whole, size))),
                     StartsWith(folder / "cut: not a capture"));
    }
}

TEST_CASE("a gzip or zstd stream cut anywhere gives what it holds and says that it is cut off") {
    const Folder folder;
    Bytes plain = pcap_header();
    for (unsigned i = 0; i < 60; ++i) plain = plain + pcap_record(frame_of(64 + i, i * 31));
    const std::vector<Record> expected = read_all(folder.put("plain", plain));
    const bool is_gzip = GENERATE(true, false);
    Bytes packed;  // in parts, none of which ends where a record does
    for (std::size_t begin = 0; begin < plain.size(); begin += 1009) {
        const std::size_t end = std::min(begin + 1009, plain.size());
        const Bytes part(plain.begin() + static_cast<std::ptrdiff_t>(begin),
                         plain.begin() + static_cast<std::ptrdiff_t>(end));
        packed = packed + (is_gzip ? gzip(part) : zstd(part));
    }
    REQUIRE(read_all(folder.put("whole", packed)) == expected);
    std::size_t refused = 0;
    std::size_t most = 0;
    for (std::size_t size = 4; size < packed.size(); ++size) {
        CAPTURE(is_gzip, size);
        const std::string path = folder.put("cut", first(packed, size));
        try {
            CaptureReader reader(path);
            const std::vector<Record> records = read_all(reader);
            REQUIRE(reader.truncated());
            REQUIRE(records.size() <= expected.size());
            REQUIRE(std::equal(records.begin(), records.end(), expected.begin()));
            REQUIRE(records.size() >= most);
            most = records.size();
        } catch (const CaptureError& error) {  // cut before the capture's own header was complete
            ++refused;
            REQUIRE(most == 0);
            REQUIRE_THAT(error.what(), Contains("cut off within its file header"));
        }
    }
    CHECK(refused < packed.size() / 4);
    CHECK(most > expected.size() / 2);
}

TEST_CASE("damaged compressed data is refused after the frames ahead of it") {
    const Folder folder;
    Bytes plain = pcap_header();
    for (unsigned i = 0; i < 100; ++i) plain = plain + pcap_record(frame_of(100, i));
    const bool is_gzip = GENERATE(true, false);
    const Bytes whole = is_gzip ? gzip(plain) : zstd(plain);
    const Bytes garbage{'n', 'o', 't', ' ', 'p', 'a', 'c', 'k', 'e', 'd', '!', '!'};
    CaptureReader reader(folder.put("bad", whole + garbage));
    CaptureReader::Frame frame;
    for (int i = 0; i < 100; ++i) REQUIRE(reader.next(frame));
    CHECK_THROWS_WITH(reader.next(frame), StartsWith(folder / "bad: after frame 100: damaged ") &&
                                              Contains(is_gzip ? "gzip" : "zstd"));
    CHECK_FALSE(reader.truncated());

    Bytes flipped = gzip(plain);
    flipped[flipped.size() - 6] ^= 1;  // in the checksum
    CHECK_THAT(refusal(folder.put("flipped", flipped)), Contains("damaged gzip data"));
}

TEST_CASE("files that are no Ethernet capture are refused in one line with their name") {
    const Folder folder;
    const Bytes text(100, 'x');
    CHECK(refusal(folder / "none.pcap") == (folder / "none.pcap") + ": No such file or directory");
    CHECK(refusal(folder / ".") == (folder / ".") + ": Is a directory");
    CHECK(refusal(folder.put("empty", {})) == (folder / "empty") + ": the file is empty");
    CHECK(refusal(folder.put("empty.gz", gzip({}))) ==
          (folder / "empty.gz") + ": the file is empty");
    CHECK(refusal(folder.put("text", text)) ==
          (folder / "text") + ": not a capture (neither pcap nor pcapng)");
    CHECK(refusal(folder.put("text.zst", zstd(text))) ==
          (folder / "text.zst") + ": not a capture (neither pcap nor pcapng)");
    CHECK_THAT(refusal(folder.put("section", pcapng_section(Order::kLittle))),
               StartsWith(folder / "section: "));
    CHECK_THAT(
        refusal(folder.put(
            "long",
            pcap_header() +
                Encoder().u32(0).u32(0).u32(0x7fffffff).u32(0x7fffffff).raw(Bytes(100)).bytes)),
        StartsWith(folder / "long: after frame 0: "));
}

TEST_CASE("a link type other than Ethernet is refused by name") {
    const Folder folder;
    const auto refused = [&](std::uint32_t type) {
        return refusal(folder.put("a.pcap", pcap_header(kNano, Order::kBig, type) +
                                                pcap_record(0, 0, frame_of(60), 60, Order::kBig)));
    };
    CHECK_THAT(refused(101), StartsWith(folder / "a.pcap: link type RAW (Raw IP), but only") &&
                                 !Contains("tcpdump"));
    CHECK_THAT(refused(105), Contains("link type IEEE802_11 ("));
    CHECK_THAT(refused(113), Contains("link type LINUX_SLL (") && Contains("tcpdump -i eth0"));
    CHECK_THAT(refused(276), Contains("link type LINUX_SLL2 (") && Contains("tcpdump -i eth0"));
    CHECK_THAT(refusal(folder.put("a.pcapng", pcapng_section(Order::kBig) +
                                                  pcapng_interface(9, Order::kBig, 276))),
               Contains("link type LINUX_SLL2 (") && Contains("tcpdump -i eth0"));
}

TEST_CASE("snapped frames are delivered and counted, records without a byte are passed over") {
    const Folder folder;
    CaptureReader reader(folder.put(
        "a.pcap", pcap_header() + pcap_record(0, 0, {}, 0) + pcap_record(1, 0, frame_of(60), 1514) +
                      pcap_record(2, 0, {}, 900) + pcap_record(3, 0, frame_of(1), 1) +
                      pcap_record(4, 0, frame_of(96), 97) + pcap_record(5, 0, {}, 60)));
    CHECK(read_all(reader) == std::vector<Record>{{frame_of(60), 1514, 1 * kSecond},
                                                  {frame_of(1), 1, 3 * kSecond},
                                                  {frame_of(96), 97, 4 * kSecond}});
    CHECK(reader.snapped() == 2);
    CHECK(reader.skipped() == 3);
    CHECK_FALSE(reader.truncated());
}

TEST_CASE("a record that claims a wire length below its captured length has the captured one") {
    const Folder folder;
    CaptureReader reader(folder.put("a.pcap", pcap_header() + pcap_record(0, 0, frame_of(80), 60)));
    CHECK(read_all(reader) == std::vector<Record>{{frame_of(80), 80, 0}});
    CHECK(reader.snapped() == 0);
}

TEST_CASE("frames of 1 to 262144 bytes are read whole from pcap and from pcapng") {
    const Folder folder;
    const std::vector<std::size_t> sizes{1,    13,   14,    60,    1514,  9014,
                                         9216, 9217, 20000, 65535, 65536, 262144};
    const Order order = Order::kLittle;
    Bytes pcap = pcap_header(kMicro);
    Bytes unlimited = pcap_header(kMicro, order, kEthernet, 0);  // a snap length of 0 is no limit
    Bytes pcapng = pcapng_section(order) + pcapng_interface(9, order);
    std::vector<Record> expected;
    for (const std::size_t size : sizes) {
        const Bytes frame = frame_of(size, static_cast<unsigned>(size));
        pcap = pcap + pcap_record(0, 0, frame, size);
        unlimited = unlimited + pcap_record(0, 0, frame, size);
        pcapng = pcapng + pcapng_packet(0, 0, frame, size, order);
        expected.push_back({frame, size, 0});
    }
    CHECK(read_all(folder.put("a.pcap", pcap)) == expected);
    CHECK(read_all(folder.put("b.pcap", unlimited)) == expected);
    CHECK(read_all(folder.put("a.pcapng", pcapng)) == expected);
}

TEST_CASE("progress rises to 1 with the part of the file that was read, and a pipe has none") {
    const Folder folder;
    Bytes plain = pcap_header();
    for (unsigned i = 0; i < 100; ++i) plain = plain + pcap_record(frame_of(90000, i));
    const std::string path = folder.put("a", plain);  // far more than is read ahead
    CaptureReader reader(path);
    CaptureReader::Frame frame;
    double last = 0;
    while (reader.next(frame)) {
        REQUIRE(reader.progress().has_value());
        REQUIRE(*reader.progress() >= last);
        last = *reader.progress();
        if (frame.data[0] == 49) CHECK((last > 0.4 && last < 0.8));
    }
    CHECK(reader.progress() == 1.0);

    int ends[2];
    REQUIRE(pipe(ends) == 0);
    const Bytes start = first(plain, 24);
    REQUIRE(::write(ends[1], start.data(), start.size()) == 24);
    ::close(ends[1]);
    const Redirect input(STDIN_FILENO, ends[0]);
    CHECK_FALSE(CaptureReader("-").progress().has_value());
}

TEST_CASE("a reader can be moved between two frames") {
    const Folder folder;
    CaptureReader first_owner(folder.put(
        "a.gz", gzip(pcap_header() + pcap_record(frame_of(60)) + pcap_record(frame_of(70)))));
    CaptureReader::Frame frame;
    REQUIRE(first_owner.next(frame));
    CaptureReader reader(std::move(first_owner));
    REQUIRE(reader.next(frame));
    CHECK(frame.size == 70);
    CHECK_FALSE(reader.next(frame));
}

TEST_CASE("standard input is read, from a file and from a pipe that delivers byte by byte") {
    const Folder folder;
    const Bytes plain = pcap_header() + pcap_record(frame_of(60)) + pcap_record(frame_of(1514));
    const int packing = GENERATE(0, 1, 2);
    const Bytes file = packing == 0 ? plain : packing == 1 ? gzip(plain) : zstd(plain);
    const std::vector<Record> expected = read_all(folder.put("plain", plain));
    {
        const Redirect input(STDIN_FILENO, ::open(folder.put("a", file).c_str(), O_RDONLY));
        CHECK(read_all("-") == expected);
    }
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    const pid_t writer = fork();
    REQUIRE(writer >= 0);
    if (writer == 0) {
        for (const std::uint8_t byte : file) {
            if (::write(ends[1], &byte, 1) != 1) _exit(1);
        }
        _exit(0);
    }
    ::close(ends[1]);
    {
        const Redirect input(STDIN_FILENO, ends[0]);
        CHECK(read_all("-") == expected);
    }
    CHECK(waitpid(writer, nullptr, 0) == writer);
}

TEST_CASE("an error on standard input names it") {
    const Redirect input(STDIN_FILENO, ::open("/dev/null", O_RDONLY));
    CHECK(refusal("-") == "standard input: the file is empty");
}

TEST_CASE("the writer's file is a nanosecond pcap, byte for byte") {
    const Folder folder;
    CaptureWriter writer(folder / "a.pcap");
    writer.write(1700000000'123456789, frame_of(60).data(), 60);
    writer.write(0xffffffff * kSecond + 999999999, frame_of(1).data(), 1);
    writer.close();
    const Order native = [] {
        const std::uint16_t one = 1;
        std::uint8_t low;
        std::memcpy(&low, &one, 1);
        return low == 1 ? Order::kLittle : Order::kBig;
    }();
    CHECK(contents(folder / "a.pcap") ==
          pcap_header(kNano, native) +
              pcap_record(1700000000, 123456789, frame_of(60), 60, native) +
              pcap_record(0xffffffff, 999999999, frame_of(1), 1, native));
}

TEST_CASE("a name that ends in .gz or .zst is written compressed, any other plain") {
    const Folder folder;
    const auto write = [&](const std::string& name) {
        CaptureWriter writer(folder / name);
        for (unsigned i = 0; i < 5000; ++i) {
            writer.write(i * kSecond, frame_of(60 + i % 500, i).data(), 60 + i % 500);
        }
        writer.close();
        return contents(folder / name);
    };
    const Bytes plain = write("a.pcap");
    CHECK(plain.size() > 1 << 20);  // more than any buffer
    CHECK(write("gz") == plain);
    CHECK(gunzip(write("a.gz")) == plain);
    CHECK(unzstd(write("a.pcap.zst")) == plain);
    CHECK(read_all(folder / "a.gz").size() == 5000);
}

TEST_CASE("several writers make one file of their pieces, in the order of the pieces' numbers") {
    /// As of shards that run at the same time.
    struct Order {
        std::mutex mutex;
        std::condition_variable changed;
        std::uint64_t next = 0;
    };
    struct OrderedTurns : Turns {
        explicit OrderedTurns(Order& its_order) : order(its_order) {}
        bool is_next(std::uint64_t piece) override {
            const std::lock_guard lock(order.mutex);
            return order.next == piece;
        }
        void wait_until_next(std::uint64_t piece) override {
            std::unique_lock lock(order.mutex);
            order.changed.wait(lock, [&] { return order.next == piece; });
        }
        void done(std::uint64_t piece) override {
            const std::lock_guard lock(order.mutex);
            order.next = piece + 1;
            order.changed.notify_all();
        }
        Order& order;
    };
    const Folder folder;
    constexpr unsigned pieces = 12, frames = 800;  // 8 MB of pieces wait, and more do not
    const auto write_piece = [](CaptureWriter& writer, unsigned piece) {
        for (unsigned i = 0; i < frames; ++i) {
            const unsigned n = piece * frames + i;
            writer.write(n, frame_of(1000 + n % 500, n).data(), 1000 + n % 500);
        }
    };
    {
        CaptureWriter alone(folder / "alone");
        for (unsigned piece = 0; piece < pieces; ++piece) write_piece(alone, piece);
    }
    const auto expected = read_all(folder / "alone");
    REQUIRE(expected.size() == pieces * frames);
    for (const char* name : {"a.pcap", "a.pcap.gz", "a.pcap.zst"}) {
        INFO(name);
        std::ofstream(folder / name).close();
        Order order;
        const auto shard = [&](unsigned first) {
            CaptureWriter writer(OutputFile(folder / name, std::make_unique<OrderedTurns>(order)),
                                 first == 0);
            for (unsigned piece = first; piece < pieces; piece += 2) {
                write_piece(writer, piece);
                writer.end_piece(piece);
                if (piece == 4) writer.flush();
            }
            writer.close();
        };
        std::thread other([&] { shard(1); });
        shard(0);
        other.join();
        const bool equal = read_all(folder / name) == expected;  // too much to print
        CHECK(equal);
    }
}

TEST_CASE("an output without a frame is a valid capture of none") {
    const Folder folder;
    const std::string name = GENERATE("a.pcap", "a.pcap.gz", "a.pcap.zst");
    CaptureWriter(folder / name).close();
    CHECK(read_all(folder / name).empty());
}

TEST_CASE("after a flush a reader sees all frames so far") {
    const Folder folder;
    const std::string name = GENERATE("a.pcap", "a.pcap.gz", "a.pcap.zst");
    CaptureWriter writer(folder / name);
    for (std::size_t count = 1; count < 4; ++count) {
        writer.write(count, frame_of(100).data(), 100);
        writer.flush();
        CaptureReader reader(folder / name);
        CHECK(read_all(reader).size() == count);
        CHECK(reader.truncated() == (name != "a.pcap"));
    }
}

TEST_CASE("a writer that is not closed writes its frames when it goes") {
    const Folder folder;
    const std::string name = GENERATE("a.pcap", "a.pcap.gz", "a.pcap.zst");
    {
        CaptureWriter first_owner(folder / name);
        first_owner.write(0, frame_of(60).data(), 60);
        CaptureWriter writer(std::move(first_owner));
        writer.write(0, frame_of(61).data(), 61);
    }
    CHECK(read_all(folder / name).size() == 2);
}

TEST_CASE("standard output is written and leaves it open") {
    const Folder folder;
    {
        const Redirect output(STDOUT_FILENO,
                              ::open((folder / "out").c_str(), O_WRONLY | O_CREAT, 0600));
        CaptureWriter writer("-");
        writer.write(7, frame_of(60).data(), 60);
        writer.close();
        CHECK(::write(STDOUT_FILENO, "x", 1) == 1);
    }
    const Bytes written = contents(folder / "out");
    CHECK(written.size() == 24 + 16 + 60 + 1);
    CHECK(read_all(folder.put("a", first(written, 100))) ==
          std::vector<Record>{{frame_of(60), 60, 7}});
}

TEST_CASE("a full disk is reported by close, by flush and by write") {
    const Folder folder;
    const std::string name = GENERATE("full", "full.gz", "full.zst");
    REQUIRE(symlink("/dev/full", (folder / name).c_str()) == 0);
    const std::string message = (folder / name) + ": No space left on device";
    const Bytes frame = frame_of(9000);
    {
        CaptureWriter writer(folder / name);
        writer.write(0, frame.data(), frame.size());
        CHECK_THROWS_WITH(writer.close(), message);
        CHECK_NOTHROW(writer.close());
    }
    {
        CaptureWriter writer(folder / name);
        writer.write(0, frame.data(), frame.size());
        CHECK_THROWS_WITH(writer.flush(), message);
        CHECK_THROWS_WITH(writer.write(0, frame.data(), frame.size()), Contains("closed"));
    }
    {
        CaptureWriter writer(folder / name);
        Bytes random = frame;
        std::uint32_t state = 1;
        std::string caught;
        for (int i = 0; i < 2000 && caught.empty(); ++i) {  // noise, which does not compress
            for (std::uint8_t& byte : random) {
                state = state * 1664525 + 1013904223;
                byte = static_cast<std::uint8_t>(state >> 24);
            }
            try {
                writer.write(0, random.data(), random.size());
            } catch (const CaptureError& error) {
                caught = error.what();
            }
        }
        CHECK(caught == message);
    }
}

TEST_CASE("an output that cannot be created is refused with its name") {
    const Folder folder;
    CHECK_THROWS_WITH(CaptureWriter(folder / "none/a.pcap"),
                      (folder / "none/a.pcap") + ": No such file or directory");
    CHECK_THROWS_WITH(CaptureWriter(folder / "."), (folder / ".") + ": Is a directory");
}

TEST_CASE("what pcap cannot hold is refused and is not part of the file") {
    const Folder folder;
    const Bytes longest = frame_of(CaptureWriter::kSnapLength);
    const Bytes longer = frame_of(CaptureWriter::kSnapLength + 1);
    CaptureWriter writer(folder / "a.pcap");
    writer.write(0, longest.data(), longest.size());
    CHECK_THROWS_AS(writer.write(0, longer.data(), longer.size()), CaptureError);
    CHECK_THROWS_AS(writer.write((1ull << 32) * kSecond, longest.data(), 60), CaptureError);
    writer.write(1, longest.data(), 60);
    writer.close();
    CHECK_THROWS_WITH(writer.write(2, longest.data(), 60), Contains("closed"));
    CHECK(read_all(folder / "a.pcap") ==
          std::vector<Record>{{longest, longest.size(), 0}, {frame_of(60), 60, 1}});
}
