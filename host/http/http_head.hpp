// SPDX-License-Identifier: Apache-2.0
/// What RFC 9110 and 9112 ask of a request's head beyond what Boost.Beast checks: where it ends,
/// how its body is framed, whom it is for. Knows no socket.
#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "host/http/http_request.hpp"

namespace mirrornic {

/// A request that is refused by its head or its framing; the connection ends with the reply.
struct HttpFault : std::runtime_error {
    unsigned status;
    std::vector<std::pair<std::string, std::string>> headers;  ///< of the reply
    HttpFault(unsigned its_status, const std::string& why,
              std::vector<std::pair<std::string, std::string>> its_headers = {})
        : std::runtime_error(why), status(its_status), headers(std::move(its_headers)) {}
};

/// Finds lines that end with CR LF in bytes that come piece by piece, and refuses as soon as one
/// has a CR or LF by itself or another control character (RFC 9112, 2.2).
class LineScanner {
public:
    /// @param part what messages call the lines
    explicit LineScanner(const char* part) : part_(part) {}

    /// @param bytes those of the last call, and more
    /// @return the next line, without its end; nothing: its end has not come. @throws HttpFault
    std::optional<std::string_view> next(std::string_view bytes);
    std::size_t at() const { return at_; }  ///< so many bytes were looked at

private:
    const char* part_;
    std::size_t line_ = 0, at_ = 0;
};

/// Looks for a head's end in the bytes that have come, and refuses as soon as they can be none.
class HeadScanner {
public:
    struct Limits {
        std::size_t bytes, fields;
    };
    explicit HeadScanner(const Limits& limits) : limits_(limits) {}

    /// @param bytes all that have come: those of the last call, and more
    /// @return whether the head is there. @throws HttpFault
    bool scan(std::string_view bytes);

    // Of a head that is there:
    std::size_t begin() const { return begin_; }     ///< empty lines are before it
    std::size_t end() const { return lines_.at(); }  ///< past its empty line
    /// Where the digit of HTTP/1.x is that says more than 1, which is to be read as 1; 0: nowhere.
    std::size_t newer_minor() const { return newer_minor_; }

private:
    void end_line(std::string_view line);
    void end_request_line(std::string_view line);

    const Limits limits_;
    LineScanner lines_{"the header"};
    std::size_t begin_ = 0, fields_ = 0, newer_minor_ = 0;
    bool has_request_line_ = false, whole_ = false;
};

/// A body in chunks (RFC 9112, 7.1), as strict as the grammar: what another reader might take
/// otherwise could hide a request. Extensions are passed over; trailers are checked like headers,
/// and discarded (RFC 9110, 6.5.1).
class ChunkedBody {
public:
    struct Limits {
        std::size_t body;  ///< bytes of all chunks together
        std::size_t
            bytes;  ///< of a chunk's size and extensions, of all extensions, of the trailers
        std::size_t fields;  ///< trailers
    };
    explicit ChunkedBody(const Limits& limits) : limits_(limits) {}

    /// @param bytes that follow those that were taken before
    /// @return how many of them were taken now: to the body's end at most. @throws HttpFault
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

/// Whether the client waits for "100 Continue". @throws HttpFault: 417
bool expects_continue(const HttpRequest& request, unsigned minor);

/// Of a request with a body: that nothing but chunks codes it. @throws HttpFault: 415
void check_coding(const HttpRequest& request);

/// Takes path and query from the target, in whichever form it is, and sees to the Host header: that
/// of an absolute target is the target's. @param secure the connection is TLS. @throws HttpFault
void take_target(HttpRequest& request, std::string_view target, unsigned minor, bool secure);

}  // namespace mirrornic
