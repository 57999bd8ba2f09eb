// SPDX-License-Identifier: Apache-2.0
// Makes the command that it is linked into meet what a capture cannot hold: frames that are marked
// bad, flipped bits, an output that stands still, a reset of the mirror. The word in a UDP frame's
// payload says what befalls it. The linker hands the calls below to this file (--wrap), so that
// nothing of this is in what is shipped.
#include <algorithm>
#include <string>

#include "register_map.hpp"
#include "sim/board.hpp"

namespace mirrornic {
namespace {

constexpr std::size_t payload = 42;  ///< of UDP over IPv4 without options
constexpr std::size_t beat_bytes = 64;

/// Flips the lowest bit of each word of one of a memory's copies, so that whichever is read is
/// faulty. Twice is nothing.
void flip_all(Offload& offload, Offload::Memory memory) {
    const auto size = Offload::size(memory);
    for (unsigned copy = 0; copy < size.copies; ++copy)
        for (unsigned word = 0; word < size.words; ++word) offload.flip(memory, copy, word, 0);
}

}  // namespace

extern "C" void real_feed(Board*, const std::uint8_t*, std::size_t, const Transfer&) asm(
    "__real__ZN9mirrornic5Board4feedEPKhmRKNS_8TransferE");
extern "C" void marking_feed(Board*, const std::uint8_t*, std::size_t, const Transfer&) asm(
    "__wrap__ZN9mirrornic5Board4feedEPKhmRKNS_8TransferE");

extern "C" void marking_feed(Board* board, const std::uint8_t* data, std::size_t size,
                             const Transfer& fed) {
    Offload& offload = board->offload();
    Transfer transfer = fed;
    const std::string word(data + std::min(size, payload), data + std::min(size, payload + 4));
    const std::size_t last_beat = (size - 1) / beat_bytes;
    if (word == "bad ") transfer.marks = {{0, true}};
    if (word == "late") transfer.marks = {{last_beat, true}};
    if (word == "keep") {  // of as many bytes, but not from lane 0 on
        const std::uint64_t keep = (std::uint64_t{1} << size % beat_bytes) - 1;
        transfer.marks = {{last_beat, false, keep << 1}};
    }
    if (word == "stop") {
        offload.wait_until_idle();
        offload.mirror_pattern = [](std::uint64_t) { return false; };
    }
    if (word == "stop" || word == "more" || word == "rset") transfer.when_room = false;
    if (word == "rset") {  // in the middle of the frame
        offload.wait_until_fed();
        real_feed(board, data, size, transfer);
        while (offload.beats_in() == 0) offload.wait_cycles(1);
        board->registers().write(registers::control::address(),
                                 registers::control::mirror_reset(1));
        offload.mirror_pattern = {};
        return offload.wait_until_idle();
    }
    if (word == "wait") {  // some hundred cycles for the output
        offload.wait_until_idle();
        offload.mirror_pattern = [until = offload.cycle() + 1000](std::uint64_t cycle) {
            return cycle >= until;
        };
    }
    const bool table = word == "tabl", entry = word == "entr";
    if (!table && !entry) return real_feed(board, data, size, transfer);
    const auto memory = table ? Offload::Memory::interfaces : Offload::Memory::session_limits;
    offload.wait_until_idle();
    flip_all(offload, memory);
    real_feed(board, data, size, transfer);
    offload.wait_until_idle();
    flip_all(offload, memory);
}

}  // namespace mirrornic
