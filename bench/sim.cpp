// SPDX-License-Identifier: Apache-2.0
// The verilated offload in the bare C++ loop (`bench_sim bare`) and on the SystemC board
// (`bench_sim board`), for
// `./dev bench sim`; simulator.hpp has the commands. Frames for all simulations: `bench_sim frames
// OUT LENGTH` writes 64 that differ, `bench_sim mix OUT EVERY CAPTURE ...` one of so many of the
// captures.
#include <iostream>

// The model's headers stand before SystemC's.
#include "bare_offload.hpp"
//
#include "host/frames/capture_file.hpp"
#include "sim/board.hpp"
#include "simulator.hpp"

using namespace mirrornic;
using namespace mirrornic::bench;

namespace {

class BareLoop : public Simulator {
public:
    BareLoop() {
        while (!offload_.top.idle) offload_.edge();
    }
    RegisterAccess& registers() override { return offload_; }
    std::uint64_t cycle() override { return offload_.cycle; }

    void run(const std::vector<Bytes>& frames, std::uint64_t count, std::uint32_t index,
             CopyHash& copies) override {
        auto& top = offload_.top;
        const std::uint32_t user = BareOffload::user(index, true);
        const auto edge = [&] {
            if (top.m_axis_mirror_tvalid) {
                copies.beat(&top.m_axis_mirror_tdata,
                            static_cast<std::size_t>(__builtin_popcountll(top.m_axis_mirror_tkeep)),
                            top.m_axis_mirror_tlast);
            }
            offload_.edge();
        };
        std::size_t next = 0;
        for (std::uint64_t i = 0; i < count; ++i) {
            const Bytes& frame = frames[next];
            if (++next == frames.size()) next = 0;
            while (!top.mirror_room) edge();
            for (std::size_t offset = 0; offset < frame.size(); offset += 64) {
                offload_.present(frame.data(), frame.size(), offset, user);
                bool taken;
                do {
                    taken = top.s_axis_tready;
                    edge();
                } while (!taken);
                top.s_axis_tvalid = 0;
            }
        }
        while (!top.idle) edge();
    }

private:
    BareOffload offload_;
};

class OnBoard : public Simulator {
public:
    explicit OnBoard(Board& board) : board_(board) {
        // Enough for a quantum, and it stays in the nearest cache: no table is changed while frames
        // flow.
        board_.offload().queue_limit = 300;
        board_.offload().wait_until_idle();
    }
    RegisterAccess& registers() override { return board_.registers(); }
    std::uint64_t cycle() override { return board_.offload().cycle(); }

    void run(const std::vector<Bytes>& frames, std::uint64_t count, std::uint32_t index,
             CopyHash& copies) override {
        board_.on_copy = [&copies](const Received& copy) { copies.copy(copy.data, copy.size); };
        Transfer transfer;
        transfer.tap = transfer.egress = transfer.when_room = true;
        transfer.index = index;
        std::size_t next = 0;
        for (std::uint64_t i = 0; i < count; ++i) {
            const Bytes& frame = frames[next];
            if (++next == frames.size()) next = 0;
            transfer.tag = i;
            board_.feed(frame.data(), frame.size(), transfer);
        }
        board_.offload().wait_until_idle();
        board_.on_copy = nullptr;
    }

private:
    Board& board_;
};

void write_frames(const std::string& file, const std::vector<Bytes>& frames) {
    CaptureWriter writer(file);
    for (std::size_t i = 0; i < frames.size(); ++i) {
        writer.write(1'000'000'000 + i * 1000, frames[i].data(), frames[i].size());
    }
    writer.close();
}

int command(const std::vector<std::string>& words) {
    if (words == std::vector<std::string>{"bare"}) {
        BareLoop loop;
        serve(loop);
    } else if (words == std::vector<std::string>{"board"}) {
        Board board({});
        board.run([&board] {
            OnBoard simulator(board);
            serve(simulator);
        });
    } else if (words.size() == 3 && words[0] == "frames") {
        std::vector<Bytes> frames;
        for (unsigned i = 0; i < 64; ++i) {
            frames.push_back(frame_of(std::stoul(words[2])));
            frames.back()[35] ^= static_cast<std::uint8_t>(i);  // the source port
            for (std::size_t at = 42; at < frames.back().size(); ++at) {
                frames.back()[at] = static_cast<std::uint8_t>(frames.back()[at] + 29 * i);
            }
        }
        write_frames(words[1], frames);
    } else if (words.size() >= 4 && words[0] == "mix") {
        std::vector<Bytes> frames;
        std::size_t seen = 0;
        for (std::size_t i = 3; i < words.size(); ++i) {
            CaptureReader reader(words[i]);
            for (CaptureReader::Frame frame; reader.next(frame);) {
                if (seen++ % std::stoul(words[2]) == 0)
                    frames.emplace_back(frame.data, frame.data + frame.size);
            }
        }
        write_frames(words[1], frames);
    } else {
        std::cerr
            << "usage: bench_sim bare | board | frames OUT LENGTH | mix OUT EVERY CAPTURE ...\n";
        return 2;
    }
    return 0;
}

}  // namespace

extern "C" int sc_main(int argc, char* argv[]) {
    try {
        return command({argv + 1, argv + argc});
    } catch (const std::exception& error) {
        std::cerr << "bench_sim: " << error.what() << '\n';
        return 1;
    }
}
