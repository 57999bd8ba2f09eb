// SPDX-License-Identifier: Apache-2.0
#include "sim/board.hpp"

#ifdef __SANITIZE_ADDRESS__
#include <pthread.h>
#include <sanitizer/common_interface_defs.h>
#endif

#include <array>
#include <cstring>

namespace mirrornic {

class Board::Registers : public RegisterAccess {
public:
    explicit Registers(tlm_utils::simple_initiator_socket<Board>& socket) : socket_(socket) {}
    void write(std::uint32_t address, std::uint32_t value) override {
        transport(tlm::TLM_WRITE_COMMAND, address, value);
    }
    std::uint32_t read(std::uint32_t address) override {
        return transport(tlm::TLM_READ_COMMAND, address, 0);
    }
    void write_line(std::uint32_t address, const RegisterLine& words,
                    std::uint16_t changed) override {
        RegisterLine line = words;
        std::array<unsigned char, sizeof line> enables;
        for (std::size_t i = 0; i < enables.size(); ++i)
            enables[i] = changed >> i / 4 & 1 ? TLM_BYTE_ENABLED : TLM_BYTE_DISABLED;
        transport(tlm::TLM_WRITE_COMMAND, address, line.data(), sizeof line, &enables);
    }

private:
    std::uint32_t transport(tlm::tlm_command command, std::uint32_t address, std::uint32_t value) {
        transport(command, address, &value, sizeof value);
        return value;
    }
    void transport(tlm::tlm_command command, std::uint32_t address, std::uint32_t* words,
                   unsigned size,
                   std::array<unsigned char, sizeof(RegisterLine)>* enables = nullptr) {
        tlm::tlm_generic_payload payload;
        payload.set_command(command);
        payload.set_address(address);
        payload.set_data_ptr(reinterpret_cast<unsigned char*>(words));
        payload.set_data_length(size);
        payload.set_streaming_width(size);
        if (enables) {
            payload.set_byte_enable_ptr(enables->data());
            payload.set_byte_enable_length(unsigned(enables->size()));
        }
        sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
        socket_->b_transport(payload, delay);
        if (payload.is_response_error()) {
            throw SimulationError("an access of register " + std::to_string(address) +
                                  " is not one of an aligned 32-bit word or line");
        }
    }
    tlm_utils::simple_initiator_socket<Board>& socket_;
};

namespace {

/// Tells AddressSanitizer which stack is in use. SystemC 2.3.4 returns from the stack of its last
/// process without doing so. AddressSanitizer then cannot clear what exceptions leave behind on
/// this stack, and reports faults that are none.
void tell_sanitizer_of_stack() {
#ifdef __SANITIZE_ADDRESS__
    pthread_attr_t attributes;
    if (::pthread_getattr_np(::pthread_self(), &attributes) != 0) return;
    void *lowest = nullptr, *fake = nullptr;
    std::size_t size = 0;
    ::pthread_attr_getstack(&attributes, &lowest, &size);
    ::pthread_attr_destroy(&attributes);
    __sanitizer_start_switch_fiber(&fake, lowest, size);
    __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
}

}  // namespace

Board::Board(const Options& options, sc_core::sc_module_name name)
    : sc_module(name),
      offload_("offload", options.clock_mhz, options.wave_file),
      source_("source"),
      access_("access"),
      forward_sink_("forward_sink"),
      mirror_sink_("mirror_sink"),
      registers_(std::make_unique<Registers>(access_)) {
    source_.bind(offload_.frames);
    access_.bind(offload_.registers);
    offload_.forward.bind(forward_sink_);
    offload_.mirror.bind(mirror_sink_);
    forward_sink_.register_b_transport(this, &Board::take_forward);
    mirror_sink_.register_b_transport(this, &Board::take_copy);
    // SystemC would print a message at the end of each run.
    sc_core::sc_report_handler::set_actions("/OSCI/SystemC", sc_core::SC_INFO,
                                            sc_core::SC_DO_NOTHING);
    SC_HAS_PROCESS(Board);
    SC_THREAD(thread);
    set_stack_size(8 << 20);
}

Board::~Board() {
    // If the offload has stopped while a frame was being fed, the payload still has the extension.
    // It belongs to the feeder, so the payload must not delete it.
    if (auto* extension = payload_.get_extension<Transfer>()) payload_.clear_extension(extension);
}

RegisterAccess& Board::registers() { return *registers_; }

void Board::run(std::function<void()> work) {
    work_ = std::move(work);
    offload_.watch_forward = on_forward != nullptr;
    sc_core::sc_start();
    tell_sanitizer_of_stack();
    // A failure of the model is thrown even if `work` has caught it or has thrown something else.
    if (offload_.failure()) std::rethrow_exception(offload_.failure());
    if (failure_) std::rethrow_exception(failure_);
}

void Board::thread() {
    try {
        work_();
    } catch (const sc_core::sc_unwind_exception&) {
        throw;
    } catch (...) {
        if (!failure_) failure_ = std::current_exception();
    }
    sc_core::sc_stop();
}

void Board::feed(const std::uint8_t* data, std::size_t size, const Transfer& transfer) {
    // One payload is used for all frames: the offload copies what it needs before the call returns.
    payload_.set_command(tlm::TLM_WRITE_COMMAND);
    payload_.set_data_ptr(const_cast<unsigned char*>(data));
    payload_.set_data_length(static_cast<unsigned>(size));
    payload_.set_response_status(tlm::TLM_INCOMPLETE_RESPONSE);
    auto* extension = const_cast<Transfer*>(&transfer);
    payload_.set_extension(extension);
    struct TakenBack {  // else the payload deletes it, when the call is unwound
        tlm::tlm_generic_payload& payload;
        Transfer* extension;
        ~TakenBack() { payload.clear_extension(extension); }
    } const taken_back{payload_, extension};
    sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
    source_->b_transport(payload_, delay);
    if (payload_.is_response_error()) throw SimulationError("a frame of no bytes cannot be fed");
}

void Board::take_forward(tlm::tlm_generic_payload& payload, sc_core::sc_time&) {
    if (on_forward) {
        on_forward({payload.get_data_ptr(), payload.get_data_length(),
                    *payload.get_extension<Transfer>()});
    }
    payload.set_response_status(tlm::TLM_OK_RESPONSE);
}

void Board::take_copy(tlm::tlm_generic_payload& payload, sc_core::sc_time&) {
    if (on_copy) {
        on_copy({payload.get_data_ptr(), payload.get_data_length(),
                 *payload.get_extension<Transfer>()});
    }
    payload.set_response_status(tlm::TLM_OK_RESPONSE);
}

}  // namespace mirrornic
