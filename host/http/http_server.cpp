// SPDX-License-Identifier: Apache-2.0
#include "host/http/http_server.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <list>

#include "host/http/http_head.hpp"

namespace mirrornic {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;
using tcp = asio::ip::tcp;
using Clock = std::chrono::steady_clock;

namespace {

constexpr std::chrono::microseconds awake{100};       // wait() looks so long before it sleeps
constexpr std::chrono::milliseconds turn{5};          // of poll()
constexpr std::chrono::milliseconds ask_again{1};     // for the next piece of a reply
constexpr std::chrono::milliseconds look_after{100};  // from one look at the deadlines to the next
constexpr std::size_t own_files = 128;        // descriptors of the process beside connections
constexpr std::chrono::seconds scarcity{10};  // so long after the last lack of descriptors
constexpr std::chrono::seconds stalled{1};    // a client that reads nothing so long makes room

/// What a connection waits for. When room is needed, connections in the first of these phases are
/// closed first.
enum class Phase {
    closing,   ///< that the peer closes it
    fresh,     ///< its first whole request
    idle,      ///< the first byte of a further request
    reading,   ///< the last byte of a further request
    writing,   ///< that the peer reads the reply
    handling,  ///< the handler's reply
};
constexpr std::size_t phases = 6;

HttpReply plain(unsigned status, const std::string& text) {
    return {status, "text/plain; charset=utf-8", text + "\n"};
}

std::string http_date() {
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    gmtime_r(&now, &parts);
    char text[40];
    std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    return text;
}

}  // namespace

/// A connection as the server sees it, of HTTP or of TLS.
class Place : public std::enable_shared_from_this<Place> {
public:
    Place(std::shared_ptr<HttpServer::State> server, HttpPeer peer, std::string network);
    virtual ~Place();
    Place(const Place&) = delete;

    virtual void start() = 0;
    /// Replies 503 before any request has come, and closes.
    virtual void refuse() = 0;
    /// Closes the connection with a proper end, if no byte of the request has come for which it
    /// waits.
    virtual void end_idle() = 0;
    /// Ends the connection because its time is over, or because another one needs its place.
    virtual void expire() = 0;
    /// Closes at once. A request that the handler has is first answered with 503.
    virtual void abort() = 0;
    /// Closes at once, without any reply.
    virtual void close_now() = 0;
    virtual bool holds_socket() const = 0;
    /// Asks for the next piece of the reply.
    virtual void ask() = 0;

    const std::string& network() const { return network_; }
    Clock::time_point since() const { return since_; }
    Clock::time_point deadline() const { return deadline_; }

protected:
    /// Enters a phase, as the last connection in it to make room. @param limit how long it may last
    void enter(Phase phase, std::chrono::seconds limit = std::chrono::seconds::max());
    Phase phase() const { return phase_; }

    const std::shared_ptr<HttpServer::State> server_;
    const HttpPeer peer_;

private:
    const std::string network_;
    Phase phase_ = Phase::fresh;
    std::list<Place*>::iterator where_;
    Clock::time_point since_ = Clock::now(), deadline_ = Clock::time_point::max();
};

struct HttpServer::State : std::enable_shared_from_this<State> {
    State(const HttpLimits& http_limits, Handler request_handler, OnRefusal refusal_handler)
        : limits(http_limits),
          handler(std::move(request_handler)),
          on_refusal(std::move(refusal_handler)) {}

    struct Listener {
        Listener(asio::io_context& io, std::size_t its_number)
            : number(its_number), acceptor(io), retry(io) {}
        const std::size_t number;
        tcp::acceptor acceptor;
        std::string url;  ///< where it listens, or did until the stop
        asio::steady_timer retry;
        std::optional<asio::ssl::context> tls;
    };

    const HttpLimits limits;
    Handler handler;
    OnRefusal on_refusal;
    asio::io_context io{1};
    /// Keeps the context alive: it would stop for ever as soon as it has nothing to do.
    asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
    std::list<Listener> listeners;
    std::list<Place*> places[phases];  ///< in each phase those first that entered it first
    std::vector<std::shared_ptr<Place>> asking;  ///< whose reply's next piece is not there yet
    bool stopping = false, cut = false;          ///< cut: HttpLimits::stop is over
    std::size_t accepting = 0;                   ///< listeners that await a connection
    std::uint64_t displaced = 0;
    std::optional<Clock::time_point> short_since;  ///< the last time that descriptors were
    std::function<void(int)> on_signal;
    std::optional<asio::signal_set> signals;
    asio::steady_timer watch{io}, end{io};
    std::list<asio::steady_timer> ticks;
    bool watching = false;

    std::list<Place*>& in(Phase phase) { return places[static_cast<std::size_t>(phase)]; }
    std::size_t connections() const;
    void listen(const HttpListener& at);
    void accept(Listener& listener);
    void take(Listener& listener, tcp::socket socket);
    bool make_room(const std::string& network, bool scarce);
    Place* first_to_go(bool scarce);
    bool make_room_at_once();
    bool runs_short(int socket);
    void await_signal();
    void await_tick(asio::steady_timer& timer, std::chrono::milliseconds period,
                    std::function<void()> on_tick);
    void watch_deadlines();
    std::vector<std::shared_ptr<Place>> all();
    void abort();
    void ask();
    bool run();
};

// --- Respond -------------------------------------------------------------------------------------

struct HttpServer::Respond::Once {
    explicit Once(std::function<void(HttpReply)> its_send) : send(std::move(its_send)) {}
    ~Once() {
        if (!send) return;
        try {
            send(plain(503, "the request could not be handled; try again"));
        } catch (...) {  // a destructor has nobody to tell
        }
    }
    Once(const Once&) = delete;

    std::function<void(HttpReply)> send;
};

HttpServer::Respond::Respond(std::function<void(HttpReply)> send)
    : once_(std::make_shared<Once>(std::move(send))) {}

void HttpServer::Respond::operator()(HttpReply reply) const {
    if (const auto send = std::exchange(once_->send, nullptr)) send(std::move(reply));
}

// --- Connections ---------------------------------------------------------------------------------

Place::Place(std::shared_ptr<HttpServer::State> server, HttpPeer peer, std::string network)
    : server_(std::move(server)), peer_(std::move(peer)), network_(std::move(network)) {
    auto& fresh = server_->in(phase_);
    where_ = fresh.insert(fresh.end(), this);
    server_->watch_deadlines();
}

Place::~Place() { server_->in(phase_).erase(where_); }

void Place::enter(Phase phase, std::chrono::seconds limit) {
    auto& to = server_->in(phase);
    if (phase != Phase::fresh || phase_ != Phase::fresh)  // who is slow does not move back
        to.splice(to.end(), server_->in(phase_), where_);
    phase_ = phase;
    since_ = Clock::now();
    deadline_ = limit == std::chrono::seconds::max() ? Clock::time_point::max() : since_ + limit;
}

/// One connection: reads a request, has it answered, and so on.
template <class Stream>
class Connection : public Place {
public:
    static constexpr bool tls = !std::is_same_v<Stream, tcp::socket>;

    template <class... Arguments>
    Connection(std::shared_ptr<HttpServer::State> server, HttpPeer peer, std::string network,
               Arguments&&... arguments)
        : Place(std::move(server), std::move(peer), std::move(network)),
          stream_(std::forward<Arguments>(arguments)...) {}

    void start() override {
        if constexpr (tls) {
            if (server_->stopping) return;  // no request can have come
            enter(Phase::fresh, limits().request);
            stream_.async_handshake(asio::ssl::stream_base::server,
                                    [self = self()](error_code error) {
                                        self->shaken_ = !error;
                                        if (!error) return self->await_request();
                                        self->tell_handshake(error);
                                    });
        } else {
            await_request();
        }
    }

    void refuse() override {
        if (tls) return;  // there is no way to say so before a handshake
        refuse({503, "too many connections"});
    }

    void end_idle() override {
        if (awaits_ && !has_more()) stop_reading();
    }

    void expire() override {
        if (reads_)
            stop_reading();
        else
            close_now();
    }

    void abort() override {
        if (phase() == Phase::handling && !pieces_) send(plain(503, "the service stops"));
        close_now();
    }

    void close_now() override {
        error_code ignored;
        socket().close(ignored);
        enter(Phase::closing, limits().linger);
    }

    bool holds_socket() const override { return beast::get_lowest_layer(stream_).is_open(); }

    void ask() override {
        if (open() && pieces_) send_piece();
    }

private:
    std::shared_ptr<Connection> self() {
        return std::static_pointer_cast<Connection>(shared_from_this());
    }
    const HttpLimits& limits() const { return server_->limits; }
    tcp::socket& socket() { return beast::get_lowest_layer(stream_); }
    bool open() { return socket().is_open(); }

    /// Reports a failed handshake to on_refusal, if it failed by what the peer has sent. That the
    /// peer has gone is not reported.
    void tell_handshake(error_code error) {
        if (error.category() != asio::error::get_ssl_category() || !server_->on_refusal) return;
        const bool http =
            ERR_GET_REASON(static_cast<unsigned long>(error.value())) == SSL_R_HTTP_REQUEST;
        HttpReply nobody_reads{0, "", ""};
        try {
            server_->on_refusal(peer_,
                                http ? "a plain HTTP request has come, and this port speaks TLS: "
                                       "ask for https://"
                                     : "no TLS: " + error.message(),
                                nobody_reads);
        } catch (const std::exception&) {  // nobody to tell
        }
    }

    /// Cancels the read of a request. The connection is then closed with a proper end.
    void stop_reading() {
        error_code ignored;
        socket().cancel(ignored);
    }

    /// Whether bytes have arrived that were not looked at yet.
    bool has_more() {
        error_code error;
        if (buffer_.size() != 0 || socket().available(error) != 0) return true;
        if constexpr (tls)
            return SSL_pending(stream_.native_handle()) != 0 ||
                   BIO_pending(SSL_get_rbio(stream_.native_handle())) != 0;
        return false;
    }

    void await_request() {
        if (server_->stopping && !has_more()) return close();
        scanner_.emplace(HeadScanner::Limits{limits().header, limits().fields});
        head_ = false;
        version_ = 11;
        parser_.emplace();
        parser_->header_limit(static_cast<std::uint32_t>(2 * limits().header));
        parser_->body_limit(limits().body);
        if (buffer_.size() != 0) return read();
        enter(finished_ ? Phase::idle : Phase::fresh, limits().idle);
        awaits_ = true;
        read_more();
    }

    void read() {
        enter(finished_ ? Phase::reading : Phase::fresh, limits().request);
        read_head();
    }

    void read_more() {
        reads_ = true;
        const auto size = std::min<std::size_t>(4096, buffer_.max_size() - buffer_.size());
        stream_.async_read_some(buffer_.prepare(size),
                                [self = self()](error_code error, std::size_t got) {
                                    const bool first = std::exchange(self->awaits_, false);
                                    self->reads_ = false;
                                    if (error) return self->close(first && self->server_->stopping);
                                    self->buffer_.commit(got);
                                    first ? self->read() : self->read_head();
                                });
    }

    void read_head() {
        const auto bytes = buffer_.data();
        try {
            if (scanner_->scan({static_cast<const char*>(bytes.data()), bytes.size()}))
                take_head();
            else
                read_more();
        } catch (const HttpFault& fault) {
            refuse(fault);
        }
    }

    void refuse(const HttpFault& fault) {
        keep_alive_ = false;
        HttpReply reply = plain(fault.status, fault.what());
        reply.headers = fault.headers;
        try {
            if (server_->on_refusal) server_->on_refusal(peer_, fault.what(), reply);
        } catch (const std::exception&) {  // it is refused all the same
        }
        send(std::move(reply));
    }

    /// Called when the whole head is in the buffer. Beast parses it. Before the body is read, the
    /// checks are made that Beast does not make.
    void take_head() {
        if (const auto at = scanner_->newer_minor())  // RFC 9110, 2.5
            static_cast<char*>(buffer_.data().data())[at] = '1';
        buffer_.consume(scanner_->begin());
        error_code error;
        const auto size = scanner_->end() - scanner_->begin();
        buffer_.consume(parser_->put(asio::buffer(buffer_.data(), size), error));
        if (error) return refuse_body(error);
        const auto& message = parser_->get();
        head_ = message.method() == http::verb::head;
        version_ = message.version();
        const unsigned minor = version_ - 10;
        request_ = {};
        chunks_.reset();
        request_.method = std::string(message.method_string());
        for (const auto& field : message)
            request_.headers.emplace_back(std::string(field.name_string()),
                                          std::string(field.value()));
        check_framing(request_, minor);
        take_target(request_, {message.target().data(), message.target().size()}, minor, tls);
        const bool expects = expects_continue(request_, minor);
        keep_alive_ = parser_->keep_alive();
        if (parser_->is_done()) return handle();
        check_coding(request_);
        if (parser_->chunked())
            chunks_.emplace(ChunkedBody::Limits{limits().body, limits().header, limits().fields});
        if (expects && buffer_.size() == 0)
            asio::async_write(stream_, asio::buffer("HTTP/1.1 100 Continue\r\n\r\n", 25),
                              [self = self()](error_code failure, std::size_t) {
                                  if (failure) return self->close_now();
                                  self->read_body();
                              });
        else
            read_body();
    }

    void read_body() {
        if (chunks_) return read_chunks();
        reads_ = true;
        http::async_read(stream_, buffer_, *parser_,
                         [self = self()](error_code error, std::size_t) {
                             self->reads_ = false;
                             if (error) return self->refuse_body(error);
                             self->handle();
                         });
    }

    /// Reads a body in chunks. Beast's parser is not used, because it accepts more than the
    /// grammar.
    void read_chunks() {
        const auto bytes = buffer_.data();
        try {
            buffer_.consume(chunks_->take({static_cast<const char*>(bytes.data()), bytes.size()}));
        } catch (const HttpFault& fault) {
            return refuse(fault);
        }
        if (chunks_->whole()) return handle();
        reads_ = true;
        stream_.async_read_some(buffer_.prepare(buffer_.max_size() - buffer_.size()),
                                [self = self()](error_code error, std::size_t got) {
                                    self->reads_ = false;
                                    if (error) return self->close();
                                    self->buffer_.commit(got);
                                    self->read_chunks();
                                });
    }

    void refuse_body(error_code error) {
        static const auto& of_http = http::make_error_code(http::error::bad_method).category();
        if (error == http::error::body_limit) return refuse({413, "the body is too long"});
        if (error.category() != of_http || error == http::error::end_of_stream ||
            error == http::error::partial_message)
            return close();
        refuse({400, "not an HTTP/1.1 request: " + error.message()});
    }

    /// Called when the request is complete. Trailers are not added to its headers (RFC
    /// 9110, 6.5.1).
    void handle() {
        finished_ = true;
        enter(Phase::handling);
        request_.body = std::move(chunks_ ? chunks_->text() : parser_->get().body());
        const HttpServer::Respond respond([self = self()](HttpReply reply) {
            if (self->phase() == Phase::handling && self->open()) self->send(std::move(reply));
        });
        try {
            if (server_->handler) server_->handler(std::move(request_), peer_, respond);
        } catch (const std::exception&) {
            respond(plain(500, "internal error"));
        }
    }

    void send(HttpReply reply) {
        enter(Phase::writing, limits().request);
        if (reply.more) return send_head(std::move(reply));
        auto response = std::make_shared<http::response<http::string_body>>(
            static_cast<http::status>(reply.status), version_);
        set_fields(*response, reply);
        response->body() = std::move(reply.body);
        response->prepare_payload();
        if (head_) response->body().clear();
        http::async_write(stream_, *response,
                          [self = self(), response](error_code error, std::size_t) {
                              self->sent(error, response->need_eof());
                          });
    }

    template <class Response>
    void set_fields(Response& response, const HttpReply& reply) {
        response.set(http::field::server, "mirrornic");
        response.set(http::field::date, http_date());
        response.set(http::field::content_type, reply.content_type);
        for (const auto& [name, value] : reply.headers) response.set(name, value);
        response.keep_alive(keep_alive_ && (!server_->stopping || has_more()));
    }

    void sent(error_code error, bool last) {
        if (error) return close_now();
        if (last) return close();
        await_request();
    }

    // A reply in pieces: chunked in HTTP/1.1; before, its end is that of the connection.

    struct Pieces {
        http::response<http::empty_body> head;
        http::response_serializer<http::empty_body> serializer{head};
        std::function<std::optional<std::string>()> more;
        std::string piece;
    };

    void send_head(HttpReply reply) {
        pieces_ = std::make_unique<Pieces>();
        pieces_->more = std::move(reply.more);
        auto& head = pieces_->head;
        head.result(reply.status);
        head.version(version_);
        if (version_ < 11) keep_alive_ = false;
        set_fields(head, reply);
        head.chunked(version_ >= 11);
        http::async_write_header(stream_, pieces_->serializer,
                                 [self = self()](error_code error, std::size_t) {
                                     if (error) return self->close_now();
                                     if (self->head_) return self->end_pieces();
                                     self->send_piece();
                                 });
    }

    void send_piece() {
        std::optional<std::string> piece;
        try {
            piece = pieces_->more();
        } catch (const std::exception&) {
            return break_off();
        }
        const auto next = [self = self()](error_code error, std::size_t) {
            if (error) return self->close_now();
            self->send_piece();
        };
        if (!piece) {
            if (version_ < 11) return end_pieces();
            asio::async_write(stream_, http::make_chunk_last(),
                              [self = self()](error_code error, std::size_t) {
                                  if (error) return self->close_now();
                                  self->end_pieces();
                              });
        } else if (piece->empty()) {
            enter(Phase::handling);
            server_->asking.push_back(self());
        } else {
            enter(Phase::writing, limits().request);
            pieces_->piece = std::move(*piece);
            if (version_ < 11)
                asio::async_write(stream_, asio::buffer(pieces_->piece), next);
            else
                asio::async_write(stream_, http::make_chunk(asio::buffer(pieces_->piece)), next);
        }
    }

    void end_pieces() {
        const bool last = pieces_->head.need_eof();
        pieces_.reset();
        sent({}, last);
    }

    /// Breaks a reply off so that no client takes it for complete. In HTTP/1.1 the last chunk is
    /// missing then. Before HTTP/1.1 there are no chunks, and only a reset of the connection shows
    /// it.
    void break_off() {
        pieces_.reset();
        if (version_ >= 11) return close();
        error_code ignored;
        socket().set_option(asio::socket_base::linger(true, 0), ignored);
        close_now();
    }

    /// Closes the sending side, and reads for a while what still comes. A socket that is closed
    /// with unread bytes would reset the connection, and the client might never see the reply.
    /// @param at_once true: no reply is under way, so the connection may be closed now
    void close(bool at_once = false) {
        if (!open()) return;
        enter(Phase::closing, limits().linger);
        if constexpr (tls) {
            // This writes the closing notice of TLS at once, and then waits for the peer's.
            if (shaken_)
                stream_.async_shutdown([self = self()](error_code) { self->end_sending(); });
            else
                end_sending();
        } else {
            end_sending();
        }
        if (at_once) close_now();
    }

    void end_sending() {
        error_code error;
        socket().shutdown(tcp::socket::shutdown_send, error);
        if (error) return;
        drain();
    }

    void drain() {
        buffer_.clear();
        socket().async_read_some(buffer_.prepare(4096),
                                 [self = self()](error_code error, std::size_t) {
                                     if (!error) self->drain();
                                 });
    }

    Stream stream_;
    beast::flat_buffer buffer_{limits().header + 4096};
    std::optional<HeadScanner> scanner_;
    HttpRequest request_;
    std::optional<http::request_parser<http::string_body>> parser_;
    std::optional<ChunkedBody> chunks_;  ///< the body of the present request, if it is in chunks
    std::unique_ptr<Pieces> pieces_;
    bool shaken_ = false;    ///< the TLS handshake is done
    bool reads_ = false;     ///< a read of a request is under way
    bool awaits_ = false;    ///< a read of a request's first bytes is under way
    bool finished_ = false;  ///< the request has come whole
    bool keep_alive_ = false, head_ = false;
    unsigned version_ = 11;
};

// --- The server ----------------------------------------------------------------------------------

std::size_t HttpServer::State::connections() const {
    std::size_t sum = 0;
    for (const auto& each : places) sum += each.size();
    return sum;
}

void HttpServer::State::listen(const HttpListener& at) {
    Listener& listener = listeners.emplace_back(io, listeners.size());
    if (at.certificate && at.key) {
        auto& tls = listener.tls.emplace(asio::ssl::context::tls_server);
        SSL_CTX_set_min_proto_version(tls.native_handle(), TLS1_2_VERSION);
        SSL_CTX_set_options(tls.native_handle(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
        // Of TLS 1.2 only ciphers with forward secrecy and authenticated encryption, as all of 1.3
        // are.
        SSL_CTX_set_cipher_list(tls.native_handle(), "ECDHE+AESGCM:ECDHE+CHACHA20");
        error_code error;
        tls.use_certificate_chain_file(*at.certificate, error);
        if (error) throw std::runtime_error(*at.certificate + ": " + error.message());
        tls.use_private_key_file(*at.key, asio::ssl::context::pem, error);
        if (error) throw std::runtime_error(*at.key + ": " + error.message());
    }
    try {
        const tcp::endpoint endpoint(asio::ip::make_address(at.address), at.port);
        listener.acceptor.open(endpoint.protocol());
        listener.acceptor.set_option(tcp::acceptor::reuse_address(true));
        listener.acceptor.bind(endpoint);
        listener.acceptor.listen();
        listener.acceptor.non_blocking(true);
        const auto bound = listener.acceptor.local_endpoint();
        const std::string address = bound.address().to_string();
        listener.url = std::string(listener.tls ? "https://" : "http://") +
                       (bound.address().is_v6() ? "[" + address + "]" : address) + ":" +
                       std::to_string(bound.port());
    } catch (const boost::system::system_error& error) {
        throw std::runtime_error("cannot listen on " + at.address + " port " +
                                 std::to_string(at.port) + ": " + error.code().message());
    }
    accept(listener);
}

void HttpServer::State::accept(Listener& listener) {
    ++accepting;
    listener.acceptor.async_accept(
        [self = shared_from_this(), &listener](error_code error, tcp::socket socket) {
            --self->accepting;
            if (!error) self->take(listener, std::move(socket));
            if (self->stopping) return;
            if (!error) return self->accept(listener);
            if (error == asio::error::no_descriptors) {
                self->short_since = Clock::now();
                self->make_room_at_once();
            }
            // Until then a connection may have made room, or a file may have been closed.
            listener.retry.expires_after(std::chrono::milliseconds(50));
            listener.retry.async_wait([self, &listener](error_code cancelled) {
                if (!cancelled && !self->stopping) self->accept(listener);
            });
        });
}

void HttpServer::State::take(Listener& listener, tcp::socket socket) {
    error_code error;
    socket.set_option(tcp::no_delay(true), error);
    auto address = socket.remote_endpoint(error).address();
    if (error || connections() >= 2 * limits.connections) return;
    std::string network = address.to_string();
    if (address.is_v6() && address.to_v6().is_v4_mapped()) {
        address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
        network = address.to_string();
    } else if (address.is_v6()) {  // one host has all addresses of a /64
        const auto bytes = address.to_v6().to_bytes();
        network.assign(bytes.begin(), bytes.begin() + 8);
    }
    const bool room = make_room(network, runs_short(socket.native_handle()));
    const HttpPeer peer{address.to_string(), listener.number};
    std::shared_ptr<Place> place;
    if (listener.tls)
        place = std::make_shared<Connection<beast::ssl_stream<tcp::socket>>>(
            shared_from_this(), peer, network, std::move(socket), *listener.tls);
    else
        place = std::make_shared<Connection<tcp::socket>>(shared_from_this(), peer, network,
                                                          std::move(socket));
    if (room)
        place->start();
    else
        place->refuse();
}

/// Makes room for a new connection. If its peer has too many unfinished connections, the one of
/// these that has waited longest is ended. If all places are taken, the first one to go is ended.
/// @param scarce true: descriptors are short, so a connection must be closed at once
/// @return whether there is room
bool HttpServer::State::make_room(const std::string& network, bool scarce) {
    const auto& fresh = in(Phase::fresh);
    const auto same = [&](const Place* place) { return place->network() == network; };
    if (std::size_t(std::count_if(fresh.begin(), fresh.end(), same)) >= limits.unfinished)
        (*std::find_if(fresh.begin(), fresh.end(), same))->expire();
    if (scarce) return make_room_at_once() || connections() == 0;
    if (connections() < limits.connections) return true;
    Place* const place = first_to_go(false);
    if (place) place->expire();
    return place;
}

/// The connection that must go first when room is needed; null: all are at work. The order is that
/// of Phase, with two exceptions if descriptors are scarce: a connection whose socket is closed
/// already has no descriptor to give, and of the first idle and the first unfinished connection the
/// one goes that has waited longer.
Place* HttpServer::State::first_to_go(bool scarce) {
    const auto first = [&](Phase phase) -> Place* {
        for (Place* place : in(phase)) {
            if (scarce && !place->holds_socket()) continue;
            if (phase == Phase::writing && Clock::now() - place->since() < stalled) break;
            return place;
        }
        return nullptr;
    };
    if (Place* const closing = first(Phase::closing)) return closing;
    Place* const fresh = first(Phase::fresh);
    Place* const idle = first(Phase::idle);
    if (fresh && idle && scarce) return idle->since() < fresh->since() ? idle : fresh;
    if (fresh) return fresh;
    if (idle) return idle;
    if (Place* const reading = first(Phase::reading)) return reading;
    return first(Phase::writing);
}

/// Closes the first connection to go without waiting for its peer, so that its descriptor is free.
/// @return whether there was one
bool HttpServer::State::make_room_at_once() {
    Place* const place = first_to_go(true);
    if (!place) return false;
    place->close_now();
    ++displaced;
    return true;
}

/// Whether fewer descriptors are left than the process needs for its files. @param socket any that
/// is open
bool HttpServer::State::runs_short(int socket) {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || connections() + own_files < limit.rlim_cur)
        return false;
    std::vector<int> spare;  // that there are so many more is known by taking them
    while (spare.size() < limits.spare_descriptors) {
        const int next = ::fcntl(socket, F_DUPFD_CLOEXEC, 0);
        if (next < 0) break;
        spare.push_back(next);
    }
    for (const int each : spare) ::close(each);
    const bool is_short = spare.size() < limits.spare_descriptors;
    if (is_short) short_since = Clock::now();
    return is_short;
}

/// Starts a timer that ends the connections whose time is over, as long as there are connections.
void HttpServer::State::watch_deadlines() {
    if (watching) return;
    watching = true;
    watch.expires_after(look_after);
    watch.async_wait([self = shared_from_this()](error_code error) {
        self->watching = false;
        if (error) return;
        const auto now = Clock::now();
        for (const auto& place : self->all())
            if (place->deadline() <= now) place->expire();
        if (self->connections() != 0) self->watch_deadlines();
    });
}

std::vector<std::shared_ptr<Place>> HttpServer::State::all() {
    std::vector<std::shared_ptr<Place>> out;
    out.reserve(connections());
    for (const auto& each : places)
        for (Place* place : each) out.push_back(place->shared_from_this());
    return out;
}

void HttpServer::State::abort() {
    cut = true;
    for (const auto& place : all()) place->abort();
    asking.clear();
}

void HttpServer::State::await_signal() {
    signals->async_wait([self = shared_from_this()](error_code error, int number) {
        if (error) return;
        self->on_signal(number);
        if (!self->stopping) self->await_signal();
    });
}

void HttpServer::State::await_tick(asio::steady_timer& timer, std::chrono::milliseconds period,
                                   std::function<void()> on_tick) {
    timer.expires_after(period);
    timer.async_wait([self = shared_from_this(), &timer, period,
                      on_tick = std::move(on_tick)](error_code error) mutable {
        if (error || self->stopping) return;
        on_tick();
        self->await_tick(timer, period, std::move(on_tick));
    });
}

/// Asks again for the next pieces that were not ready.
void HttpServer::State::ask() {
    if (asking.empty()) return;
    auto waiting = std::exchange(asking, {});
    const auto until = Clock::now() + turn;
    auto next = waiting.begin();
    while (next != waiting.end() && Clock::now() < until) (*next++)->ask();
    asking.insert(asking.begin(), next, waiting.end());
}

/// Does what can be done without waiting, for the time of one turn. @return whether there was
/// anything
bool HttpServer::State::run() {
    if (io.poll_one() == 0) return false;
    const auto until = Clock::now() + turn;
    while (io.poll_one() != 0 && Clock::now() < until) {
    }
    return true;
}

HttpServer::HttpServer(const HttpOptions& options, Handler handler, OnRefusal on_refusal)
    : state_(std::make_shared<State>(options.limits, std::move(handler), std::move(on_refusal))) {
    try {
        state_->listen(options);
        for (const HttpListener& listener : options.further) state_->listen(listener);
    } catch (...) {
        end();
        throw;
    }
}

HttpServer::~HttpServer() { end(); }

/// Ends all that is under way, because it holds the state: the state could not be destroyed
/// otherwise.
void HttpServer::end() {
    state_->handler = nullptr;
    state_->on_refusal = nullptr;
    state_->on_signal = [](int) {};
    stop();
    state_->abort();
    state_->end.cancel();
    state_->watch.cancel();
    state_->signals.reset();
    state_->io.poll();
}

std::string HttpServer::url(std::size_t listener) const {
    return std::next(state_->listeners.begin(), std::ptrdiff_t(listener))->url;
}

std::size_t HttpServer::connections() const { return state_->connections(); }

std::uint64_t HttpServer::displaced() const { return state_->displaced; }

bool HttpServer::lacks_descriptors() const {
    return state_->short_since && Clock::now() - *state_->short_since < scarcity;
}

void HttpServer::watch(const std::vector<int>& signals, std::function<void(int)> on_signal) {
    state_->on_signal = std::move(on_signal);
    state_->signals.emplace(state_->io);
    // Asio restores a signal's default action when the last signal_set with it is destroyed. A
    // signal that comes while the process ends would then kill it. So another set, which is never
    // destroyed, has these signals too.
    static asio::io_context& nobody = *new asio::io_context;
    static asio::signal_set& kept = *new asio::signal_set(nobody);
    for (const int number : signals) {
        state_->signals->add(number);
        kept.add(number);
    }
    state_->await_signal();
}

void HttpServer::every(std::chrono::milliseconds period, std::function<void()> on_tick) {
    state_->await_tick(state_->ticks.emplace_back(state_->io), period, std::move(on_tick));
}

void HttpServer::poll() {
    state_->ask();
    state_->run();
}

void HttpServer::wait() {
    if (stopped()) return;
    state_->ask();
    // A client that has just got a reply often asks again at once. Looking for a short time costs
    // less than to sleep and be woken.
    const auto asleep = Clock::now() + awake;
    do {
        if (state_->run()) return;
    } while (Clock::now() < asleep);
    if (state_->asking.empty())
        state_->io.run_one();
    else
        state_->io.run_one_for(ask_again);
    state_->run();
}

void HttpServer::wake() {
    asio::post(state_->io, [] {});
}

void HttpServer::stop() {
    State& state = *state_;
    if (std::exchange(state.stopping, true)) return;
    for (auto& listener : state.listeners) {
        error_code error;
        while (listener.acceptor.is_open()) {  // who waits to be taken may have sent a request
            tcp::socket socket(state.io);
            listener.acceptor.accept(socket, error);
            if (error) break;
            state.take(listener, std::move(socket));
        }
        listener.acceptor.close(error);
        listener.retry.cancel();
    }
    for (auto& tick : state.ticks) tick.cancel();
    state.end.expires_after(state.limits.stop);
    state.end.async_wait([self = state_](error_code error) {
        if (!error) self->abort();
    });
    for (const auto& place : state.all()) place->end_idle();
    wake();
}

bool HttpServer::stopped() const {
    return state_->stopping &&
           (state_->cut || (state_->connections() == 0 && state_->accepting == 0));
}

}  // namespace mirrornic
