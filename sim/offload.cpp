// SPDX-License-Identifier: Apache-2.0
// The model's headers stand before SystemC's: they take the time of the model's context then.
#include "Vmirror_offload.h"
#include "Vmirror_offload___024root.h"
#include "verilated.h"
//
#include <algorithm>
#include <cstring>

#include "memory_sizes.hpp"
#include "register_map.hpp"
#include "sim/offload.hpp"
#if VM_COVERAGE
#include <unistd.h>

#include <cstdlib>

#include "verilated_cov.h"
#endif
#if VM_TRACE_FST
#include "verilated_fst_c.h"
#endif

namespace mirrornic {
namespace {

constexpr std::size_t beat_bytes = 64;
constexpr unsigned quantum = 256;                // cycles between yields
constexpr unsigned length_bits = 14;             // of a copy, at the bottom of its tuser (I3)
constexpr unsigned register_patience = 200'000;  // cycles that an access may take

static_assert(registers::sizes::slots == DecisionRecord::slots && registers::sizes::rules == 16,
              "a decision record is taken apart for these sizes");

std::uint64_t keep_of(std::size_t bytes) {
    return bytes >= beat_bytes ? ~std::uint64_t{0} : (std::uint64_t{1} << bytes) - 1;
}

std::size_t beats_of(std::size_t bytes) { return (bytes + beat_bytes - 1) / beat_bytes; }

DecisionRecord decode(std::uint64_t bits) {
    const auto take = [&bits](unsigned width) {
        const std::uint64_t field = bits & ((std::uint64_t{1} << width) - 1);
        bits >>= width;
        return field;
    };
    DecisionRecord record{};
    record.outcome = static_cast<DecisionRecord::Outcome>(take(2));
    record.cause = static_cast<DecisionRecord::Cause>(take(4));
    record.slot = static_cast<std::uint8_t>(take(2));
    record.rule_index = static_cast<std::uint8_t>(take(4));
    record.by_service = take(1) != 0;
    record.late_bad = take(1) != 0;
    for (auto& why : record.why) why = static_cast<DecisionRecord::Why>(take(2));
    for (auto& rule : record.why_rule) rule = static_cast<std::uint8_t>(take(4));
    record.kept = static_cast<std::uint16_t>(take(14));
    record.version = static_cast<std::uint16_t>(take(16));
    return record;
}

}  // namespace

struct Offload::Model {
    VerilatedContext context;
    Vmirror_offload top{&context, "offload"};
#if VM_TRACE_FST
    std::unique_ptr<VerilatedFstC> wave;
#endif

    Model() { top.clk = 0; }
    ~Model() {
#if VM_TRACE_FST
        if (wave) wave->close();
#endif
        top.final();
#if VM_COVERAGE
        if (const char* folder = std::getenv("MIRRORNIC_COVERAGE"))
            context.coveragep()->write(
                (std::string(folder) + "/offload-" + std::to_string(getpid()) + ".dat").c_str());
#endif
    }
    void edge(std::uint64_t cycle) {
        top.clk = 1;
        top.eval();
        dump(2 * cycle);
        top.clk = 0;
        top.eval();
        dump(2 * cycle + 1);
    }
    void dump([[maybe_unused]] std::uint64_t time) {
#if VM_TRACE_FST
        if (wave) wave->dump(time);
#endif
    }
};

struct Offload::Access {
    bool write, line;
    std::uint32_t address;
    std::uint32_t* value;  ///< of a read: where its result goes
    std::array<std::uint32_t, beat_bytes / 4>
        data;               ///< of a write; the first alone unless it is a line
    std::uint64_t strobes;  ///< of a write, one a byte
    bool* done;
    bool sent;
    unsigned waited;
};

/// A frame that leaves, and the beat that was seen in the last cycle. The latter is for the check
/// that a beat does not change while it waits.
struct Offload::Outgoing {
    const char* name;
    bool is_copy;                    ///< I1 and I3 are checked; forwarded frames may break I1
    std::vector<std::uint8_t> data;  ///< has room for one more beat than `size`
    std::size_t size = 0;            ///< bytes of the frame so far
    Transfer transfer;
    tlm::tlm_generic_payload payload;
    bool waiting = false, in_frame = false;
    std::uint64_t keep = 0;
    std::uint32_t user = 0;
    bool last = false;
    std::uint8_t beat[beat_bytes];

    Outgoing(const char* stream, bool copies) : name(stream), is_copy(copies) {
        payload.set_command(tlm::TLM_WRITE_COMMAND);
        payload.set_extension(&transfer);
    }
    ~Outgoing() { payload.clear_extension(&transfer); }
};

Offload::Offload(sc_core::sc_module_name name, double clock_mhz, const std::string& wave_file)
    : sc_module(name),
      frames("frames"),
      registers("registers"),
      forward("forward"),
      mirror("mirror"),
      model_(std::make_unique<Model>()),
      period_(1000.0 / clock_mhz, sc_core::SC_NS),
      forwarded_(std::make_unique<Outgoing>("m_axis_forward", false)),
      mirrored_(std::make_unique<Outgoing>("m_axis_mirror", true)) {
    frames.register_b_transport(this, &Offload::take_frame);
    registers.register_b_transport(this, &Offload::access_register);
    if (!wave_file.empty()) {
#if VM_TRACE_FST
        model_->context.traceEverOn(true);
        model_->wave = std::make_unique<VerilatedFstC>();
        model_->top.trace(model_->wave.get(), 99);
        model_->wave->open(wave_file.c_str());
        if (!model_->wave->isOpen()) throw SimulationError("cannot write waves to " + wave_file);
#else
        throw std::invalid_argument("this build records no waves; ./dev wave makes one that does");
#endif
    }
    auto& top = model_->top;
    top.rst = top.rst_neighbours = 1;
    for (int i = 0; i < 4; ++i) model_->edge(cycle_++);
    top.rst = 0;
    SC_HAS_PROCESS(Offload);
    SC_THREAD(run);
    set_stack_size(1 << 20);
}

Offload::~Offload() = default;

bool Offload::interrupt() const { return model_->top.irq != 0; }

void Offload::take_frame(tlm::tlm_generic_payload& payload, sc_core::sc_time&) {
    const auto* transfer = payload.get_extension<Transfer>();
    if (!transfer || payload.get_data_length() == 0) {
        payload.set_response_status(tlm::TLM_GENERIC_ERROR_RESPONSE);
        return;
    }
    check_failure();
    while (queued_beats_ > queue_limit) {
        wait_for_progress();
    }
    QueuedFrame& frame = queue_.push();
    frame.data.assign(payload.get_data_ptr(), payload.get_data_ptr() + payload.get_data_length());
    frame.transfer = *transfer;
    frame.next_beat = 0;
    queued_beats_ += beats_of(frame.data.size());
    wake_up();
    payload.set_response_status(tlm::TLM_OK_RESPONSE);
}

void Offload::access_register(tlm::tlm_generic_payload& payload, sc_core::sc_time&) {
    const std::size_t size = payload.get_data_length();
    const bool write = payload.is_write(), line = write && size == beat_bytes;
    if ((size != 4 && !line) || payload.get_address() % size != 0) {
        payload.set_response_status(tlm::TLM_BURST_ERROR_RESPONSE);
        return;
    }
    check_failure();
    ++accesses_;
    std::uint32_t value = 0;
    bool done = false;
    accesses_queue_.push_back({write,
                               line,
                               static_cast<std::uint32_t>(payload.get_address()),
                               &value,
                               {},
                               ~std::uint64_t{0},
                               write ? nullptr : &done,
                               false,
                               0});
    if (write) std::memcpy(accesses_queue_.back().data.data(), payload.get_data_ptr(), size);
    if (const auto* enables = payload.get_byte_enable_ptr()) {
        auto& strobes = accesses_queue_.back().strobes = 0;
        for (std::size_t i = 0; i < size; ++i)
            if (enables[i % payload.get_byte_enable_length()] == TLM_BYTE_ENABLED)
                strobes |= std::uint64_t{1} << i;
    }
    wake_up();
    if (!write) {
        while (!done) {
            wait_for_progress();
        }
        std::memcpy(payload.get_data_ptr(), &value, 4);
    }
    payload.set_response_status(tlm::TLM_OK_RESPONSE);
}

void Offload::wake_up() {
    if (!sleeping_) return;
    sleeping_ = false;
    work_.notify(sc_core::SC_ZERO_TIME);
}

void Offload::check_failure() const {
    if (failure_) std::rethrow_exception(failure_);
}

/// For a caller's thread: waits until the end of the quantum, which is ended early for it.
void Offload::wait_for_progress() {
    check_failure();
    wake_ = true;
    wait(progress_);
    check_failure();
}

void Offload::fail(const std::exception_ptr& failure) {
    if (!failure_) failure_ = failure;
    progress_.notify(sc_core::SC_ZERO_TIME);
    wake_up();
}

void Offload::wait_until_fed() {
    check_failure();
    while (!queue_.empty()) {
        wait_for_progress();
    }
}

void Offload::wait_until_idle() {
    check_failure();
    while (!quiet()) {
        wait_for_progress();
    }
    awaiting_copy_.clear();  // as in run_quantum
}

void Offload::wait_cycles(std::uint64_t cycles) {
    const std::uint64_t until = cycle_ + cycles;
    while (cycle_ < until) {
        check_failure();
        wake_at_ = std::min(wake_at_, until);
        wake_up();
        wait(progress_);
        check_failure();
    }
}

void Offload::reset(Neighbours neighbours) {
    auto& top = model_->top;
    const bool alone = neighbours == Neighbours::go_on;
    // A reset loses the frames and copies that have left in part, and the posted writes that wait.
    // Reads are made again.
    accesses_queue_.erase(std::remove_if(accesses_queue_.begin(), accesses_queue_.end(),
                                         [](const Access& access) { return access.write; }),
                          accesses_queue_.end());
    for (Access& access : accesses_queue_) access.sent = false;
    // A source that is not reset may hand over a beat in the cycle of the reset. The offload loses
    // that beat.
    const bool taken = alone && top.s_axis_tvalid && top.s_axis_tready;
    if (!alone) {
        if (!queue_.empty()) queue_.front().next_beat = 0;
        top.s_axis_tvalid = 0;
    }
    top.s_axil_awvalid = top.s_axil_wvalid = top.s_axil_arvalid = top.s_line_valid = 0;
    top.rst = 1;
    top.rst_neighbours = !alone;
    const bool frame_done = taken && top.s_axis_tlast;
    model_->edge(cycle_++);
    top.rst = 0;
    if (taken) {
        top.s_axis_tvalid = 0;
        ++queue_.front().next_beat;
    }
    if (frame_done) pop_frame();
    in_pass_ = false;
    for (auto* out : {forwarded_.get(), mirrored_.get()}) {
        out->size = 0;
        out->waiting = out->in_frame = false;
    }
    forwarding_.clear();
    undecided_.clear();
    awaiting_copy_.clear();
}

bool Offload::quiet() const {
    return queue_.empty() && accesses_queue_.empty() && model_->top.idle;
}

void Offload::run() {
    try {
        while (!failure_) run_quantum();
    } catch (const sc_core::sc_unwind_exception&) {
        throw;
    } catch (...) {
        fail(std::current_exception());
    }
}

void Offload::run_quantum() {
    const bool idle = accesses_queue_.empty() && model_->top.idle && !model_->top.s_axis_tvalid;
    if (idle && queue_.empty() && wake_at_ == UINT64_MAX) {
        progress_.notify(sc_core::SC_ZERO_TIME);
        sleeping_ = true;
        wait(work_);
        return;
    }
    const std::uint64_t start = cycle_;
    wake_ = false;
    for (unsigned i = 0; i < quantum && !wake_ && cycle_ < wake_at_; ++i) {
        if (accesses_queue_.empty() && model_->top.idle && !model_->top.s_axis_tvalid) {
            awaiting_copy_.clear();  // no copy is inside: a reset of the mirror dropped these
            if (queue_.empty() && wake_at_ == UINT64_MAX) break;
            if (!source_pattern) skip_idle();
            if (cycle_ >= wake_at_) break;
        }
        step();
    }
    if (cycle_ >= wake_at_) wake_at_ = UINT64_MAX;
    if (on_progress) on_progress(cycle_);
    progress_.notify(sc_core::SC_ZERO_TIME);
    wait(period_ * static_cast<double>(cycle_ - start));
}

/// Skips the cycles until the next frame is due: the offload is idle, so nothing moves in them.
void Offload::skip_idle() {
    std::uint64_t due = wake_at_;
    if (!queue_.empty()) due = std::min(due, queue_.front().transfer.not_before);
    if (due <= cycle_) return;
    skipped_ += due - cycle_;
    cycle_ = due;
}

void Offload::present_beat() {
    auto& top = model_->top;
    if (top.s_axis_tvalid || queue_.empty()) return;
    QueuedFrame& frame = queue_.front();
    const Transfer& transfer = frame.transfer;
    if (source_pattern && !source_pattern(cycle_)) return;
    const std::size_t offset = frame.next_beat * beat_bytes;
    if (offset == 0 && (cycle_ < transfer.not_before || (transfer.when_room && !top.mirror_room))) {
        return;
    }
    const std::size_t bytes = std::min(beat_bytes, frame.data.size() - offset);
    if (bytes == beat_bytes) {
        std::memcpy(&top.s_axis_tdata, frame.data.data() + offset, beat_bytes);
    } else {
        std::memcpy(&top.s_axis_tdata, frame.data.data() + offset, bytes);
    }
    top.s_axis_tkeep = keep_of(bytes);
    top.s_axis_tlast = offset + bytes == frame.data.size();
    std::uint32_t user = std::uint32_t{transfer.tap} << 18 | std::uint32_t{transfer.egress} << 17 |
                         (transfer.index & 0xffff) << 1;
    for (const BeatMark& mark : transfer.marks) {
        if (mark.beat != frame.next_beat) continue;
        if (mark.error) user |= 1;
        if (mark.keep) top.s_axis_tkeep = *mark.keep;
    }
    top.s_axis_tuser = user;
    top.s_axis_tvalid = 1;
}

void Offload::step() {
    auto& top = model_->top;
    present_beat();
    top.m_axis_forward_tready = !forward_pattern || forward_pattern(cycle_);
    top.m_axis_mirror_tready = !mirror_pattern || mirror_pattern(cycle_);
    if (!accesses_queue_.empty()) step_registers();

    // The model's outputs depend on registers only, not on its inputs. So they are valid now for
    // the clock edge of this cycle, without another evaluation.
    const bool taken = top.s_axis_tvalid && top.s_axis_tready;
    if (taken) {
        QueuedFrame& frame = queue_.front();
        if (!in_pass_) {
            undecided_.push({frame.transfer.tag, beats_, 0, false});
            if (watch_forward) forwarding_.push({frame.transfer.tag, cycle_, cycle_});
        }
        if (watch_forward) forwarding_.back().last_cycle = cycle_;
        ++undecided_.back().beats;
        beat_cycles_[beats_++ % beat_cycles_.size()] = cycle_;
        ++frame.next_beat;
        in_pass_ = !top.s_axis_tlast;
    }
    if (watch_forward && (top.m_axis_forward_tvalid || forwarded_->waiting)) {
        collect(*forwarded_, top.m_axis_forward_tvalid, top.m_axis_forward_tready,
                top.m_axis_forward_tlast, top.m_axis_forward_tkeep, &top.m_axis_forward_tdata,
                top.m_axis_forward_tuser);
    }
    if (top.m_axis_mirror_tvalid || mirrored_->waiting || mirrored_->in_frame) {
        collect(*mirrored_, top.m_axis_mirror_tvalid, top.m_axis_mirror_tready,
                top.m_axis_mirror_tlast, top.m_axis_mirror_tkeep, &top.m_axis_mirror_tdata,
                top.m_axis_mirror_tuser);
        if (top.m_axis_mirror_tdest != 0)
            throw SimulationError("m_axis_mirror_tdest is not 0 at cycle " +
                                  std::to_string(cycle_));
    }
    if (top.m_decision_valid) decide();
    const bool frame_done = taken && top.s_axis_tlast;

    model_->edge(cycle_++);

    if (taken) top.s_axis_tvalid = 0;
    if (frame_done) pop_frame();
}

/// Removes the frame at the front, of which all beats have entered.
void Offload::pop_frame() {
    queued_beats_ -= beats_of(queue_.front().data.size());
    queue_.pop();
}

void Offload::collect(Outgoing& out, bool valid, bool ready, bool last, std::uint64_t keep,
                      const void* data, std::uint32_t user) {
    const auto broken = [&out, this](const std::string& what) {
        throw SimulationError(std::string(out.name) + " broke the stream contract at cycle " +
                              std::to_string(cycle_) + ": " + what);
    };
    if (out.waiting && (!valid || keep != out.keep || last != out.last || user != out.user ||
                        std::memcmp(data, out.beat, beat_bytes) != 0)) {
        broken("a beat changed while it waited for tready");
    }
    if (!valid) {
        if (out.is_copy && out.in_frame && ready) broken("tvalid fell inside a copy (I3)");
        return;
    }
    if (out.is_copy && (last ? (keep & (keep + 1)) != 0 || keep == 0 : keep != ~std::uint64_t{0})) {
        broken("tkeep is not as I1 wants it");
    }
    if (out.is_copy && out.in_frame && user != out.user) broken("tuser changed inside a copy (I3)");
    out.user = user;
    if (!out.in_frame && !out.waiting) {
        out.size = 0;
        out.transfer.error = false;
        out.transfer.first_cycle = cycle_;
    }
    out.waiting = !ready;
    if (!ready) {
        out.keep = keep;
        out.last = last;
        std::memcpy(out.beat, data, beat_bytes);
        return;
    }
    if (out.size + beat_bytes > out.data.size()) out.data.resize(2 * out.data.size() + beat_bytes);
    if ((keep & (keep + 1)) == 0) {  // from lane 0 on
        std::memcpy(out.data.data() + out.size, data, beat_bytes);
        out.size += static_cast<std::size_t>(__builtin_popcountll(keep));
    } else {
        for (std::size_t i = 0; i < beat_bytes; ++i) {
            if (keep >> i & 1) out.data[out.size++] = static_cast<const std::uint8_t*>(data)[i];
        }
    }
    if (out.is_copy) {
        out.transfer.session = user >> length_bits;
        if (last && (user & ((1u << length_bits) - 1)) != out.size)
            broken("tuser does not hold the bytes of the copy (I3)");
    } else {
        out.transfer.error |= (user & 1) != 0;
        out.transfer.index = user >> 1 & 0xffff;
        out.transfer.egress = (user >> 17 & 1) != 0;
        out.transfer.tap = (user >> 18 & 1) != 0;
    }
    out.in_frame = !last;
    if (last) {
        out.transfer.last_cycle = cycle_;
        out.is_copy ? finish_copy() : finish_forward();
    }
}

void Offload::send_out(tlm_utils::simple_initiator_socket<Offload>& socket, Outgoing& out) {
    out.payload.set_data_ptr(out.data.data());
    out.payload.set_data_length(static_cast<unsigned>(out.size));
    sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
    socket->b_transport(out.payload, delay);
}

void Offload::finish_forward() {
    Transfer& transfer = forwarded_->transfer;
    if (forwarding_.empty())
        throw SimulationError("m_axis_forward sent a frame of no pass at cycle " +
                              std::to_string(cycle_));
    const Forwarding& in = forwarding_.front();
    transfer.tag = in.tag;
    transfer.latency =
        std::max(transfer.first_cycle - in.first_cycle, transfer.last_cycle - in.last_cycle);
    forwarding_.pop();
    send_out(forward, *forwarded_);
}

void Offload::finish_copy() {
    // Copies leave in the order of passes (P21): this one belongs to the oldest pass that was
    // announced as mirrored, or to a pass whose last beat is still to come.
    Fed* fed = nullptr;
    if (!awaiting_copy_.empty()) {
        fed = &awaiting_copy_.front();
    } else if (!undecided_.empty()) {
        fed = &undecided_.front();
        fed->copy_left = true;
    } else {
        throw SimulationError("m_axis_mirror sent a copy of no pass at cycle " +
                              std::to_string(cycle_));
    }
    // How many bytes of the frame the copy has: its UDP length, which does not count padding (I3),
    // without the headers of UDP and VXLAN.
    const std::size_t length_at = mirrored_->data[12] == 0x86 ? 58 : 38;
    const std::size_t kept =
        (std::size_t{mirrored_->data[length_at]} << 8 | mirrored_->data[length_at + 1]) - 16;
    const std::uint64_t last_beat =
        fed->first_beat + std::max<std::uint64_t>((kept - 1) / beat_bytes, fed->beats > 1 ? 1 : 0);
    mirrored_->transfer.tag = fed->tag;
    mirrored_->transfer.latency =
        beats_ - last_beat <= beat_cycles_.size()
            ? mirrored_->transfer.first_cycle - beat_cycles_[last_beat % beat_cycles_.size()]
            : 0;
    if (!awaiting_copy_.empty()) awaiting_copy_.pop();
    send_out(mirror, *mirrored_);
}

void Offload::decide() {
    if (undecided_.empty())
        throw SimulationError("m_decision told of no pass at cycle " + std::to_string(cycle_));
    const Fed fed = undecided_.front();
    undecided_.pop();
    const bool mirrored =
        (model_->top.m_decision & 3) == static_cast<unsigned>(DecisionRecord::Outcome::mirrored);
    if (mirrored && !fed.copy_left) awaiting_copy_.push(fed);
    if (on_decision) {
        DecisionRecord record = decode(model_->top.m_decision);
        record.tag = fed.tag;
        on_decision(record);
    }
}

void Offload::step_registers() {
    auto& top = model_->top;
    Access& access = accesses_queue_.front();
    if (++access.waited > register_patience) {
        throw SimulationError("the offload does not answer an access of register " +
                              std::to_string(access.address));
    }
    if (access.line) return step_line();
    if (!access.sent) {
        if (access.write) {
            top.s_axil_awaddr = static_cast<std::uint16_t>(access.address);
            top.s_axil_wdata = access.data[0];
            top.s_axil_wstrb = access.strobes & 0xf;
            top.s_axil_awvalid = top.s_axil_wvalid = 1;
        } else {
            top.s_axil_araddr = static_cast<std::uint16_t>(access.address);
            top.s_axil_arvalid = 1;
        }
        top.s_axil_bready = top.s_axil_rready = 1;
        top.eval();  // the ready signals see the valid ones in the same cycle
        if (access.write ? top.s_axil_awready && top.s_axil_wready : top.s_axil_arready) {
            access.sent = true;
        }
        return;
    }
    // The handshake was made at the clock edge before this cycle.
    top.s_axil_awvalid = top.s_axil_wvalid = top.s_axil_arvalid = 0;
    const bool answered = access.write ? top.s_axil_bvalid : top.s_axil_rvalid;
    if (!answered) return;
    if (!access.write) {
        *access.value = top.s_axil_rdata;
        *access.done = true;
        wake_ = true;
    }
    accesses_queue_.pop_front();
}

/// Presents lines at the line port. A line that was taken is done when the port is ready again; the
/// next line is then presented in the same cycle.
void Offload::step_line() {
    auto& top = model_->top;
    if (accesses_queue_.front().sent) {
        top.s_line_valid = 0;
        if (!top.s_line_ready) return;
        accesses_queue_.pop_front();
        if (!accesses_queue_.empty()) step_registers();
        return;
    }
    Access& access = accesses_queue_.front();
    top.s_line_address = static_cast<std::uint8_t>(access.address / beat_bytes);
    std::memcpy(&top.s_line_data, access.data.data(), beat_bytes);
    top.s_line_strobes = access.strobes;
    top.s_line_valid = 1;
    access.sent = top.s_line_ready;
}

// ---- Flipped bits ----

Offload::MemorySize Offload::size(Memory memory) {
    const auto of = [](const memory_sizes::Size& size) {
        return MemorySize{size.copies, size.words, size.bits};
    };
    switch (memory) {
        case Memory::interfaces:
            return of(memory_sizes::interfaces);
        case Memory::filters:
            return of(memory_sizes::filters);
        case Memory::session_limits:
            return of(memory_sizes::session_limits);
        case Memory::session_headers:
            return of(memory_sizes::session_headers);
        case Memory::services:
            return of(memory_sizes::services);
        case Memory::delay:
            return of(memory_sizes::delay);
        case Memory::hold:
            return of(memory_sizes::hold);
        case Memory::copies:
            return of(memory_sizes::copies);
        case Memory::endings:
            return of(memory_sizes::endings);
        case Memory::fates:
            return of(memory_sizes::fates);
    }
    throw std::invalid_argument("there is no such memory");
}

namespace {

template <std::size_t Words>
void flip_bit(VlWide<Words>& word, unsigned bit) {
    word.at(bit / 32) ^= EData{1} << bit % 32;
}

template <class Word>
void flip_bit(Word& word, unsigned bit) {
    word = static_cast<Word>(word ^ Word{1} << bit);
}

}  // namespace

void Offload::flip(Memory memory, unsigned copy, unsigned word, unsigned bit) {
    const MemorySize most = size(memory);
    if (copy >= most.copies || word >= most.words || bit >= most.bits)
        throw std::invalid_argument("a memory has no such bit");
    auto& root = *model_->top.rootp;
    const auto flip = [&](auto& first, auto& second, auto& third) {
        flip_bit(copy == 0 ? first[word] : copy == 1 ? second[word] : third[word], bit);
    };
    switch (memory) {
        case Memory::interfaces:
            return flip_bit(root.mirror_offload__DOT__lookup__DOT__interfaces__DOT__memory[word],
                            bit);
        case Memory::filters:
            return flip(
                root.mirror_offload__DOT__lookup__DOT__g_slot__BRA__0__KET____DOT__filters__DOT__memory,
                root.mirror_offload__DOT__lookup__DOT__g_slot__BRA__1__KET____DOT__filters__DOT__memory,
                root.mirror_offload__DOT__lookup__DOT__g_slot__BRA__2__KET____DOT__filters__DOT__memory);
        case Memory::session_limits:
            return flip(
                root.mirror_offload__DOT__lookup__DOT__sessions__DOT__g_slot__BRA__0__KET____DOT__memory,
                root.mirror_offload__DOT__lookup__DOT__sessions__DOT__g_slot__BRA__1__KET____DOT__memory,
                root.mirror_offload__DOT__lookup__DOT__sessions__DOT__g_slot__BRA__2__KET____DOT__memory);
        case Memory::session_headers:
            return flip_bit(root.mirror_offload__DOT__lookup__DOT__sessions__DOT__memory[word],
                            bit);
        case Memory::services:
            if (bit == most.bits - 1)
                return flip_bit(root.mirror_offload__DOT__lookup__DOT__services__DOT__parity, word);
            return flip_bit(root.mirror_offload__DOT__lookup__DOT__services__DOT__entries[word],
                            bit);
        case Memory::delay:
            return flip_bit(root.mirror_offload__DOT__delay__DOT__ring[word], bit);
        case Memory::hold:
            return flip_bit(root.mirror_offload__DOT__hold_buffer__DOT__memory[word], bit);
        case Memory::copies:
            return flip_bit(root.mirror_offload__DOT__copies__DOT__memory[word], bit);
        case Memory::endings:
            return flip_bit(root.mirror_offload__DOT__settle__DOT__endings__DOT__memory[word], bit);
        case Memory::fates:
            return flip_bit(root.mirror_offload__DOT__settle__DOT__fates__DOT__memory[word], bit);
    }
}

}  // namespace mirrornic
