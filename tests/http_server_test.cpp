// SPDX-License-Identifier: Apache-2.0
// HttpServer over real sockets: replies, replies in pieces, stop, listeners, places.
#include "host/http/http_server.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <ctime>
#include <list>
#include <thread>

#include "catch.hpp"
#include "host/api/ec2_server.hpp"

using namespace mirrornic;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

namespace {

HttpOptions options(HttpLimits limits = {}) {
    HttpOptions out;
    out.port = 0;
    out.limits = limits;
    return out;
}

std::uint16_t port_of(const HttpServer& server, std::size_t listener = 0) {
    const std::string url = server.url(listener);
    return std::uint16_t(std::stoul(url.substr(url.rfind(':') + 1)));
}

/// A client's end of a connection; while it waits, the server has its turns.
class Client {
public:
    explicit Client(HttpServer& server, std::size_t listener = 0,
                    const std::string& from = "127.0.0.1", int receive_buffer = 0)
        : server_(server), fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
        sockaddr_in at{};
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = ::inet_addr(from.c_str());
        if (::bind(fd_, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0) FAIL("bind");
        if (receive_buffer)
            ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
        at.sin_port = htons(port_of(server, listener));
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (::connect(fd_, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0) FAIL("connect");
        ::fcntl(fd_, F_SETFL, O_NONBLOCK);
    }
    ~Client() { ::close(fd_); }
    Client(const Client&) = delete;

    void send(const std::string& data) {
        REQUIRE(::send(fd_, data.data(), data.size(), MSG_NOSIGNAL) == ssize_t(data.size()));
    }
    /// What has come; nothing when the connection has ended or was reset.
    bool receive() {
        char buffer[65536];
        const ssize_t size = ::recv(fd_, buffer, sizeof buffer, 0);
        if (size > 0) got.append(buffer, std::size_t(size));
        if (size == 0) ended = true;
        if (size < 0 && errno != EAGAIN) ended = reset = true;
        return size > 0;
    }
    /// Until the words have come, or the end.
    const std::string& await(const std::string& words) {
        const auto until = Clock::now() + 5s;
        while (got.find(words) == std::string::npos && !ended && Clock::now() < until) {
            server_.poll();
            receive();
        }
        return got;
    }
    const std::string& await_end() { return await("\nno such line\n"); }
    bool is_open() {
        for (int i = 0; i < 50 && !ended; ++i) server_.poll(), receive();
        return !ended;
    }

    std::string got;
    bool ended = false, reset = false;

private:
    HttpServer& server_;
    int fd_;
};

std::string get(const std::string& path, const std::string& more = "") {
    return "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n" + more + "\r\n";
}

std::size_t count(const std::string& text, const std::string& words) {
    std::size_t n = 0;
    for (auto at = text.find(words); at != std::string::npos; at = text.find(words, at + 1)) ++n;
    return n;
}

/// How long `while (!stopped()) wait();` lasts.
std::chrono::milliseconds time_to_stop(HttpServer& server) {
    const auto start = Clock::now();
    server.stop();
    while (!server.stopped()) server.wait();
    return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start);
}

HttpServer::Handler path_back() {
    return [](HttpRequest request, const HttpPeer&, HttpServer::Respond respond) {
        respond({200, "text/plain", "this is " + request.path});
    };
}

}  // namespace

TEST_CASE("A request that nobody answers gets 503") {
    std::vector<HttpServer::Respond> kept;
    HttpServer server(options(), [&](HttpRequest request, const HttpPeer&, auto respond) {
        if (request.path == "/throw") throw std::runtime_error("x");
        if (request.path == "/keep") kept.push_back(respond);
        if (request.path == "/twice") respond({200, "text/plain", "a"}), respond({201, "", "b"});
    });
    Client client(server);
    client.send(get("/drop") + get("/throw") + get("/twice") + get("/keep"));
    client.await("\r\n\r\na");
    CHECK(count(client.got, "HTTP/1.1 503") == 1);
    CHECK(count(client.got, "HTTP/1.1 500") == 1);
    CHECK(count(client.got, "HTTP/1.1 200") == 1);
    CHECK(count(client.got, "HTTP/1.1 201") == 0);
    while (kept.empty()) server.poll();
    auto copy = kept.front();
    kept.clear();
    server.poll();
    CHECK(count(client.got, "HTTP/1.1 503") == 1);
    copy = HttpServer::Respond([](const HttpReply&) {});
    client.got.clear();
    CHECK(count(client.await("try again"), "HTTP/1.1 503") == 1);
    CHECK(client.is_open());
}

TEST_CASE("A Respond may outlive its server") {
    std::vector<HttpServer::Respond> kept;
    {
        HttpServer server(options(), [&](HttpRequest, const HttpPeer&, auto respond) {
            kept.push_back(respond);
        });
        Client client(server);
        client.send(get("/"));
        while (kept.empty()) server.poll();
    }
    kept.front()({200, "text/plain", "late"});
    kept.clear();
}

TEST_CASE("A reply in pieces is chunked, and takes turns with others") {
    int left = 0;
    HttpServer server(options(), [&](HttpRequest request, const HttpPeer&, auto respond) {
        if (request.path != "/pieces") return respond({200, "text/plain", "whole"});
        left = 3;
        HttpReply reply{200, "text/plain", ""};
        reply.more = [&, empty = false]() mutable -> std::optional<std::string> {
            empty = !empty;
            if (empty) return "";
            if (left == 0) return std::nullopt;
            return std::string(5, char('0' + left--));
        };
        respond(std::move(reply));
    });
    Client client(server);
    client.send(get("/pieces") + get("/"));
    CAPTURE(client.await("whole"));
    CHECK(client.got.find("Transfer-Encoding: chunked\r\n") != std::string::npos);
    CHECK(client.got.find("Content-Length") > client.got.find("0\r\n\r\nHTTP/1.1 200"));
    CHECK(client.got.find(
              "\r\n\r\n5\r\n33333\r\n5\r\n22222\r\n5\r\n11111\r\n0\r\n\r\nHTTP/1.1 200") !=
          std::string::npos);
    CHECK(client.is_open());

    left = -1;
    client.got.clear();
    client.send("HEAD /pieces HTTP/1.1\r\nHost: x\r\n\r\n" + get("/"));
    client.await("whole");
    CHECK(left == 3);  // none was asked for
    CHECK(client.got.find("chunked\r\n\r\nHTTP/1.1 200") != std::string::npos);

    Client old(server);
    old.send("GET /pieces HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    old.await_end();
    CHECK(old.got.find("chunked") == std::string::npos);
    CHECK(old.got.find("\r\n\r\n333332222211111") == old.got.size() - 19);
    CHECK_FALSE(old.reset);
}

TEST_CASE("A reply in pieces that fails is not taken for whole") {
    HttpServer server(options(), [&](HttpRequest, const HttpPeer&, auto respond) {
        HttpReply reply{200, "text/plain", ""};
        reply.more = [n = 0]() mutable -> std::optional<std::string> {
            if (n++ == 1) throw std::runtime_error("x");
            return "piece";
        };
        respond(std::move(reply));
    });
    Client client(server), old(server);
    client.send(get("/") + get("/"));
    client.await_end();
    CHECK(client.got.find("5\r\npiece\r\n") == client.got.size() - 10);
    CHECK(count(client.got, "HTTP/1.1 200") == 1);
    old.send("GET / HTTP/1.0\r\n\r\n");
    old.await_end();
    CHECK(old.reset);
}

TEST_CASE("A slow reader holds one piece, and keeps nobody waiting") {
    std::size_t given = 0;
    constexpr std::size_t piece = 256 << 10, pieces = 200;
    HttpServer server(options(), [&](HttpRequest request, const HttpPeer&, auto respond) {
        if (request.path == "/") return respond({200, "text/plain", "whole"});
        HttpReply reply{200, "text/plain", ""};
        reply.more = [&]() -> std::optional<std::string> {
            if (given == pieces) return std::nullopt;
            ++given;
            return std::string(piece, 'x');
        };
        respond(std::move(reply));
    });
    Client slow(server, 0, "127.0.0.1", 4096), other(server);
    slow.send(get("/pieces"));
    for (int i = 0; i < 200; ++i) server.poll();
    const auto stalled = given;
    CHECK(stalled > 0);
    CHECK(stalled < 40);  // what the socket takes, and one more
    other.send(get("/"));
    CHECK(count(other.await("whole"), "200 OK") == 1);
    CHECK(given == stalled);
    while (!slow.ended && slow.got.find("\r\n0\r\n\r\n") == std::string::npos) {
        server.poll();
        if (slow.receive() && slow.got.size() > 1 << 20) slow.got.erase(0, slow.got.size() - 16);
    }
    CHECK(given == pieces);
    CHECK(slow.is_open());
}

TEST_CASE("poll returns though a client keeps it busy") {
    HttpServer server(options(), [&](HttpRequest request, const HttpPeer&, auto respond) {
        if (request.path == "/") return respond({200, "text/plain", "whole"});
        HttpReply reply{200, "text/plain", ""};
        reply.more = []() -> std::optional<std::string> { return "without end"; };
        respond(std::move(reply));
    });
    Client client(server), other(server);
    client.send(get("/endless"));
    std::atomic<bool> done{false};
    std::thread reader([&] {
        while (!done) client.receive(), client.got.clear();
    });
    Clock::duration longest{};
    for (int i = 0; i < 50; ++i) {
        const auto start = Clock::now();
        server.poll();
        longest = std::max(longest, Clock::now() - start);
    }
    CHECK(longest < 500ms);
    other.send(get("/"));
    CHECK(count(other.await("whole"), "200 OK") == 1);
    const auto ends = time_to_stop(server);
    done = true;
    reader.join();
    CHECK(ends < 1900ms);
}

TEST_CASE("Each listener gives its number with a request") {
    HttpOptions at = options();
    at.further.resize(1);
    at.further[0].port = 0;
    HttpServer server(at, [](HttpRequest, const HttpPeer& peer, auto respond) {
        respond({200, "text/plain", peer.address + " by " + std::to_string(peer.listener)});
    });
    Client first(server, 0, "127.0.0.2"), second(server, 1);
    first.send(get("/"));
    second.send(get("/"));
    CHECK(first.await(" by ").find("127.0.0.2 by 0") != std::string::npos);
    CHECK(second.await(" by ").find("127.0.0.1 by 1") != std::string::npos);
    CHECK(server.url(0) != server.url(1));
    at.further[0].address = "192.0.2.1";
    CHECK_THROWS_WITH(HttpServer(at, path_back()), Catch::Contains("192.0.2.1"));
}

TEST_CASE("stop answers what has come whole, wherever it lies") {
    for (const int polls : {0, 1, 2, 5, 50}) {
        HttpServer server(options(), path_back());
        std::list<Client> used, fresh;
        for (int i = 0; i < 8; ++i) used.emplace_back(server).send(get("/first"));
        for (auto& client : used) client.await("/first");
        for (auto& client : used) client.send(get("/a") + get("/b") + get("/c"));
        for (int i = 0; i < 8; ++i) fresh.emplace_back(server).send(get("/a"));
        for (int i = 0; i < polls; ++i) server.poll();
        server.stop();
        while (!server.stopped()) {
            server.wait();
            for (auto& client : used) client.receive();
            for (auto& client : fresh) client.receive();
        }
        for (auto& client : used) {
            CAPTURE(polls, client.await_end());
            CHECK(client.got.find("this is /a") < client.got.find("this is /b"));
            CHECK(client.got.find("this is /c") == client.got.size() - 10);
            CHECK_FALSE(client.reset);
        }
        for (auto& client : fresh) {
            CAPTURE(polls, client.await_end());
            CHECK(count(client.got, "this is /a") == 1);
        }
    }
}

TEST_CASE("stop with idle connections is at once, and refuses new ones") {
    HttpServer server(options(), path_back());
    Client idle(server), fresh(server);
    idle.send(get("/"));
    idle.await("this is");
    const auto port = port_of(server);
    CHECK(time_to_stop(server) < 200ms);
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(::connect(fd, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0);
    ::close(fd);
    CHECK(idle.await_end().find("this is") != std::string::npos);
    CHECK(fresh.await_end().empty());
}

TEST_CASE("stop ends within its limit whatever clients and handlers do") {
    std::vector<HttpServer::Respond> kept;
    HttpServer server(options(), [&](HttpRequest request, const HttpPeer&, auto respond) {
        if (request.path == "/keep") return kept.push_back(respond);
        if (request.path == "/big") return respond({200, "text/plain", std::string(64 << 20, 'x')});
        HttpReply reply{200, "text/plain", ""};
        reply.more = []() -> std::optional<std::string> { return ""; };
        respond(std::move(reply));
    });
    Client half(server), reads_not(server), never(server), waits(server), body(server);
    half.send("GET / HTT");
    body.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
    reads_not.send(get("/big"));
    never.send(get("/never"));
    waits.send(get("/keep"));
    while (kept.empty()) server.poll();
    for (int i = 0; i < 100; ++i) server.poll();
    timespec before{}, after{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    const auto took = time_to_stop(server);
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    CHECK(took >= 900ms);
    CHECK(took < 1500ms);
    const double busy =
        double(after.tv_sec - before.tv_sec) + 1e-9 * double(after.tv_nsec - before.tv_nsec);
    CHECK(busy < 0.6);
    CHECK(count(waits.await_end(), "HTTP/1.1 503") == 1);
    kept.clear();
}

TEST_CASE("A peer's unfinished connections make room, and nobody else's") {
    HttpLimits limits;
    limits.connections = 32;
    limits.unfinished = 8;
    HttpServer server(options(limits), path_back());
    Client old(server);
    old.send(get("/"));
    old.await("this is");
    Client other(server, 0, "127.0.0.2");
    other.send("GET / HT");
    std::list<Client> slow;
    for (int i = 0; i < 100; ++i) {
        slow.emplace_back(server).send("GET / HTTP/1.1\r\nX: ");
        for (int j = 0; j < 5; ++j) server.poll();
    }
    std::size_t open = 0;
    for (auto& client : slow) open += client.is_open();
    CHECK(open == 8);
    CHECK(slow.back().is_open());
    CHECK_FALSE(slow.front().is_open());
    slow.back().send("\r\n\r\n");
    other.send("TP/1.1\r\nHost: x\r\n\r\n");
    old.send(get("/again"));
    CHECK(count(other.await("this is /"), "200 OK") == 1);
    CHECK(count(old.await("/again"), "200 OK") == 2);

    // Those of many peers: the slowest of all.
    std::list<Client> many;
    for (int i = 0; i < 60; ++i)
        many.emplace_back(server, 0, "127.0.1." + std::to_string(1 + i)).send("G");
    CHECK(old.is_open());
    CHECK(many.back().is_open());
    CHECK_FALSE(many.front().is_open());
    old.got.clear();
    old.send(get("/still"));
    CHECK(count(old.await("/still"), "200 OK") == 1);
}

TEST_CASE("Descriptors that run out are made by the connection that has waited longest") {
    HttpServer server(options(), path_back());
    Client idle(server);
    idle.send(get("/"));
    idle.await("this is");
    Client newcomer(server);
    newcomer.send(get("/new"));
    CHECK_FALSE(server.lacks_descriptors());
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const int lowest_free = ::dup(0);
    ::close(lowest_free);
    // None is left for the newcomer, or one for it and too few for the process's files.
    const int left = GENERATE(0, 2);
    rlimit scarce = before;
    scarce.rlim_cur = rlim_t(lowest_free + left);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &scarce) == 0);
    newcomer.await("this is /new");
    const bool lacks = server.lacks_descriptors();
    const bool stays = idle.is_open();
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(count(newcomer.got, "200 OK") == 1);
    CHECK(lacks);
    CHECK_FALSE(stays);
    CHECK(server.displaced() == 1);
    CHECK(newcomer.is_open());
}

TEST_CASE("Each watched signal is reported as often as it comes") {
    HttpServer server(options(), path_back());
    std::vector<int> told;
    server.watch({SIGUSR1, SIGUSR2}, [&](int number) { told.push_back(number); });
    for (const std::vector<int>& expected :
         {std::vector{SIGUSR2}, {SIGUSR2, SIGUSR1}, {SIGUSR2, SIGUSR1, SIGUSR1}}) {
        ::raise(expected.back());
        for (const auto until = Clock::now() + 5s;
             told.size() < expected.size() && Clock::now() < until;)
            server.poll();
        CHECK(told == expected);
    }
}

TEST_CASE("A connection that is not kept ends with its last reply") {
    HttpLimits limits;
    limits.linger = 8s;
    HttpServer server(options(limits), path_back());
    Client client(server);
    client.send(get("/", "Connection: close\r\n"));
    const auto start = Clock::now();
    CHECK(count(client.await_end(), "200 OK") == 1);
    CHECK(client.ended);
    CHECK_FALSE(client.reset);
    CHECK(Clock::now() - start < 3s);
}

TEST_CASE("A request that does not come whole in time ends its connection in order") {
    HttpLimits limits;
    limits.request = 1s;
    limits.idle = 1s;
    limits.linger = 8s;
    HttpServer server(options(limits), path_back());
    const std::string body = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc";
    for (const std::string& part : {std::string("GET / HT"), get("/").substr(0, 30), body}) {
        INFO(part);
        Client client(server);
        client.send(part);
        client.await_end();
        REQUIRE(client.ended);
        CHECK_FALSE(client.reset);
        // What was on its way is taken, and no reset answers it.
        client.send("d");
        for (int i = 0; i < 20; ++i) {
            server.poll();
            std::this_thread::sleep_for(5ms);
            client.receive();
        }
        CHECK_FALSE(client.reset);
    }
}

namespace {

/// An API whose requests are taken by a queue that nobody performs.
struct Unserved {
    std::vector<std::string> logged;
    Health health;
    RequestQueue queue;
    Api api{queue, options()};
    std::vector<HttpReply> replies;

    Api::Options options() {
        Api::Options out;
        out.region = "us-east-1";
        out.health = &health;
        out.log = [this](LogLevel, const std::string& message, const LogFields&) {
            logged.push_back(message);
        };
        return out;
    }
    void ask(const std::string& path) {
        HttpRequest request;
        request.method = "GET";
        request.path = path;
        request.query = path == "/" ? "Action=DescribeVpcs&Version=2016-11-15" : "";
        request.headers = {{"Host", "localhost"}};
        api.handle(request, {"127.0.0.1", 0}, HttpServer::Respond([this](HttpReply reply) {
                       replies.push_back(std::move(reply));
                   }));
    }
};

bool is_unavailable(const HttpReply& reply) {
    return reply.status == 503 && reply.content_type == "text/xml;charset=UTF-8" &&
           reply.body.find("<Code>Unavailable</Code>") != std::string::npos;
}

}  // namespace

TEST_CASE("a request that is dropped with its queue is Unavailable") {
    Unserved unserved;
    unserved.health.open();
    unserved.ask("/");
    unserved.ask("/");
    REQUIRE(unserved.replies.empty());
    unserved.queue.end();
    REQUIRE(unserved.replies.size() == 2);
    unserved.ask("/");
    unserved.ask("/");
    REQUIRE(unserved.replies.size() == 4);
    for (const auto& reply : unserved.replies) CHECK(is_unavailable(reply));
}

TEST_CASE("a request whose API ends is Unavailable") {
    std::vector<HttpReply> replies;
    {
        Unserved unserved;
        unserved.health.open();
        std::swap(replies, unserved.replies);
        unserved.ask("/");
        unserved.queue.end();
        std::swap(replies, unserved.replies);
    }
    REQUIRE(replies.size() == 1);
    CHECK(is_unavailable(replies.front()));
}
