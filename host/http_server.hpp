// SPDX-License-Identifier: Apache-2.0
/// HTTP/1.1 on its caller's thread, with limits on everything that a client can make it hold.
/// Source: RFC 9112; Boost.Beast does the protocol.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "access.hpp"

namespace mirrornic {

struct HttpReply {
    unsigned status = 200;
    std::string content_type, body;
    std::vector<std::pair<std::string, std::string>> headers;  ///< further ones
};

struct HttpLimits {
    std::size_t header = 16 << 10;     ///< bytes
    std::size_t body = 1 << 20;        ///< bytes
    std::size_t connections = 256;     ///< at once; as many more get 503 and are closed
    std::chrono::seconds request{10};  ///< from a request's first byte to its last, and for a reply
    std::chrono::seconds idle{60};     ///< between requests
    std::chrono::seconds linger{1};    ///< from a last reply to the connection's end
};

struct HttpOptions {
    std::string address = "127.0.0.1";            ///< IPv4 or IPv6 literal
    std::uint16_t port = 4580;                    ///< 0: any free one
    std::optional<std::string> certificate, key;  ///< PEM files: with both, TLS
    HttpLimits limits;
};

class HttpServer {
public:
    /// Gives the reply to a request; to be called once, now or later. It is sent by poll() or
    /// wait().
    using Respond = std::function<void(HttpReply)>;
    /// Called for each request, by poll() or wait(). What it throws is answered with 500.
    using Handler =
        std::function<void(HttpRequest request, const std::string& peer, Respond respond)>;

    /// Binds and listens. @throws std::runtime_error that names address or file.
    HttpServer(const HttpOptions& options, Handler handler);
    ~HttpServer();

    /// "http://127.0.0.1:4580", with the port that was bound.
    std::string url() const;
    /// Calls `on_signal` for each of these signals, from poll() or wait().
    void watch(const std::vector<int>& signals, std::function<void(int)> on_signal);
    /// Calls `on_tick` again and again until stop(), from poll() or wait().
    void every(std::chrono::milliseconds period, std::function<void()> on_tick);
    /// Handles what has come.
    void poll();
    /// The same, when something has come, or wake() was called.
    void wait();
    /// From any thread.
    void wake();
    /// Takes no more requests; stopped() is true when all that were taken are answered.
    void stop();
    bool stopped() const;

    struct State;

private:
    std::shared_ptr<State> state_;
};

}  // namespace mirrornic
