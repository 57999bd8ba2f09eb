// SPDX-License-Identifier: Apache-2.0
#include "driver/tables.hpp"

#include <arpa/inet.h>

#include <cstdio>
#include <cstring>
#include <stdexcept>

namespace mirrornic {
namespace {

/// A text from outside, made fit for a message of one line.
std::string quoted(const std::string& text) {
    std::string out = "\"";
    for (unsigned char c : text.substr(0, 64)) out += c < 0x20 || c == 0x7f ? '?' : char(c);
    return out + (text.size() > 64 ? "...\"" : "\"");
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::string ipv4_text(const std::uint8_t* bytes) {
    char text[16];
    std::snprintf(text, sizeof text, "%u.%u.%u.%u", bytes[0], bytes[1], bytes[2], bytes[3]);
    return text;
}

}  // namespace

IpAddress IpAddress::parse(const std::string& text) {
    IpAddress address;
    const bool whole = text.find('\0') == std::string::npos;
    address.v6 = text.find(':') != std::string::npos;
    if (!whole ||
        inet_pton(address.v6 ? AF_INET6 : AF_INET, text.c_str(), address.bytes.data()) != 1)
        throw std::invalid_argument(quoted(text) + " is not an IP address");
    return address;
}

std::string IpAddress::to_string() const {
    if (!v6) return ipv4_text(bytes.data());
    // inet_ntop is not used, because it writes addresses of ::/96 as dotted IPv4 too. RFC 5952
    // section 5 does that only for prefixes that are known to embed an IPv4 address. Of these only
    // IPv4-mapped addresses are used here.
    static constexpr std::uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (std::memcmp(bytes.data(), mapped, sizeof mapped) == 0)
        return "::ffff:" + ipv4_text(bytes.data() + 12);

    std::array<unsigned, 8> groups{};
    for (std::size_t i = 0; i < 8; ++i) groups[i] = unsigned(bytes[2 * i] << 8 | bytes[2 * i + 1]);
    std::size_t gap = 8,
                gap_length = 1;  // "::" stands for at least two groups, the first longest run
    for (std::size_t i = 0; i < 8; ++i) {
        std::size_t end = i;
        while (end < 8 && groups[end] == 0) ++end;
        if (end - i > gap_length) gap = i, gap_length = end - i;
    }
    std::string out;
    for (std::size_t i = 0; i < 8; ++i) {
        if (i == gap) {
            out += "::";
            i += gap_length - 1;
            continue;
        }
        if (!out.empty() && out.back() != ':') out += ':';
        char group[5];
        std::snprintf(group, sizeof group, "%x", groups[i]);
        out += group;
    }
    return out;
}

Cidr Cidr::parse(const std::string& text) {
    const auto slash = text.find('/');
    const std::string digits = slash == std::string::npos ? "" : text.substr(slash + 1);
    const bool number = !digits.empty() && digits.size() <= 3 &&
                        digits.find_first_not_of("0123456789") == std::string::npos &&
                        (digits[0] != '0' || digits.size() == 1);
    try {
        if (!number) throw std::invalid_argument("no prefix length");
        Cidr cidr;
        cidr.base = IpAddress::parse(text.substr(0, slash));
        const int bits = cidr.base.v6 ? 128 : 32, prefix = std::stoi(digits);
        if (prefix > bits) throw std::invalid_argument("prefix too long");
        cidr.prefix = std::uint8_t(prefix);
        for (int bit = prefix; bit < bits; ++bit)
            cidr.base.bytes[std::size_t(bit / 8)] &= std::uint8_t(~(0x80 >> bit % 8));
        return cidr;
    } catch (const std::invalid_argument&) {
        throw std::invalid_argument(quoted(text) + " is not a CIDR block");
    }
}

std::string Cidr::to_string() const { return base.to_string() + "/" + std::to_string(prefix); }

MacAddress parse_mac(const std::string& text) {
    MacAddress mac{};
    bool good = text.size() == 17;
    for (std::size_t i = 0; good && i < 6; ++i) {
        const int high = hex_digit(text[3 * i]), low = hex_digit(text[3 * i + 1]);
        good = high >= 0 && low >= 0 && (i == 5 || text[3 * i + 2] == ':');
        if (good) mac[i] = std::uint8_t(high << 4 | low);
    }
    if (!good) throw std::invalid_argument(quoted(text) + " is not a MAC address");
    if (mac[0] & 1)
        throw std::invalid_argument(quoted(text) +
                                    " is a group address, not a unicast MAC address");
    return mac;
}

std::string to_string(const MacAddress& mac) {
    char text[18];
    std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
                  mac[3], mac[4], mac[5]);
    return text;
}

}  // namespace mirrornic
