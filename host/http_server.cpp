// SPDX-License-Identifier: Apache-2.0
#include "http_server.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <list>

namespace mirrornic {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;
using tcp = asio::ip::tcp;

struct HttpServer::State : std::enable_shared_from_this<State> {
    State(const HttpOptions& http_options, Handler request_handler)
        : options(http_options), handler(std::move(request_handler)) {}

    HttpOptions options;
    Handler handler;
    asio::io_context io{1};
    tcp::acceptor acceptor{io};
    std::optional<asio::ssl::context> tls;
    std::size_t connections = 0;
    std::size_t busy = 0;                   ///< requests whose reply has not been written
    std::list<std::function<void()>> idle;  ///< closes a connection between requests; longest first
    bool stopping = false;
    std::function<void(int)> on_signal;
    std::optional<asio::signal_set> signals;
    asio::steady_timer retry{io}, tick{io};

    void accept();
    void await_signal();
    void await_tick(std::chrono::milliseconds period, std::function<void()> on_tick);
};

namespace {

constexpr std::chrono::microseconds awake{100};

HttpReply plain(unsigned status, const std::string& text) {
    return {status, "text/plain; charset=utf-8", text + "\n", {}};
}

}  // namespace

/// One connection: reads a request, has it answered, and so on.
template <class Stream>
class Connection : public std::enable_shared_from_this<Connection<Stream>> {
public:
    template <class... Arguments>
    Connection(std::shared_ptr<HttpServer::State> server, std::string peer,
               Arguments&&... arguments)
        : server_(std::move(server)),
          peer_(std::move(peer)),
          stream_(std::forward<Arguments>(arguments)...) {
        ++server_->connections;
    }
    ~Connection() { --server_->connections; }

    void start() {
        if constexpr (!std::is_same_v<Stream, beast::tcp_stream>) {
            lowest().expires_after(limits().request);
            stream_.async_handshake(asio::ssl::stream_base::server,
                                    [self = this->shared_from_this()](error_code error) {
                                        if (!error) self->await_request();
                                    });
        } else {
            await_request();
        }
    }

    /// Answers without a request, and closes.
    void refuse() {
        ++server_->busy;
        send(plain(503, "too many connections"));
    }

private:
    const HttpLimits& limits() const { return server_->options.limits; }
    beast::tcp_stream& lowest() { return beast::get_lowest_layer(stream_); }

    void await_request() {
        if (server_->stopping) return close();
        parser_.emplace();
        parser_->header_limit(static_cast<std::uint32_t>(limits().header));
        parser_->body_limit(limits().body);
        if (buffer_.size() != 0) return read();
        lowest().expires_after(limits().idle);
        const auto idle =
            server_->idle.insert(server_->idle.end(), [self = this->weak_from_this()] {
                if (const auto connection = self.lock()) connection->lowest().cancel();
            });
        stream_.async_read_some(buffer_.prepare(4096), [self = this->shared_from_this(), idle](
                                                           error_code error, std::size_t size) {
            self->server_->idle.erase(idle);
            if (error) return;  // it went away, was idle for too long, or made room for another
            self->buffer_.commit(size);
            self->read();
        });
    }

    void read() {
        lowest().expires_after(limits().request);
        http::async_read(stream_, buffer_, *parser_,
                         [self = this->shared_from_this()](error_code error, std::size_t) {
                             self->handle(error);
                         });
    }

    void handle(error_code error) {
        keep_alive_ = false;
        ++server_->busy;
        if (error == http::error::header_limit) return send(plain(431, "the header is too long"));
        if (error == http::error::body_limit) return send(plain(413, "the body is too long"));
        if (error.category() == http::make_error_code(http::error::bad_method).category() &&
            error != http::error::end_of_stream && error != http::error::partial_message)
            return send(plain(400, "not an HTTP/1.1 request: " + error.message()));
        if (error) {
            done();
            return close();
        }

        auto message = parser_->release();
        keep_alive_ = message.keep_alive();
        head_ = message.method() == http::verb::head;
        version_ = message.version();
        HttpRequest request;
        request.method = std::string(message.method_string());
        const std::string target(message.target());
        const auto mark = target.find('?');
        request.path = target.substr(0, mark);
        if (mark != std::string::npos) request.query = target.substr(mark + 1);
        for (const auto& field : message)
            request.headers.emplace_back(std::string(field.name_string()),
                                         std::string(field.value()));
        request.body = std::move(message.body());
        lowest().expires_never();
        const auto respond = [self = this->shared_from_this()](HttpReply reply) {
            self->send(std::move(reply));
        };
        try {
            server_->handler(std::move(request), peer_, respond);
        } catch (const std::exception&) {
            send(plain(500, "internal error"));
        }
    }

    void send(HttpReply reply) {
        auto response = std::make_shared<http::response<http::string_body>>(
            static_cast<http::status>(reply.status), version_);
        response->set(http::field::server, "mirrornic");
        response->set(http::field::date, http_date());
        response->set(http::field::content_type, reply.content_type);
        for (const auto& [name, value] : reply.headers) response->set(name, value);
        response->keep_alive(keep_alive_ && !server_->stopping);
        response->body() = std::move(reply.body);
        response->prepare_payload();
        if (head_) response->body().clear();
        lowest().expires_after(limits().request);
        http::async_write(
            stream_, *response,
            [self = this->shared_from_this(), response](error_code error, std::size_t) {
                self->done();
                if (error) return;
                if (response->need_eof()) return self->close();
                self->await_request();
            });
    }

    void done() { --server_->busy; }

    /// Ends our side and takes what still comes for a while: a socket that is closed with unread
    /// bytes resets its connection, and the client may never see the reply.
    void close() {
        error_code error;
        lowest().socket().shutdown(tcp::socket::shutdown_send, error);
        if (error || server_->stopping) return;
        lowest().expires_after(limits().linger);
        drain();
    }

    void drain() {
        buffer_.clear();
        lowest().async_read_some(buffer_.prepare(4096),
                                 [self = this->shared_from_this()](error_code error, std::size_t) {
                                     if (!error) self->drain();
                                 });
    }

    static std::string http_date() {
        const std::time_t now = std::time(nullptr);
        std::tm parts{};
        gmtime_r(&now, &parts);
        char text[40];
        std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
        return text;
    }

    const std::shared_ptr<HttpServer::State> server_;
    const std::string peer_;
    Stream stream_;
    beast::flat_buffer buffer_;
    std::optional<http::request_parser<http::string_body>> parser_;
    bool keep_alive_ = false, head_ = false;
    unsigned version_ = 11;
};

void HttpServer::State::accept() {
    acceptor.async_accept([self = shared_from_this()](error_code error, tcp::socket socket) {
        if (self->stopping || !self->acceptor.is_open()) return;
        if (error) {  // out of descriptors, say: others may end meanwhile
            self->retry.expires_after(std::chrono::milliseconds(50));
            self->retry.async_wait([self](error_code) { self->accept(); });
            return;
        }
        error_code ignored;
        socket.set_option(tcp::no_delay(true), ignored);
        const auto remote = socket.remote_endpoint(ignored);
        const std::string peer = ignored ? "" : remote.address().to_string();
        const auto limit = self->options.limits.connections;
        bool full = self->connections >= limit;
        if (full && !self->idle.empty()) {
            self->idle.splice(self->idle.end(), self->idle, self->idle.begin());
            self->idle.back()();
            full = self->connections >= 2 * limit;
        }
        if (self->tls && !full) {
            std::make_shared<Connection<beast::ssl_stream<beast::tcp_stream>>>(
                self, peer, std::move(socket), *self->tls)
                ->start();
        } else if (!full) {
            std::make_shared<Connection<beast::tcp_stream>>(self, peer, std::move(socket))->start();
        } else if (!self->tls && self->connections < 2 * limit) {
            std::make_shared<Connection<beast::tcp_stream>>(self, peer, std::move(socket))
                ->refuse();
        }
        self->accept();
    });
}

void HttpServer::State::await_signal() {
    signals->async_wait([self = shared_from_this()](error_code error, int number) {
        if (error) return;
        self->on_signal(number);
        if (!self->stopping) self->await_signal();
    });
}

void HttpServer::State::await_tick(std::chrono::milliseconds period,
                                   std::function<void()> on_tick) {
    tick.expires_after(period);
    tick.async_wait([self = shared_from_this(), period,
                     on_tick = std::move(on_tick)](error_code error) mutable {
        if (error || self->stopping) return;
        on_tick();
        self->await_tick(period, std::move(on_tick));
    });
}

HttpServer::HttpServer(const HttpOptions& options, Handler handler)
    : state_(std::make_shared<State>(options, std::move(handler))) {
    State& state = *state_;
    if (options.certificate && options.key) {
        state.tls.emplace(asio::ssl::context::tls_server);
        state.tls->set_options(asio::ssl::context::default_workarounds |
                               asio::ssl::context::no_sslv2 | asio::ssl::context::no_sslv3 |
                               asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1);
        error_code error;
        state.tls->use_certificate_chain_file(*options.certificate, error);
        if (error) throw std::runtime_error(*options.certificate + ": " + error.message());
        state.tls->use_private_key_file(*options.key, asio::ssl::context::pem, error);
        if (error) throw std::runtime_error(*options.key + ": " + error.message());
    }
    try {
        const tcp::endpoint endpoint(asio::ip::make_address(options.address), options.port);
        state.acceptor.open(endpoint.protocol());
        state.acceptor.set_option(tcp::acceptor::reuse_address(true));
        state.acceptor.bind(endpoint);
        state.acceptor.listen();
    } catch (const boost::system::system_error& error) {
        throw std::runtime_error("cannot listen on " + options.address + " port " +
                                 std::to_string(options.port) + ": " + error.code().message());
    }
    state.accept();
}

HttpServer::~HttpServer() = default;

std::string HttpServer::url() const {
    const auto endpoint = state_->acceptor.local_endpoint();
    const std::string address = endpoint.address().to_string();
    return std::string(state_->tls ? "https://" : "http://") +
           (endpoint.address().is_v6() ? "[" + address + "]" : address) + ":" +
           std::to_string(endpoint.port());
}

void HttpServer::watch(const std::vector<int>& signals, std::function<void(int)> on_signal) {
    state_->on_signal = std::move(on_signal);
    state_->signals.emplace(state_->io);
    for (const int number : signals) state_->signals->add(number);
    state_->await_signal();
}

void HttpServer::every(std::chrono::milliseconds period, std::function<void()> on_tick) {
    state_->await_tick(period, std::move(on_tick));
}

void HttpServer::poll() { state_->io.poll(); }

void HttpServer::wait() {
    // Who has just got a reply often asks again at once: waking up would cost more than looking.
    const auto asleep = std::chrono::steady_clock::now() + awake;
    do {
        if (state_->io.poll() != 0) return;
    } while (std::chrono::steady_clock::now() < asleep);
    state_->io.run_one();
    state_->io.poll();
}

void HttpServer::wake() {
    asio::post(state_->io, [] {});
}

void HttpServer::stop() {
    state_->stopping = true;
    error_code ignored;
    state_->acceptor.close(ignored);
    state_->retry.cancel();
    state_->tick.cancel();
    wake();
}

bool HttpServer::stopped() const { return state_->stopping && state_->busy == 0; }

}  // namespace mirrornic
