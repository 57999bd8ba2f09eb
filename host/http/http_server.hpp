// SPDX-License-Identifier: Apache-2.0
/// An HTTP/1.1 server, with limits on everything that a client can make it hold. It has no thread:
/// it works, and calls its callbacks, within poll() and wait(). Not thread-safe, except wake().
/// Boost.Beast parses. Source: RFC 9110 and 9112.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "host/http/http_request.hpp"

namespace mirrornic {

struct HttpReply {
    unsigned status = 200;
    std::string content_type, body;
    std::vector<std::pair<std::string, std::string>> headers = {};  ///< more headers
    /// Gives a body in pieces, instead of `body`. It is called each time that the last piece has
    /// been sent, and returns the next piece, or nothing at the end. An empty piece means that none
    /// is ready yet: it is called again in the next poll() or wait(). One piece is held at a time.
    /// If it throws, the reply is broken off, so that no client takes it for complete. Not called
    /// for HEAD.
    std::function<std::optional<std::string>()> more = nullptr;
};

struct HttpLimits {
    std::size_t header = 16 << 10;      ///< bytes of a request's line and headers; of its trailers
    std::size_t fields = 100;           ///< lines of a header
    std::size_t body = 1 << 20;         ///< bytes
    std::size_t connections = 256;      ///< at once
    std::size_t spare_descriptors = 4;  ///< kept free for the process's files
    std::size_t unfinished = 64;        ///< of one peer that have sent no whole request yet
    /// From a request's first byte to its last. The same for sending a reply, or one piece of it.
    std::chrono::seconds request{10};
    std::chrono::seconds idle{60};   ///< between requests
    std::chrono::seconds linger{1};  ///< from the last reply to the connection's end
    std::chrono::seconds stop{1};    ///< from stop() until stopped() is true in any case
};

/// Where to listen.
struct HttpListener {
    std::string address = "127.0.0.1";            ///< IPv4 or IPv6 literal
    std::uint16_t port = 4580;                    ///< 0: any free one
    std::optional<std::string> certificate, key;  ///< PEM files: with both, TLS
};

struct HttpOptions : HttpListener {
    std::vector<HttpListener> further;  ///< numbers 1, 2, ...; this one is number 0
    HttpLimits limits;
};

/// Where a request came from.
struct HttpPeer {
    std::string address;       ///< "127.0.0.1"
    std::size_t listener = 0;  ///< number of the listener through which it came
};

class HttpServer {
public:
    /// Takes the reply to one request. To be called once, now or later; poll() or wait() sends the
    /// reply. Copies stand for the same request. If the last copy is destroyed without a call, by
    /// an exception or with a queue, the reply is 503.
    class Respond {
    public:
        explicit Respond(std::function<void(HttpReply)> send);
        void operator()(HttpReply reply) const;  ///< a second call does nothing

    private:
        struct Once;
        std::shared_ptr<Once> once_;
    };
    /// Called for each request, by poll() or wait(). If it throws, the reply is 500.
    using Handler = std::function<void(HttpRequest request, const HttpPeer& peer, Respond respond)>;

    /// Called when bytes are refused that do not become a request, with the reason and the reply,
    /// to which it may add headers. After a failed TLS handshake the status is 0, and no reply is
    /// sent.
    using OnRefusal =
        std::function<void(const HttpPeer& peer, const std::string& why, HttpReply& reply)>;

    /// Binds and listens. @throws std::runtime_error that names the address or file.
    HttpServer(const HttpOptions& options, Handler handler, OnRefusal on_refusal = nullptr);
    /// Closes all connections. A Respond may outlive the server; calling it then does nothing.
    ~HttpServer();

    /// "http://127.0.0.1:4580", with the port that was bound.
    std::string url(std::size_t listener = 0) const;
    std::size_t connections() const;  ///< that are open, of all listeners
    std::uint64_t displaced() const;  ///< how many were closed because descriptors ran out
    /// Whether a connection was closed in the last 10 seconds because descriptors ran out.
    bool lacks_descriptors() const;
    /// Calls `on_signal` for each of these signals, from poll() or wait(). When the server is
    /// destroyed, the signals are ignored from then on.
    void watch(const std::vector<int>& signals, std::function<void(int)> on_signal);
    /// Calls `on_tick` once in each period until stop(), from poll() or wait().
    void every(std::chrono::milliseconds period, std::function<void()> on_tick);
    /// Handles what has arrived, for about 5 ms at most; the rest waits for the next call.
    void poll();
    /// Blocks until something arrives or wake() is called, and then does what poll() does. It
    /// blocks for a millisecond at most while a reply in pieces waits for its next piece, and not
    /// at all when stopped() is true.
    void wait();
    /// Makes wait() return. May be called from any thread.
    void wake();
    /// Takes no more connections and closes those that have sent nothing. Requests that have
    /// arrived whole are answered. Slow clients have HttpLimits::stop to send or read the rest, so
    /// `while (!stopped()) wait();` ends within that time.
    void stop();
    bool stopped() const;

    struct State;

private:
    void end();
    std::shared_ptr<State> state_;
};

}  // namespace mirrornic
