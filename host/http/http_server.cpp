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
constexpr std::chrono::seconds scarcity{10};  // of descriptors is over when none was met so long
constexpr std::chrono::seconds stalled{1};    // who takes none of a reply for so long makes room

/// What a connection waits for. The enumerators' order is that in which connections make room.
enum class Phase {
    closing,   ///< the peer's end
    fresh,     ///< its first whole request
    idle,      ///< the first byte of a further request
    reading,   ///< the last byte of one
    writing,   ///< the peer, to take a reply
    handling,  ///< us
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

/// A connection as the server keeps it.
class Place : public std::enable_shared_from_this<Place> {
public:
    Place(std::shared_ptr<HttpServer::State> server, HttpPeer peer, std::string network);
    virtual ~Place();
    Place(const Place&) = delete;

    virtual void start() = 0;
    /// Answers 503 without a request, and closes.
    virtual void refuse() = 0;
    /// Ends the connection in order if it waits for a request of which nothing has come.
    virtual void end_idle() = 0;
    /// Its time is over, or another needs its place.
    virtual void expire() = 0;
    /// Closes at once; a request that was taken is answered with 503.
    virtual void abort() = 0;
    /// Closes at once, and tells nobody.
    virtual void close_now() = 0;
    virtual bool holds_socket() const = 0;
    /// Asks for the next piece of the reply.
    virtual void ask() = 0;

    const std::string& network() const { return network_; }
    Clock::time_point since() const { return since_; }
    Clock::time_point deadline() const { return deadline_; }

protected:
    /// Enters a phase; later connections in it make room later. No limit: it lasts.
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
    /// Without it the context would stop for good as soon as nothing is under way.
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

    /// Of those that end by what the peer sent, and not by its going away.
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

    /// The read of a request ends with an error, and the connection in order.
    void stop_reading() {
        error_code ignored;
        socket().cancel(ignored);
    }

    /// Whether bytes have come that nobody has looked at.
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

    /// The head is in the buffer. Beast parses it; what its parser lets pass is checked before it
    /// reads the body.
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

    /// Beast's parser takes more for a chunk than the grammar does.
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

    /// The request is whole. Of its header what came before the body counts: trailers are not
    /// merged into it (RFC 9110, 6.5.1).
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

    /// Without the last chunk no client takes a reply for whole; before HTTP/1.1 only a reset says
    /// so.
    void break_off() {
        pieces_.reset();
        if (version_ >= 11) return close();
        error_code ignored;
        socket().set_option(asio::socket_base::linger(true, 0), ignored);
        close_now();
    }

    /// Ends our side and takes what still comes for a while: a socket that is closed with unread
    /// bytes resets its connection, and the client may never see the reply.
    /// @param at_once nothing is under way, so that there is nothing to lose
    void close(bool at_once = false) {
        if (!open()) return;
        enter(Phase::closing, limits().linger);
        if constexpr (tls) {
            // Its notice is written before it waits for the peer's.
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
    std::optional<ChunkedBody> chunks_;  ///< of the request in hand, when its body is so
    std::unique_ptr<Pieces> pieces_;
    bool shaken_ = false;    ///< TLS is up
    bool reads_ = false;     ///< a read of a request is under way,
    bool awaits_ = false;    ///< and of its first bytes
    bool finished_ = false;  ///< a request has come whole
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
        // Of TLS 1.2 what has forward secrecy and authenticates what it encrypts, as all of 1.3.
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
            // One that makes room does so meanwhile, or a file is closed.
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

/// Of a peer's unfinished connections and, when all places are taken, of all connections the one
/// that has waited longest ends. @return whether there is a place.
/// @param scarce descriptors are
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

/// Null: all are at work. Where descriptors are scarce, whose socket is closed has none to give,
/// and of the idle and the unfinished the one goes that has waited longer: a client that pauses
/// between two requests stays before one that never asks.
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

/// Closes a connection without waiting for its peer, so that its descriptor is free.
bool HttpServer::State::make_room_at_once() {
    Place* const place = first_to_go(true);
    if (!place) return false;
    place->close_now();
    ++displaced;
    return true;
}

/// Whether fewer descriptors are left than the process needs for its files.
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

/// Ends the connections whose time is over, again and again while there are any.
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

/// Asks those whose next piece was not there.
void HttpServer::State::ask() {
    if (asking.empty()) return;
    auto waiting = std::exchange(asking, {});
    const auto until = Clock::now() + turn;
    auto next = waiting.begin();
    while (next != waiting.end() && Clock::now() < until) (*next++)->ask();
    asking.insert(asking.begin(), next, waiting.end());
}

/// Does what can be done at once, within a turn. @return whether there was anything.
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

/// What is under way holds the state: it has to end for the state to go.
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
    // Asio gives a signal its default back when the last set that has it ends. The process would
    // then die of one that comes while it ends; so another set keeps each to the last.
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
    // Who has just got a reply often asks again at once: waking up would cost more than looking.
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
