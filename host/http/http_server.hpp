// SPDX-License-Identifier: Apache-2.0
/// HTTP/1.1 on its caller's thread, with limits on everything that a client can make it hold.
/// Not thread-safe but for wake(): all else, and what it calls, is on the thread that calls poll()
/// and wait(). Source: RFC 9110 and 9112; Boost.Beast parses.
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
    std::vector<std::pair<std::string, std::string>> headers = {};  ///< further ones
    /// A body in pieces, in place of `body`: called each time that the piece before has been sent,
    /// it gives the next one, or nothing at the end. An empty piece means that nothing is there
    /// yet: it is called again in the next poll() or wait(). One piece is held at a time. What it
    /// throws breaks the reply off, so that no client takes it for whole. Not called for HEAD.
    std::function<std::optional<std::string>()> more = nullptr;
};

struct HttpLimits {
    std::size_t header = 16 << 10;      ///< bytes of a request's line and headers; of its trailers
    std::size_t fields = 100;           ///< lines of a header
    std::size_t body = 1 << 20;         ///< bytes
    std::size_t connections = 256;      ///< at once
    std::size_t spare_descriptors = 4;  ///< that connections leave to the process's files
    std::size_t unfinished = 64;       ///< of these from one peer, before their first whole request
    std::chrono::seconds request{10};  ///< from a request's first byte to its last; for a reply, or
                                       ///< for one piece of a reply in pieces
    std::chrono::seconds idle{60};     ///< between requests
    std::chrono::seconds linger{1};    ///< from a last reply to the connection's end
    std::chrono::seconds stop{1};      ///< from stop() until stopped() is true in any case
};

/// Where to listen.
struct HttpListener {
    std::string address = "127.0.0.1";            ///< IPv4 or IPv6 literal
    std::uint16_t port = 4580;                    ///< 0: any free one
    std::optional<std::string> certificate, key;  ///< PEM files: with both, TLS
};

struct HttpOptions : HttpListener {
    std::vector<HttpListener> further;  ///< listener 0 is the one above, these are 1, 2, ...
    HttpLimits limits;
};

/// Where a request came from.
struct HttpPeer {
    std::string address;       ///< "127.0.0.1"
    std::size_t listener = 0;  ///< through which it came
};

class HttpServer {
public:
    /// Gives the reply to one request: to be called once, now or later; it is sent by poll() or
    /// wait(). Copies stand for the same request. When the last one goes away without a call, by an
    /// exception or a queue that is dropped, the reply is 503.
    class Respond {
    public:
        explicit Respond(std::function<void(HttpReply)> send);
        void operator()(HttpReply reply) const;  ///< a second call does nothing

    private:
        struct Once;
        std::shared_ptr<Once> once_;
    };
    /// Called for each request, by poll() or wait(). What it throws is answered with 500.
    using Handler = std::function<void(HttpRequest request, const HttpPeer& peer, Respond respond)>;

    /// Called with the reply to what is refused before it is a request, which may be given further
    /// headers, and the reason. Of a failed TLS handshake the status is 0, and nobody gets a reply.
    using OnRefusal =
        std::function<void(const HttpPeer& peer, const std::string& why, HttpReply& reply)>;

    /// Binds and listens. @throws std::runtime_error that names address or file.
    HttpServer(const HttpOptions& options, Handler handler, OnRefusal on_refusal = nullptr);
    /// Closes all connections. A Respond that is left may be called, and does nothing.
    ~HttpServer();

    /// "http://127.0.0.1:4580", with the port that was bound.
    std::string url(std::size_t listener = 0) const;
    std::size_t connections() const;  ///< that are open, of all listeners
    std::uint64_t displaced() const;  ///< connections that made room because descriptors ran out
    /// Whether, in the last 10 seconds, connections made room because descriptors ran out.
    bool lacks_descriptors() const;
    /// Calls `on_signal` for each of these signals, from poll() or wait(). From the server's end on
    /// they are ignored.
    void watch(const std::vector<int>& signals, std::function<void(int)> on_signal);
    /// Calls `on_tick` again and again until stop(), from poll() or wait().
    void every(std::chrono::milliseconds period, std::function<void()> on_tick);
    /// Handles what has come, for about 5 ms at most: what is left waits for the next call.
    void poll();
    /// The same, when something has come, wake() was called, or a reply in pieces waits for its
    /// next one (then within a millisecond). Returns at once when stopped() is true.
    void wait();
    /// From any thread.
    void wake();
    /// Takes no more connections and closes those that have sent nothing. Requests whose last byte
    /// has arrived are answered; who is slow to send or to read has HttpLimits::stop.
    /// `while (!stopped()) wait();` ends within that limit.
    void stop();
    bool stopped() const;

    struct State;

private:
    void end();
    std::shared_ptr<State> state_;
};

}  // namespace mirrornic
