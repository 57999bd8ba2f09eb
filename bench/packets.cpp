// SPDX-License-Identifier: Apache-2.0
// Sends frames from a raw socket for a bounded time and prints what was sent, the seconds, and the
// CPU seconds of this process, as JSON: `bench_packets DEVICE LENGTH SECONDS RATE <FRAMES`. FRAMES
// are frames of LENGTH bytes each, sent in turn; RATE is in frames per second, 0 as fast as the
// kernel takes them. Linux only.
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <ctime>
#include <iostream>
#include <iterator>
#include <string>
#include <system_error>
#include <vector>

namespace {

constexpr std::size_t Burst = 32;  // frames in one system call
constexpr double LongestSeconds = 10;

double now(clockid_t clock) {
    timespec time{};
    clock_gettime(clock, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

void sleep_until(double when) {
    const auto whole = static_cast<time_t>(when);
    const timespec time{whole, static_cast<long>((when - static_cast<double>(whole)) * 1e9)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nullptr);
}

int socket_on(const std::string& device) {
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_ifindex = static_cast<int>(if_nametoindex(device.c_str()));
    if (address.sll_ifindex == 0)
        throw std::system_error(errno, std::generic_category(), "no device " + device);
    const int packets = socket(AF_PACKET, SOCK_RAW, 0);  // receives nothing
    if (packets < 0 ||
        bind(packets, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        throw std::system_error(errno, std::generic_category(), "no raw socket on " + device);
    return packets;
}

int send(const std::string& device, std::size_t length, double seconds, double rate) {
    std::vector<char> frames{std::istreambuf_iterator<char>(std::cin), {}};
    if (length == 0 || frames.empty() || frames.size() % length != 0 ||
        !(seconds > 0 && seconds <= LongestSeconds) || rate < 0) {
        std::cerr << "bench_packets: give whole frames of LENGTH bytes on the standard input, and "
                     "at most "
                  << LongestSeconds << " seconds\n";
        return 2;
    }
    const std::size_t count = frames.size() / length;
    const int packets = socket_on(device);
    std::vector<iovec> vectors(Burst);
    std::vector<mmsghdr> messages(Burst);
    for (std::size_t i = 0; i < Burst; ++i) {
        messages[i].msg_hdr.msg_iov = &vectors[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    std::uint64_t offered = 0, refused = 0;
    const double start = now(CLOCK_MONOTONIC), cpu = now(CLOCK_PROCESS_CPUTIME_ID);
    for (double time = start; time < start + seconds; time = now(CLOCK_MONOTONIC)) {
        for (std::size_t i = 0; i < Burst; ++i)
            vectors[i] = {&frames[(offered + i) % count * length], length};
        for (std::size_t done = 0; done < Burst;) {
            const int sent =
                sendmmsg(packets, &messages[done], static_cast<unsigned>(Burst - done), 0);
            if (sent < 0 && errno != ENOBUFS && errno != EINTR)
                throw std::system_error(errno, std::generic_category(), "cannot send on " + device);
            if (sent < 0 && errno == ENOBUFS)
                ++refused, ++done;  // the device's queue is full: this frame is lost
            if (sent > 0) done += static_cast<std::size_t>(sent);
        }
        offered += Burst;
        if (rate > 0)
            sleep_until(std::min(start + seconds, start + static_cast<double>(offered) / rate));
    }
    const double used = now(CLOCK_PROCESS_CPUTIME_ID) - cpu, elapsed = now(CLOCK_MONOTONIC) - start;
    close(packets);
    std::cout << "{\"offered\": " << offered << ", \"refused\": " << refused
              << ", \"seconds\": " << elapsed << ", \"cpu_seconds\": " << used << "}\n";
    return 0;
}

}  // namespace

int main(int argc, char* argv[]) {
    try {
        if (argc == 5)
            return send(argv[1], std::stoul(argv[2]), std::stod(argv[3]), std::stod(argv[4]));
        std::cerr << "usage: bench_packets DEVICE LENGTH SECONDS RATE <FRAMES\n";
        return 2;
    } catch (const std::exception& error) {
        std::cerr << "bench_packets: " << error.what() << '\n';
        return 1;
    }
}
