// SPDX-License-Identifier: Apache-2.0
/// Checks of a request's head that RFC 9110 and 9112 demand and Boost.Beast does not make: where
/// the head ends, how the body is framed, for which host the request is. Knows no socket.
#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "host/http/http_request.hpp"

namespace mirrornic {

/// A request is refused for its head or its framing. The connection is closed after the reply.
struct HttpFault : std::runtime_error {
    unsigned status;
    std::vector<std::pair<std::string, std::string>> headers;  ///< of the reply
    HttpFault(unsigned its_status, const std::string& why,
              std::vector<std::pair<std::string, std::string>> its_headers = {})
        : std::runtime_error(why), status(its_status), headers(std::move(its_headers)) {}
};

/// Finds lines that end with CR LF, in bytes that come piece by piece. Refuses a line as soon as it
/// has a CR or LF by itself, or another control character (RFC 9112, 2.2).
class LineScanner {
public:
    /// @param part the name of the lines in messages
    explicit LineScanner(const char* part) : part_(part) {}

    /// @param bytes those of the last call, with new ones behind them
    /// @return the next line without its CR LF; nothing: its end has not come yet. @throws
    /// HttpFault
    std::optional<std::string_view> next(std::string_view bytes);
    std::size_t at() const { return at_; }  ///< how many bytes were looked at so far

private:
    const char* part_;
    std::size_t line_ = 0, at_ = 0;
};

/// Looks for the end of a head in the bytes that have come. Refuses them as soon as they cannot be
/// the beginning of a head.
class HeadScanner {
public:
    struct Limits {
        std::size_t bytes, fields;
    };
    explicit HeadScanner(const Limits& limits) : limits_(limits) {}

    /// @param bytes all that have come: those of the last call, with new ones behind them
    /// @return whether the head is complete. @throws HttpFault
    bool scan(std::string_view bytes);

    // When the head is complete:
    std::size_t begin() const { return begin_; }     ///< empty lines may come before it
    std::size_t end() const { return lines_.at(); }  ///< behind its last, empty line
    /// Where the x of HTTP/1.x stands, if it is greater than 1 and so must be read as 1; 0: it is
    /// not.
    std::size_t newer_minor() const { return newer_minor_; }

private:
    void end_line(std::string_view line);
    void end_request_line(std::string_view line);

    const Limits limits_;
    LineScanner lines_{"the header"};
    std::size_t begin_ = 0, fields_ = 0, newer_minor_ = 0;
    bool has_request_line_ = false, whole_ = false;
};

/// Reads a body in chunks (RFC 9112, 7.1). It accepts nothing beyond the grammar: bytes that
/// another reader, such as a proxy, takes in another way could hide a second request. Extensions
/// are skipped. Trailers are checked like headers, and discarded (RFC 9110, 6.5.1).
class ChunkedBody {
public:
    struct Limits {
        std::size_t body;  ///< bytes of all chunks together
        /// Of each of these by itself: one chunk's size with its extensions, all extensions,
        /// trailers.
        std::size_t bytes;
        std::size_t fields;  ///< trailers
    };
    explicit ChunkedBody(const Limits& limits) : limits_(limits) {}

    /// @param bytes those that follow the ones that were taken before
    /// @return how many of them were taken: up to the end of the body at most. @throws HttpFault
    std::size_t take(std::string_view bytes);
    bool whole() const { return state_ == State::whole; }
    std::string& text() { return text_; }

private:
    enum class State { size, data, data_end, trailers, whole };
    std::size_t take_some(std::string_view bytes);
    std::size_t take_size(std::string_view bytes);
    std::size_t take_trailer(std::string_view bytes);

    const Limits limits_;
    State state_ = State::size;
    LineScanner line_{"a chunk's size"};
    std::size_t left_ = 0, extensions_ = 0, trailers_ = 0, fields_ = 0;
    std::string text_;
};

/// Checks Transfer-Encoding and Content-Length of a request's headers. @param minor of HTTP/1.x
/// @throws HttpFault
void check_framing(const HttpRequest& request, unsigned minor);

/// Whether the client waits for "100 Continue" before it sends the body. @throws HttpFault: 417
bool expects_continue(const HttpRequest& request, unsigned minor);

/// Checks that the body has no coding, such as gzip, except chunks. @throws HttpFault: 415
void check_coding(const HttpRequest& request);

/// Sets the request's path and query from its target, which may have any of the forms of RFC 9112,
/// and checks the Host header. The host of an absolute target replaces that of the Host header.
/// @param secure the connection is TLS. @throws HttpFault
void take_target(HttpRequest& request, std::string_view target, unsigned minor, bool secure);

}  // namespace mirrornic
