// SPDX-License-Identifier: Apache-2.0
#include "host/base/json_text.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>

namespace mirrornic {
namespace {

/// Builds the value of a text. Unlike nlohmann's own builder it knows the path to what it builds,
/// for messages. With a sink, an outermost object is not built: the sink gets its members one at a
/// time, and of members that are lists the elements.
class Builder : public nlohmann::json_sax<Json> {
public:
    explicit Builder(JsonSink* sink = nullptr) : sink_(sink) {}

    bool null() override { return add(nullptr); }
    bool boolean(bool value) override { return add(value); }
    bool number_integer(number_integer_t value) override { return add(value); }
    bool number_unsigned(number_unsigned_t value) override { return add(value); }
    bool number_float(number_float_t value, const string_t&) override { return add(value); }
    bool string(string_t& value) override { return add(std::move(value)); }
    bool binary(binary_t&) override { return false; }
    bool start_object(std::size_t) override {
        check_depth();
        if (sink_ && at_ == At::root && open_.empty()) return at_ = At::members, true;
        return open(Json::object());
    }
    bool start_array(std::size_t) override {
        check_depth();
        if (at_ != At::members || !open_.empty()) return open(Json::array());
        at_ = At::elements;
        index_ = 0;
        sink_->list(name_);
        return true;
    }
    bool end_object() override { return close(); }
    bool end_array() override { return close(); }
    bool key(string_t& name) override {
        std::string& place = open_.empty() ? name_ : key_;
        place = std::move(name);
        if (open_.empty() ? !names_.insert(place).second : open_.back()->contains(place)) {
            const std::string at = open_.empty() ? "" : path();
            throw JsonError((at.empty() ? "" : at + ": ") + "member " + shown(place) +
                            " appears twice");
        }
        return true;
    }
    bool parse_error(std::size_t, const std::string& token, const Json::exception& error) override {
        const std::string text = error.what(), start = "parse error at ";
        const auto at = text.find(start);
        if (at == std::string::npos)  // out of range
            throw JsonError((here().empty() ? "" : here() + ": ") + "the number " + shown(token) +
                            " is too large");
        throw JsonError(text.substr(at + start.size()));
    }

    Json take() { return std::move(value_); }

private:
    /// The path of the value that is being built.
    enum class At { root, members, elements };

    bool add(Json value) {
        if (open_.empty()) {
            value_ = std::move(value);
            finish();
        } else {
            put(std::move(value));
        }
        return true;
    }
    Json& put(Json value) {
        if (!open_.back()->is_array()) return (*open_.back())[key_] = std::move(value);
        open_.back()->push_back(std::move(value));
        return open_.back()->back();
    }
    bool open(Json value) {
        Json* added = &value_;
        if (open_.empty())
            value_ = std::move(value);
        else
            added = &put(std::move(value));
        open_.push_back(added);
        return true;
    }
    bool close() {
        if (open_.empty()) {
            at_ = at_ == At::elements ? At::members : At::root;
            return true;
        }
        open_.pop_back();
        if (open_.empty()) finish();
        return true;
    }
    /// To be called when a value is complete.
    void finish() {
        if (at_ == At::members) sink_->member(name_, value_);
        if (at_ == At::elements) sink_->element(name_, index_++, value_);
        if (at_ == At::root && sink_) sink_->no_object(value_);
    }
    void check_depth() const {
        if (open_.size() + std::size_t(at_) == 64)
            throw JsonError("more than 64 levels of nesting");
    }
    /// Of the innermost open value: in an array the last element is the open one, in an object it
    /// is looked up by its place.
    std::string path() const {
        std::string out = at_ == At::root ? "" : name_;
        if (at_ == At::elements) out += "[" + std::to_string(index_) + "]";
        for (std::size_t i = 0; i + 1 < open_.size(); ++i) {
            if (open_[i]->is_array()) {
                out += "[" + std::to_string(open_[i]->size() - 1) + "]";
                continue;
            }
            for (const auto& [name, value] : open_[i]->items())
                if (&value == open_[i + 1]) out += (out.empty() ? "" : ".") + name;
        }
        return out;
    }

    /// The place of the next value.
    std::string here() const {
        if (open_.empty()) return path();
        const std::string out = path();
        if (open_.back()->is_array()) return out + "[" + std::to_string(open_.back()->size()) + "]";
        return out + (out.empty() ? "" : ".") + key_;
    }

    JsonSink* sink_;
    At at_ = At::root;
    std::set<std::string> names_;  // of the outermost object's members so far, with a sink
    std::string name_;             // of the one that is read
    std::size_t index_ = 0;
    Json value_;  // the whole, or what goes to the sink next
    std::vector<Json*> open_;
    std::string key_;
};

void append_utf8(std::string& out, std::uint32_t code) {
    if (code < 0x80) {
        out += char(code);
        return;
    }
    const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;  // bytes behind the first
    constexpr std::uint32_t lead[] = {0, 0xc0, 0xe0, 0xf0};
    out += char(lead[more] | code >> 6 * more);
    for (int k = more - 1; k >= 0; --k) out += char(0x80 | (code >> 6 * k & 0x3f));
}

/// Converts UTF-16, which begins with a byte order mark. Nothing: the bytes are not UTF-16.
std::optional<std::string> utf8_of_utf16(const std::string& bytes, bool big_endian) {
    if (bytes.size() % 2 != 0) return std::nullopt;
    const auto unit = [&](std::size_t at) -> std::uint32_t {
        const std::uint32_t first = std::uint8_t(bytes[at]), second = std::uint8_t(bytes[at + 1]);
        return big_endian ? first << 8 | second : second << 8 | first;
    };
    const auto surrogate = [](std::uint32_t code, std::uint32_t base) {
        return (code & 0xfc00) == base;
    };
    std::string out;
    out.reserve(bytes.size() / 2);
    for (std::size_t at = 2; at < bytes.size(); at += 2) {
        std::uint32_t code = unit(at);
        if (surrogate(code, 0xdc00)) return std::nullopt;
        if (surrogate(code, 0xd800)) {
            at += 2;
            if (at == bytes.size() || !surrogate(unit(at), 0xdc00)) return std::nullopt;
            code = 0x10000 + ((code & 0x3ff) << 10 | (unit(at) & 0x3ff));
        }
        append_utf8(out, code);
    }
    return out;
}

std::string utf8_text(const std::string& name, std::string text) {
    const auto starts = [&](const char* mark) {
        return text.compare(0, std::strlen(mark), mark) == 0;
    };
    if (starts("\xef\xbb\xbf")) return text.substr(3);
    // The first character of a JSON text is ASCII: one byte in UTF-8, two in UTF-16, four in
    // UTF-32. So zeros among the first bytes tell these apart.
    const auto zero = text.find('\0');
    if (zero < 2 || (zero < 4 && text.find('\0', zero + 1) == zero + 1))
        throw std::runtime_error(name +
                                 ": is UTF-32, or UTF-16 without a byte order mark, or no text; "
                                 "save it as UTF-8");
    const bool big_endian = starts("\xfe\xff");
    if (!big_endian && !starts("\xff\xfe")) return text;
    auto converted = utf8_of_utf16(text, big_endian);
    if (!converted)
        throw std::runtime_error(name +
                                 ": begins with the byte order mark of UTF-16 and is not UTF-16");
    return std::move(*converted);
}

}  // namespace

void parse_json(const std::string& text, JsonSink& sink) {
    Builder builder(&sink);
    Json::sax_parse(text, &builder);
}

void parse_json_file(const std::string& name, JsonSink& sink) {
    errno = 0;
    std::ifstream in(name, std::ios::binary);
    const int first = in.get(), second = in.peek();
    if (first != std::char_traits<char>::eof()) in.unget();
    if (!in.is_open() || in.bad())
        throw std::runtime_error(name + ": " + (errno ? std::strerror(errno) : "cannot be read"));
    // These bytes cannot begin UTF-8 text: a byte order mark of UTF-16, and a zero.
    if (first == std::char_traits<char>::eof() || first >= 0xfe || first == 0 || second == 0)
        return parse_json(utf8_text(name, {std::istreambuf_iterator<char>(in), {}}), sink);
    Builder builder(&sink);
    try {
        Json::sax_parse(in, &builder);
    } catch (const std::ios_base::failure&) {
        throw std::runtime_error(name + ": " + (errno ? std::strerror(errno) : "cannot be read"));
    }
}

Json parse_json(const std::string& text) {
    Builder builder;
    Json::sax_parse(text, &builder);
    return builder.take();
}

std::string to_text(const Json& value, int indent) {
    return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

std::string shown(const Json& value) {
    constexpr std::size_t limit = 100;
    std::string text = to_text(value);
    if (text.size() <= limit) return text;
    std::size_t cut = limit;
    while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xc0) == 0x80) --cut;
    return text.substr(0, cut) + "...";
}

std::size_t xml_character(const std::string& text, std::size_t at) {
    // A std::string has a zero behind its text. A character that is cut off ends there, since a
    // zero is no further byte of a character.
    const auto byte = [&](std::size_t i) -> unsigned {
        return static_cast<unsigned char>(text[i]);
    };
    const unsigned first = byte(at);
    const std::size_t length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if ((first >= 0x80 && first < 0xc2) || first > 0xf4) return 0;
    std::uint32_t code = length == 1 ? first : first & (0xffu >> (length + 1));
    for (std::size_t k = 1; k < length; ++k) {
        if ((byte(at + k) & 0xc0) != 0x80) return 0;
        code = code << 6 | (byte(at + k) & 0x3f);
    }
    const bool shortest = length < 3 || code >= (length == 3 ? 0x800u : 0x10000u);
    const bool allowed = code == 0x9 || code == 0xa || code == 0xd ||
                         (code >= 0x20 && code <= 0xd7ff) || (code >= 0xe000 && code <= 0xfffd) ||
                         (code >= 0x10000 && code <= 0x10ffff);
    return shortest && allowed ? length : 0;
}

std::string read_file(const std::string& name) {
    errno = 0;
    std::ifstream in(name, std::ios::binary);
    if (in) {
        std::string text{std::istreambuf_iterator<char>(in), {}};
        if (!in.bad()) return utf8_text(name, std::move(text));
    }
    throw std::runtime_error(name + ": " + (errno ? std::strerror(errno) : "cannot be read"));
}

}  // namespace mirrornic
