// SPDX-License-Identifier: Apache-2.0
// Load for `mirrornic serve`, and what SQLite alone does. Each prints one line of JSON.
//   bench_api sessions HOST PORT CONNECTIONS COUNT TARGETS FILTER   creates COUNT sessions, then
//   deletes them;
//     TARGETS are joined by commas, one for ten sources
//   bench_api describe HOST PORT COUNT                             DescribeTrafficMirrorFilters,
//   COUNT times bench_api page HOST PORT COUNT DescribeTrafficMirrorSessions, MaxResults 1000
//   bench_api call HOST PORT FORM                                  one request; its reply
//   bench_api sqlite FILE COUNT                                    commits of one row each, WAL,
//   synchronous=FULL
// Requests are signed (Signature Version 4, key "bench", secret "bench-secret"), connections are
// kept.
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sqlite3.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <iostream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;
using Clock = std::chrono::steady_clock;
using Json = nlohmann::json;

std::string hex(const unsigned char* bytes, std::size_t size) {
    static const char digits[] = "0123456789abcdef";
    std::string out;
    for (std::size_t i = 0; i < size; ++i) (out += digits[bytes[i] >> 4]) += digits[bytes[i] & 15];
    return out;
}

std::string sha256(const std::string& text) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);  // for good
    EVP_Digest(text.data(), text.size(), digest, &size, algorithm, nullptr);
    return hex(digest, size);
}

std::string hmac(const std::string& key, const std::string& text) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    HMAC(EVP_sha256(), key.data(), int(key.size()),
         reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest, &size);
    return {reinterpret_cast<char*>(digest), size};
}

/// One kept connection.
class Client {
public:
    Client(const std::string& host, const std::string& port) : host_(host + ":" + port) {
        boost::asio::ip::tcp::resolver resolver(io_);
        stream_.connect(resolver.resolve(host, port));
        stream_.socket().set_option(boost::asio::ip::tcp::no_delay(true));
        buffer_.reserve(16384);  // a reply of a create in one read
    }

    /// The reply's body. @throws std::runtime_error with it unless the status is 200.
    std::string call(const std::string& form) {
        const std::string body = form + "&Version=2016-11-15";
        const std::time_t now = std::time(nullptr);
        std::tm parts{};
        gmtime_r(&now, &parts);
        char date[20];
        std::strftime(date, sizeof date, "%Y%m%dT%H%M%SZ", &parts);
        const std::string day(date, 8), scope = day + "/us-east-1/ec2/aws4_request";
        const std::string type = "application/x-www-form-urlencoded";
        const std::string canonical = "POST\n/\n\ncontent-type:" + type + "\nhost:" + host_ +
                                      "\nx-amz-date:" + date +
                                      "\n\ncontent-type;host;x-amz-date\n" + sha256(body);
        if (day != day_) {  // as SDKs do, the key is derived once a day
            key_ =
                hmac(hmac(hmac(hmac("AWS4bench-secret", day), "us-east-1"), "ec2"), "aws4_request");
            day_ = day;
        }
        const std::string signature = hmac(key_, std::string("AWS4-HMAC-SHA256\n") + date + "\n" +
                                                     scope + "\n" + sha256(canonical));
        const std::string request =
            "POST / HTTP/1.1\r\nHost: " + host_ + "\r\nContent-Type: " + type +
            "\r\nX-Amz-Date: " + date + "\r\nAuthorization: AWS4-HMAC-SHA256 Credential=bench/" +
            scope + ", SignedHeaders=content-type;host;x-amz-date, Signature=" +
            hex(reinterpret_cast<const unsigned char*>(signature.data()), signature.size()) +
            "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
        boost::asio::write(stream_.socket(), boost::asio::buffer(request));
        http::response_parser<http::string_body> response;
        response.body_limit(64 << 20);
        http::read(stream_, buffer_, response);
        if (response.get().result_int() != 200) throw std::runtime_error(response.get().body());
        return std::move(response.get().body());
    }

private:
    boost::asio::io_context io_;
    beast::tcp_stream stream_{io_};
    beast::flat_buffer buffer_;
    std::string host_, day_, key_;
};

std::string between(const std::string& text, const std::string& begin, const std::string& end) {
    const auto at = text.find(begin);
    if (at == std::string::npos) throw std::runtime_error("no " + begin + " in " + text);
    const auto start = at + begin.size();
    return text.substr(start, text.find(end, start) - start);
}

Json report(double seconds, std::vector<double> milliseconds) {
    std::sort(milliseconds.begin(), milliseconds.end());
    const auto quantile = [&](double part) {
        return milliseconds[std::size_t(part * double(milliseconds.size() - 1))];
    };
    return {{"count", milliseconds.size()},
            {"seconds", seconds},
            {"per_second", double(milliseconds.size()) / seconds},
            {"p50_ms", quantile(0.5)},
            {"p99_ms", quantile(0.99)},
            {"max_ms", quantile(1)}};
}

template <class Act>
double timed(Act act) {
    const auto start = Clock::now();
    act();
    return std::chrono::duration<double>(Clock::now() - start).count();
}

constexpr unsigned sources_per_target = 10;  // the quota

/// Three sessions an interface, eni-00000000000000000 on.
Json sessions(const std::string& host, const std::string& port, unsigned connections,
              unsigned count, const std::vector<std::string>& targets, const std::string& filter) {
    std::atomic<unsigned> next{0};
    std::mutex mutex;
    std::vector<double> milliseconds;
    std::vector<std::string> created;
    std::string failure;
    const double seconds = timed([&] {
        std::vector<std::thread> threads;
        for (unsigned i = 0; i < connections; ++i)
            threads.emplace_back([&] {
                try {
                    Client client(host, port);
                    for (unsigned n; (n = next++) < count;) {
                        char interface[22];
                        std::snprintf(interface, sizeof interface, "eni-%017x", n / 3);
                        std::string reply;
                        const double took = timed([&] {
                            reply = client.call(
                                "Action=CreateTrafficMirrorSession&NetworkInterfaceId=" +
                                std::string(interface) +
                                "&TrafficMirrorTargetId=" + targets.at(n / 3 / sources_per_target) +
                                "&TrafficMirrorFilterId=" + filter +
                                "&SessionNumber=" + std::to_string(n % 3 + 1));
                        });
                        const std::lock_guard lock(mutex);
                        milliseconds.push_back(took * 1e3);
                        created.push_back(between(reply, "<trafficMirrorSessionId>", "<"));
                    }
                } catch (const std::exception& error) {
                    const std::lock_guard lock(mutex);
                    failure = error.what();
                }
            });
        for (auto& thread : threads) thread.join();
    });
    if (!failure.empty()) throw std::runtime_error(failure);
    Json result = report(seconds, milliseconds);
    Client client(host, port);
    for (const auto& id : created)
        client.call("Action=DeleteTrafficMirrorSession&TrafficMirrorSessionId=" + id);
    return result;
}

Json repeated(const std::string& host, const std::string& port, unsigned count,
              const std::string& form) {
    Client client(host, port);
    std::vector<double> milliseconds;
    std::size_t bytes = 0;
    const double seconds = timed([&] {
        for (unsigned i = 0; i < count; ++i)
            milliseconds.push_back(1e3 * timed([&] { bytes = client.call(form).size(); }));
    });
    Json result = report(seconds, milliseconds);
    result["bytes"] = bytes;
    return result;
}

/// One row a commit, of about the size of a session.
Json sqlite(const std::string& file, unsigned count) {
    sqlite3* database = nullptr;
    const auto execute = [&](const char* sql) {
        if (sqlite3_exec(database, sql, nullptr, nullptr, nullptr) != SQLITE_OK)
            throw std::runtime_error(sqlite3_errmsg(database));
    };
    if (sqlite3_open(file.c_str(), &database) != SQLITE_OK)
        throw std::runtime_error("cannot open " + file);
    execute(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE IF NOT EXISTS t (id TEXT "
        "PRIMARY KEY, body TEXT)");
    sqlite3_stmt* insert = nullptr;
    sqlite3_prepare_v2(database, "INSERT OR REPLACE INTO t VALUES (?, ?)", -1, &insert, nullptr);
    const std::string body(300, 'x');
    std::vector<double> milliseconds;
    const double seconds = timed([&] {
        for (unsigned i = 0; i < count; ++i) {
            const std::string id = "tms-" + std::to_string(i);
            milliseconds.push_back(
                1e3 * timed([&] {
                    sqlite3_bind_text(insert, 1, id.data(), int(id.size()), SQLITE_STATIC);
                    sqlite3_bind_text(insert, 2, body.data(), int(body.size()), SQLITE_STATIC);
                    if (sqlite3_step(insert) != SQLITE_DONE)
                        throw std::runtime_error(sqlite3_errmsg(database));
                    sqlite3_reset(insert);
                }));
        }
    });
    sqlite3_finalize(insert);
    sqlite3_close(database);
    return report(seconds, milliseconds);
}

}  // namespace

int main(int argc, char* argv[]) {
    const std::vector<std::string> a(argv + 1, argv + argc);
    const auto number = [&](std::size_t i) { return unsigned(std::stoul(a[i])); };
    try {
        Json result;
        if (a.size() == 7 && a[0] == "sessions") {
            std::istringstream list(a[5]);
            std::vector<std::string> targets;
            for (std::string target; std::getline(list, target, ',');) targets.push_back(target);
            result = sessions(a[1], a[2], number(3), number(4), targets, a[6]);
        } else if (a.size() == 4 && a[0] == "describe") {
            result = repeated(a[1], a[2], number(3), "Action=DescribeTrafficMirrorFilters");
        } else if (a.size() == 4 && a[0] == "page") {
            result = repeated(a[1], a[2], number(3),
                              "Action=DescribeTrafficMirrorSessions&MaxResults=1000");
        } else if (a.size() == 4 && a[0] == "call") {
            result = {{"body", Client(a[1], a[2]).call(a[3])}};
        } else if (a.size() == 3 && a[0] == "sqlite") {
            result = sqlite(a[1], number(2));
        } else {
            std::cerr
                << "usage: bench_api sessions|describe|page|call|sqlite ..., as the source says\n";
            return 2;
        }
        std::cout << result << '\n';
    } catch (const std::exception& error) {
        std::cerr << "bench_api: " << error.what() << '\n';
        return 1;
    }
}
