// SPDX-License-Identifier: Apache-2.0
#include "host/frames/output_sink.hpp"

#include <zlib.h>
#include <zstd.h>

#include <new>
#include <stdexcept>
#include <utility>
#include <vector>

namespace mirrornic {
namespace {

constexpr std::size_t buffer_size = 128 << 10;

bool ends_with(const std::string& text, const std::string& end) {
    return text.size() >= end.size() &&
           text.compare(text.size() - end.size(), end.size(), end) == 0;
}

class GzipSink : public OutputSink {
public:
    explicit GzipSink(std::unique_ptr<OutputSink> file) : file_(std::move(file)) {
        if (deflateInit2(&stream_, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8,
                         Z_DEFAULT_STRATEGY) != Z_OK) {
            throw std::bad_alloc();
        }
    }
    ~GzipSink() override { deflateEnd(&stream_); }

    void write(const std::uint8_t* data, std::size_t size) override {
        stream_.next_in = const_cast<Bytef*>(data);
        stream_.avail_in = static_cast<uInt>(size);
        run(Z_NO_FLUSH);
    }
    void end_piece(std::uint64_t piece) override {
        run(Z_FINISH);  // members one after another are one file
        deflateReset(&stream_);
        file_->end_piece(piece);
    }
    void flush() override {
        run(Z_SYNC_FLUSH);
        file_->flush();
    }
    void close() override {
        run(Z_FINISH);
        file_->close();
    }

private:
    void run(int mode) {
        do {
            stream_.next_out = output_.data();
            stream_.avail_out = static_cast<uInt>(output_.size());
            deflate(&stream_, mode);
            file_->write(output_.data(), output_.size() - stream_.avail_out);
        } while (stream_.avail_out == 0);
    }

    std::unique_ptr<OutputSink> file_;
    z_stream stream_{};
    std::vector<std::uint8_t> output_ = std::vector<std::uint8_t>(buffer_size);
};

class ZstdSink : public OutputSink {
public:
    explicit ZstdSink(std::unique_ptr<OutputSink> file) : file_(std::move(file)) {
        if (stream_ == nullptr) throw std::bad_alloc();
        ZSTD_CCtx_setParameter(stream_.get(), ZSTD_c_checksumFlag, 1);
    }

    void write(const std::uint8_t* data, std::size_t size) override {
        run({data, size, 0}, ZSTD_e_continue);
    }
    void end_piece(std::uint64_t piece) override {
        run({nullptr, 0, 0}, ZSTD_e_end);  // frames one after another are one file
        file_->end_piece(piece);
    }
    void flush() override {
        run({nullptr, 0, 0}, ZSTD_e_flush);
        file_->flush();
    }
    void close() override {
        run({nullptr, 0, 0}, ZSTD_e_end);
        file_->close();
    }

private:
    struct Free {
        void operator()(ZSTD_CStream* stream) const { ZSTD_freeCStream(stream); }
    };

    void run(ZSTD_inBuffer input, ZSTD_EndDirective mode) {
        std::size_t left;
        do {
            ZSTD_outBuffer output{output_.data(), output_.size(), 0};
            left = ZSTD_compressStream2(stream_.get(), &output, &input, mode);
            if (ZSTD_isError(left)) throw std::runtime_error(ZSTD_getErrorName(left));
            file_->write(output_.data(), output.pos);
        } while (input.pos < input.size || (mode != ZSTD_e_continue && left > 0));
    }

    std::unique_ptr<OutputSink> file_;
    std::unique_ptr<ZSTD_CStream, Free> stream_{ZSTD_createCStream()};
    std::vector<std::uint8_t> output_ = std::vector<std::uint8_t>(buffer_size);
};

}  // namespace

std::unique_ptr<OutputSink> compressed_as(const std::string& name,
                                          std::unique_ptr<OutputSink> file) {
    if (ends_with(name, ".gz")) return std::make_unique<GzipSink>(std::move(file));
    if (ends_with(name, ".zst")) return std::make_unique<ZstdSink>(std::move(file));
    return file;
}

}  // namespace mirrornic
