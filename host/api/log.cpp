// SPDX-License-Identifier: Apache-2.0
#include "host/api/log.hpp"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstring>
#include <mutex>

#include "host/frames/output_file.hpp"

namespace mirrornic {
namespace {

constexpr std::size_t batches = 8;  // of 128 KiB, which wait
constexpr const char* cut_mark = "... (cut)";

/// Gives each line to the file.
class LineSink : public spdlog::sinks::base_sink<std::mutex> {
public:
    explicit LineSink(OutputFile& file) : file_(file) {}

private:
    void sink_it_(const spdlog::details::log_msg& message) override {
        spdlog::memory_buf_t line;
        formatter_->format(message, line);
        std::memcpy(file_.append(line.size()), line.data(), line.size());
    }
    void flush_() override { file_.flush(); }

    OutputFile& file_;
};

/// The beginning of a text: at most so many bytes, in whole characters.
std::string cut(const std::string& text, std::size_t bytes) {
    if (text.size() <= bytes) return text;
    std::size_t size = bytes;
    while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
    return text.substr(0, size) + cut_mark;
}

/// The value as JSON, cut if it would be much longer than value_bytes. It is UTF-8, whatever the
/// value is.
std::string short_json(const Json& value) {
    std::string text = to_text(value);
    if (text.size() <= LogFile::value_bytes) return text;
    const std::string whole = value.is_string() ? value.get<std::string>() : text;
    for (std::size_t bytes = LogFile::value_bytes; bytes > 8; bytes /= 2) {
        text = to_text(cut(whole, bytes));
        if (text.size() <= LogFile::value_bytes + std::strlen(cut_mark) + 2) break;
    }
    return text;
}

bool is_bare(const std::string& text) {
    return std::all_of(text.begin(), text.end(), [](char c) {
        return c > ' ' && c < 0x7f && c != '"' && c != '=' && c != '\\';
    });
}

}  // namespace

struct LogFile::State {
    State(bool its_json, int descriptor)
        : json(its_json), file(OutputFile::live(descriptor, "standard error", batches)) {}

    void write(LogLevel level, const std::string& message, const LogFields& fields);
    void say_lost();

    const bool json;
    std::mutex mutex;  // of what follows
    OutputFile file;
    spdlog::logger logger{"mirrornic", std::make_shared<LineSink>(file)};
    std::uint64_t lost_said = 0;
};

LogFile::LogFile(bool json, int descriptor) : state_(std::make_unique<State>(json, descriptor)) {
    spdlog::logger& logger = state_->logger;
    logger.flush_on(spdlog::level::trace);
    // spdlog would print its own errors, which are a lack of memory. The command's message says
    // that.
    logger.set_error_handler([](const std::string&) {});
    logger.set_pattern(json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})"
                            : "%Y-%m-%dT%H:%M:%S.%eZ %l %v",
                       spdlog::pattern_time_type::utc);
}

LogFile::~LogFile() { close(); }

void LogFile::State::write(LogLevel level, const std::string& message, const LogFields& fields) {
    std::string text = short_json(message);
    text = json ? "\"message\":" + text : Json::parse(text).get<std::string>();
    for (const auto& [name, value] : fields) {
        std::string shown = short_json(value);
        if (!json && value.is_string() && is_bare(value.get_ref<const std::string&>()))
            shown = cut(value.get<std::string>(), value_bytes);
        text += json ? "," + to_text(name) + ":" + shown : " " + name + "=" + shown;
    }
    // A client must not be able to begin a new line with a control character.
    for (char& c : text)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
    logger.log(level == LogLevel::info      ? spdlog::level::info
               : level == LogLevel::warning ? spdlog::level::warn
                                            : spdlog::level::err,
               "{}", text);
}

void LogFile::State::say_lost() {
    const std::uint64_t lost = file.lost();
    if (lost == lost_said || file.trouble()) return;
    const std::uint64_t lines = lost - lost_said;
    lost_said = lost;
    write(LogLevel::warning, std::to_string(lines) + " lines were lost",
          {{"why", "they were not read, or there was no room for them"}});
}

void LogFile::write(LogLevel level, const std::string& message, const LogFields& fields) {
    const std::lock_guard lock(state_->mutex);
    if (!state_->file.open()) return;
    state_->say_lost();
    state_->write(level, message, fields);
}

void LogFile::write_raw(const std::string& line) {
    const std::lock_guard lock(state_->mutex);
    if (!state_->file.open()) return;
    std::memcpy(state_->file.append(line.size()), line.data(), line.size());
    state_->file.flush();
}

void LogFile::tick() {
    const std::lock_guard lock(state_->mutex);
    if (state_->file.open()) state_->say_lost();
}

void LogFile::close() {
    const std::lock_guard lock(state_->mutex);
    state_->file.finish(std::chrono::milliseconds(300));
    state_->file.close();
}

std::optional<std::string> LogFile::trouble() const {
    const std::lock_guard lock(state_->mutex);
    return state_->file.trouble();
}

std::uint64_t LogFile::lost() const {
    const std::lock_guard lock(state_->mutex);
    return state_->file.lost();
}

}  // namespace mirrornic
