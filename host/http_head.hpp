// SPDX-License-Identifier: Apache-2.0
/// What RFC 9110 and 9112 ask of a request's head beyond what Boost.Beast checks: where it ends,
/// how its body is framed, whom it is for. Knows no socket.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "access.hpp"

namespace mirrornic {

/// A request that is refused by its head; the connection ends with the reply.
struct HttpFault : std::runtime_error {
    unsigned status;
    HttpFault(unsigned its_status, const std::string& why)
        : std::runtime_error(why), status(its_status) {}
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
    std::size_t begin() const { return begin_; }  ///< empty lines are before it
    std::size_t end() const { return at_; }       ///< past its empty line
    /// Where the digit of HTTP/1.x is that says more than 1, which is to be read as 1; 0: nowhere.
    std::size_t newer_minor() const { return newer_minor_; }

private:
    void end_line(std::string_view line);
    void end_request_line(std::string_view line);

    const Limits limits_;
    std::size_t begin_ = 0, line_ = 0, at_ = 0, fields_ = 0, newer_minor_ = 0;
    bool has_request_line_ = false, whole_ = false;
};

/// Checks Transfer-Encoding and Content-Length of a request's headers. @param minor of HTTP/1.x
/// @throws HttpFault
void check_framing(const HttpRequest& request, unsigned minor);

/// Whether the client waits for "100 Continue". @throws HttpFault: 417
bool expects_continue(const HttpRequest& request, unsigned minor);

/// Takes path and query from the target, in whichever form it is, and sees to the Host header: that
/// of an absolute target is the target's. @throws HttpFault
void take_target(HttpRequest& request, std::string_view target, unsigned minor);

}  // namespace mirrornic
