// SPDX-License-Identifier: Apache-2.0
/// A request as the HTTP server hands it on. It keeps what a signature is made over as it was sent.
/// Source: RFC 9112, section 2.1.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace mirrornic {

/// An HTTP/1.1 request.
struct HttpRequest {
    std::string method;  ///< "GET"
    std::string path;    ///< as sent, before "?"; percent-encoded
    std::string query;   ///< as sent, after "?"; empty when there is none
    std::vector<std::pair<std::string, std::string>> headers;  ///< in order, repeated ones too
    std::string body;
};

}  // namespace mirrornic
