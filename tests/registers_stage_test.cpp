// SPDX-License-Identifier: Apache-2.0
// The registers at their pins: AXI4-Lite in every order of its channels, lines, refusals, commits
// and fetches, the interrupt. Stand-ins play the tables and counters around the module.
#include <Vregisters.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "stage.hpp"

using namespace mirrornic::test;
using namespace mirrornic::registers;
namespace sizes = mirrornic::registers::sizes;

namespace {

constexpr unsigned Okay = 0, SlaveError = 2;
/// After a reset, until all staged rules are cleared and seen to be.
constexpr unsigned ClearCycles = 2 * sizes::rules + 4;

/// Cycles between what could be done and what is: of the address, the data and the response.
struct Gaps {
    unsigned address = 0, data = 0, response = 0;
};

struct Written {
    unsigned response = 0;
    std::uint64_t accepted = 0;  ///< cycle in which the later of address and data was taken
    std::uint64_t answered = 0;  ///< handshake of the response
};

struct Got {
    std::uint32_t data = 0;
    unsigned response = 0;
    std::uint64_t accepted = 0, answered = 0;
};

/// Sixteen registers, as the line port takes them.
using LineWords = std::array<std::uint32_t, 16>;
constexpr std::uint64_t AllBytes = ~std::uint64_t{0};

/// The places of a line; null where there is no register.
std::array<const Place*, 16> places_of(std::uint32_t line) {
    std::array<const Place*, 16> result{};
    for (const Place& place : places)
        if (place.address / 64 * 64 == line) result[place.address / 4 % 16] = &place;
    return result;
}

/// The module, a bus master, and what stands around the module.
class Device {
public:
    explicit Device(StageRandom& random) : random_(random) {
        stage_->s_axil_awvalid = stage_->s_axil_wvalid = stage_->s_axil_arvalid = 0;
        stage_->s_axil_bready = stage_->s_axil_rready = 0;
        stage_->s_line_valid = 0;
        stage_->token_taken = stage_->token_done = 0;
        stage_->fetched_interface = stage_->fetched_filter = stage_->fetched_cut = 0;
        stage_->fetched_outer = 0;
        stage_->next_egress = 0;
        stage_->version = 0;
        stage_->undrained = 0;
        stage_->ready = stage_->idle = stage_->mirror_room = stage_->resetting = 0;
        stage_->dropped = stage_->fault_found = 0;
        stage_->fault = stage_->fault_count = 0;
        stage_.reset();
        wait(ClearCycles);
    }

    // ---- The bus ----

    void start_write(std::uint32_t address, std::uint32_t data, unsigned strobes = 15,
                     Gaps gaps = {}) {
        addresses_.push_back({address, gaps.address});
        words_.push_back({data, strobes, gaps.data});
        write_waits_.push_back(gaps.response);
    }
    void start_read(std::uint32_t address, Gaps gaps = {}) {
        reads_.push_back({address, gaps.address});
        read_waits_.push_back(gaps.response);
    }

    void start_line(std::uint32_t address, const LineWords& line, std::uint64_t strobes = AllBytes,
                    unsigned gap = 0) {
        lines_.push_back({address, line, strobes, gap});
    }
    /// Writes a line, and gives the reason of a refusal, of which nothing stays.
    Reason attempt_line(std::uint32_t address, const LineWords& line,
                        std::uint64_t strobes = AllBytes) {
        const std::uint64_t answers = written.size();
        start_line(address, line, strobes);
        finish();
        REQUIRE(written.size() == answers);  // it is posted
        const std::uint32_t error = read(error_reason::address());
        refused_at = read(error_address::address());
        if (error != 0) {
            REQUIRE(error_reason::count.of(error) == 1);
            REQUIRE(write(control::address(), control::clear_error(1)) == Okay);
        }
        return Reason(error_reason::reason.of(error));
    }
    std::uint32_t refused_at = 0;

    unsigned write(std::uint32_t address, std::uint32_t data, unsigned strobes = 15) {
        start_write(address, data, strobes);
        finish();
        const unsigned response = written.back().response;
        written.clear();
        return response;
    }
    std::uint32_t read(std::uint32_t address) {
        start_read(address);
        finish();
        REQUIRE(got.back().response == Okay);
        const std::uint32_t data = got.back().data;
        got.clear();
        return data;
    }
    /// Writes, and gives the reason of a refusal, of which nothing stays.
    Reason attempt(std::uint32_t address, std::uint32_t data, unsigned strobes = 15) {
        const unsigned response = write(address, data, strobes);
        const std::uint32_t reason = error_reason::reason.of(read(error_reason::address()));
        REQUIRE(response == (reason == 0 ? Okay : SlaveError));
        if (reason != 0) {
            REQUIRE(read(error_address::address()) == address);
            REQUIRE(write(control::address(), control::clear_error(1)) == Okay);
        }
        return Reason(reason);
    }

    /// Until all accesses are answered.
    void finish(unsigned limit = 200000) {
        bool line = !lines_.empty();
        while (!write_waits_.empty() || !read_waits_.empty() || line) {
            REQUIRE(limit-- > 0);
            cycle();
            line = !lines_.empty() || (line && !stage_->s_line_ready);  // until it is done with
        }
    }
    void wait(unsigned cycles) {
        for (unsigned i = 0; i < cycles; ++i) cycle();
    }

    void cycle() {
        drive_bus();
        stage_->dropped = drop_at == now_;
        stage_->fault_found = fault_at == now_;
        play_tables();
        stage_.eval();
        play_counters();
        check_bus();
        if (on_cycle) on_cycle();
        resets += stage_->mirror_reset;
        snapshots += stage_->snapshot;
        clears += stage_->clear_counters;
        fault_clears += stage_->clear_fault;
        stage_.tick();
        ++now_;
    }

    /// What is under way is lost; both neighbours are reset too (P25).
    void reset() {
        stage_->s_axil_awvalid = stage_->s_axil_wvalid = stage_->s_axil_arvalid = 0;
        stage_->token_taken = stage_->token_done = 0;
        stage_->fetched_interface = stage_->fetched_filter = stage_->fetched_cut = 0;
        stage_->fetched_outer = 0;
        stage_->version = 0;
        stage_->rst = 1;
        stage_.tick();
        ++now_;
        stage_->rst = 0;
        addresses_.clear();
        words_.clear();
        lines_.clear();
        line_age_ = 0;
        reads_.clear();
        write_waits_.clear();
        read_waits_.clear();
        accepts_.clear();
        read_accepts_.clear();
        waiting_address_ = waiting_data_ = 0;
        address_age_ = data_age_ = read_age_ = response_age_ = read_response_age_ = 0;
        held_response_.reset();
        held_read_.reset();
        token_.reset();
        token_age_ = 0;
        written.clear();
        got.clear();
    }

    // ---- What tests set and see ----

    std::vector<Written> written;
    std::vector<Got> got;
    std::vector<std::uint64_t> lines_taken;  ///< cycles
    unsigned slot_after = 0;                 ///< cycles that a token waits for its slot
    unsigned resets = 0, snapshots = 0, clears = 0, fault_clears = 0;  ///< cycles of each strobe
    std::uint64_t drop_at = 0, fault_at = 0;
    std::function<void()> on_cycle;
    struct Taken {
        TokenWord token;
        std::vector<Bits> staged;
        std::array<Bits, 2> lists{Bits(FilterWidth), Bits(FilterWidth)};  ///< of a filter's commit
    };
    std::vector<Taken> tokens;
    // What a fetch gives.
    Bits interface_word{InterfaceWord::width}, cut_word{CutWord::width},
        outer_word{OuterWord::width}, service_word{ServiceWord::width};
    std::array<Bits, 2> filter_words{filter_bits({}, false), filter_bits({}, false)};

    std::uint64_t now() const { return now_; }
    Stage<Vregisters>& stage() { return stage_; }
    bool irq() { return stage_->irq; }
    std::uint64_t first_refused() const { return accepts_.size(); }

    /// Every staged port and, last, the rules' registers.
    std::vector<Bits> settled() {
        auto all = staged();
        all.push_back(rules());
        return all;
    }
    Bits rules() {
        Bits words(2 * int(sizes::rules) * RuleWord::width);
        for (std::uint32_t i = 0; i < 2 * sizes::rules; ++i)
            for (int j = 0; j < RuleWord::width / 32; ++j)
                words.put(
                    int(i) * RuleWord::width + 32 * j, 32,
                    read(rule::address(i / sizes::rules, i % sizes::rules) + 4 * std::uint32_t(j)));
        return words;
    }
    /// The lists, as a commit takes them.
    std::array<Bits, 2> committed_lists() {
        REQUIRE(write(commit::address(), commit::filter(1)) == Okay);
        REQUIRE(tokens.back().token.filter == 1);
        return tokens.back().lists;
    }
    /// The staged ports as seen last.
    std::vector<Bits> staged() {
        Bits indices(64);
        indices.put(0, 16, stage_->staged_interface_index);
        indices.put(16, 16, stage_->staged_filter_index);
        indices.put(32, 16, stage_->staged_session_index);
        indices.put(48, 16, stage_->staged_service_index);
        return {indices,
                sample(stage_->staged_interface, InterfaceWord::width),
                sample(stage_->staged_cut, CutWord::width),
                sample(stage_->staged_outer, OuterWord::width),
                sample(stage_->staged_service, ServiceWord::width),
                sample(stage_->staged_source_ports, SourcePorts::width)};
    }

    static std::uint64_t counter_value(unsigned index) {
        return 0x0123456789abcdefull * (index + 1);
    }
    static std::uint32_t session_counter_word(unsigned session, unsigned word) {
        return 0x9e3779b9u * (session * 16 + word + 1);
    }

private:
    struct Address {
        std::uint32_t address;
        unsigned gap;
    };
    struct Word {
        std::uint32_t data;
        unsigned strobes, gap;
    };
    struct Line {
        std::uint32_t address;
        LineWords words;
        std::uint64_t strobes;
        unsigned gap;
    };
    struct Response {
        std::uint32_t data;
        unsigned response;
    };

    void drive_bus() {
        const bool address = !addresses_.empty() && address_age_ >= addresses_.front().gap;
        const bool word = !words_.empty() && data_age_ >= words_.front().gap;
        const bool read = !reads_.empty() && read_age_ >= reads_.front().gap;
        stage_->s_axil_awvalid = address;
        stage_->s_axil_awaddr =
            std::uint16_t(address ? addresses_.front().address : random_.below(8192));
        stage_->s_axil_wvalid = word;
        stage_->s_axil_wdata = word ? words_.front().data : std::uint32_t(random_.below(1u << 31));
        stage_->s_axil_wstrb = std::uint8_t(word ? words_.front().strobes : random_.below(16));
        const bool line = !lines_.empty() && line_age_ >= lines_.front().gap;
        stage_->s_line_valid = line;
        stage_->s_line_address =
            std::uint8_t((line ? lines_.front().address : std::uint32_t(random_.below(8192))) >> 6);
        stage_->s_line_strobes =
            line ? lines_.front().strobes : random_.below(std::uint64_t{1} << 63);
        for (unsigned i = 0; i < 16; ++i)
            stage_->s_line_data[i] =
                line ? lines_.front().words[i] : std::uint32_t(random_.below(1u << 31));
        line_age_ = lines_.empty() ? 0 : line_age_ + 1;
        stage_->s_axil_arvalid = read;
        stage_->s_axil_araddr = std::uint16_t(read ? reads_.front().address : random_.below(8192));
        stage_->s_axil_bready = !write_waits_.empty() && response_age_ >= write_waits_.front();
        stage_->s_axil_rready = !read_waits_.empty() && read_response_age_ >= read_waits_.front();
        address_age_ = addresses_.empty() ? 0 : address_age_ + 1;
        data_age_ = words_.empty() ? 0 : data_age_ + 1;
        read_age_ = reads_.empty() ? 0 : read_age_ + 1;
    }

    /// AXI4-Lite: answers come behind what they answer, and hold still until they are taken.
    void check_bus() {
        INFO("cycle " << now_);
        if (stage_->s_axil_bvalid) {
            REQUIRE_FALSE(accepts_.empty());
            if (!held_response_) REQUIRE_FALSE(token_);  // an answer of a commit would be early
            if (held_response_) REQUIRE(*held_response_ == stage_->s_axil_bresp);
            held_response_ = stage_->s_axil_bresp;
            ++response_age_;
            if (stage_->s_axil_bready) {
                written.push_back({*held_response_, accepts_.front(), now_});
                accepts_.pop_front();
                write_waits_.pop_front();
                held_response_.reset();
                response_age_ = 0;
            }
        } else {
            REQUIRE_FALSE(held_response_);
        }
        if (stage_->s_axil_rvalid) {
            REQUIRE_FALSE(read_accepts_.empty());
            if (held_read_) {
                REQUIRE(held_read_->data == stage_->s_axil_rdata);
                REQUIRE(held_read_->response == stage_->s_axil_rresp);
            }
            held_read_ = Response{stage_->s_axil_rdata, stage_->s_axil_rresp};
            ++read_response_age_;
            if (stage_->s_axil_rready) {
                got.push_back(
                    {held_read_->data, held_read_->response, read_accepts_.front(), now_});
                read_accepts_.pop_front();
                read_waits_.pop_front();
                held_read_.reset();
                read_response_age_ = 0;
            }
        } else {
            REQUIRE_FALSE(held_read_);
        }
        if (stage_->s_line_valid && stage_->s_line_ready) {
            REQUIRE_FALSE(stage_->s_axil_awready);
            REQUIRE_FALSE(stage_->s_axil_arready);
            lines_taken.push_back(now_);
            lines_.pop_front();
            line_age_ = 0;
        }
        if (stage_->s_axil_awvalid && stage_->s_axil_awready) {
            addresses_.pop_front();
            address_age_ = 0;
            ++waiting_address_;
        }
        if (stage_->s_axil_wvalid && stage_->s_axil_wready) {
            words_.pop_front();
            data_age_ = 0;
            ++waiting_data_;
        }
        while (waiting_address_ > 0 && waiting_data_ > 0) {
            --waiting_address_;
            --waiting_data_;
            accepts_.push_back(now_);
        }
        if (stage_->s_axil_arvalid && stage_->s_axil_arready) {
            reads_.pop_front();
            read_age_ = 0;
            read_accepts_.push_back(now_);
        }
    }

    /// The lookup: a token waits for its slot and is done 8 cycles behind it.
    void play_tables() {
        stage_->token_taken = stage_->token_done = stage_->next_egress = 0;
        stage_->fetched_interface = stage_->fetched_filter = stage_->fetched_cut = 0;
        stage_->fetched_outer = last_outer_ == now_ && now_ > 0;
        drive(stage_->outer_word, stage_->fetched_outer ? outer_word : Bits(OuterWord::width));
        drive(stage_->service_entry, service_word);
        stage_.eval();
        if (!token_) {
            const TokenWord token = sample<TokenWord>(stage_->token);
            if (!token.commit && !token.fetch) {
                token_age_ = 0;
                return;
            }
            REQUIRE(token.commit + token.fetch == 1);
            if (token_age_++ < slot_after) return;
            stage_->token_taken = 1;
            token_ = token;
            token_age_ = 0;
            tokens.emplace_back();
            tokens.back().token = token;
            tokens.back().staged = staged();
            return;
        }
        ++token_age_;
        if (token_->commit) {
            REQUIRE((staged() == tokens.back().staged));
            stage_->next_egress = token_->filter && token_age_ == 5;
            if (token_->filter && (token_age_ == 5 || token_age_ == 6))
                tokens.back().lists[token_age_ - 5] = sample(stage_->staged_list, FilterWidth);
            if (token_age_ == 4) stage_->version = std::uint16_t(stage_->version + 1);
        } else {
            stage_->fetched_interface = token_->interface_word && token_age_ == 4;
            drive(stage_->interface_word, interface_word);
            stage_->fetched_filter = token_->filter && token_age_ == 6;
            if (stage_->fetched_filter)
                drive(stage_->filter_word, filter_words[token_->fetch_egress]);
            stage_->fetched_cut = token_->session && token_age_ == 7;
            drive(stage_->cut_word, cut_word);
            if (token_->session && token_age_ == 8) last_outer_ = now_ + 1;
        }
        if (token_age_ == 8) {
            stage_->token_done = 1;
            token_.reset();
            token_age_ = 0;
        }
    }

    void play_counters() {
        stage_->counter_value = counter_value(stage_->counter_index);
        session_indices_.push_front(stage_->session_counter_index);
        session_indices_.resize(4);
        for (unsigned i = 0; i < 2 * session_counter_count; ++i) {
            stage_->session_counter_values[i] =
                session_counter_word(unsigned(session_indices_.back()), i);
        }
        stage_.eval();
    }

    StageRandom& random_;
    Stage<Vregisters> stage_;
    std::deque<Address> addresses_, reads_;
    std::deque<Word> words_;
    std::deque<Line> lines_;
    std::deque<unsigned> write_waits_, read_waits_;     ///< of accesses that are not answered
    std::deque<std::uint64_t> accepts_, read_accepts_;  ///< cycles of those that were taken
    unsigned waiting_address_ = 0, waiting_data_ = 0;   ///< taken without the other
    unsigned address_age_ = 0, data_age_ = 0, read_age_ = 0, response_age_ = 0,
             read_response_age_ = 0, line_age_ = 0;
    std::optional<unsigned> held_response_;
    std::optional<Response> held_read_;
    std::optional<TokenWord> token_;  ///< taken and not done
    unsigned token_age_ = 0;
    std::uint64_t last_outer_ = 0;
    std::deque<unsigned> session_indices_{0, 0, 0, 0};
    std::uint64_t now_ = 1;
};

bool begins(const std::string& name, const std::string& with) { return name.rfind(with, 0) == 0; }

/// A value of the staged register that is in range and contradicts nothing.
std::uint32_t random_word(StageRandom& random, const Place& place) {
    const std::string name = place.name;
    const auto index = [&](const Field& field) {
        return field(std::uint32_t(random.between(field.min, field.max)));
    };
    if (begins(name, "slot_tables"))
        return index(slot_tables::filter) | index(slot_tables::session);
    if (name == "interface_index") return index(interface_index::index);
    if (name == "session_index") return index(session_index::index);
    if (name == "service_index") return index(service_index::index);
    if (name == "filter_index") return index(filter_index::index);
    if (name == "session_counter_index") return index(session_counter_index::index);
    if (name == "session_cut")
        return index(session_cut::packet_length) | index(session_cut::mtu_cut);
    if (name == "source_ports")
        return source_ports::base(0x8000) |
               source_ports::bits(std::uint32_t(random.between(1, 15)));
    std::uint32_t value = std::uint32_t(random.below(std::uint64_t{1} << 32)) & place.writable;
    if (name.find("_ports") != std::string::npos && value >> 16 < (value & 0xffff))
        value = value << 16 | value >> 16;
    if (begins(name, "rule["))
        value &= ~(rule::source_prefix(0xe0) | rule::destination_prefix(0xe0));
    return value;
}

/// Every register that keeps what is written to it.
std::vector<Place> kept_places() {
    std::vector<Place> result;
    std::copy_if(std::begin(places), std::end(places), std::back_inserter(result),
                 [](const Place& place) { return place.access == Access::rw; });
    REQUIRE(result.size() > 50);
    return result;
}

std::uint32_t write_random(StageRandom& random, Device& device, const Place& place) {
    const std::uint32_t value = random_word(random, place);
    INFO(place.name);
    REQUIRE(device.write(place.address, value) == Okay);
    REQUIRE(device.read(place.address) == value);
    return value;
}

}  // namespace

// ---- The bus ----

TEST_CASE("address before data, data before address and both together are one write each") {
    StageRandom random;
    Device device(random);
    const auto kept = kept_places();
    std::map<std::uint32_t, std::uint32_t> values;
    unsigned count = 0;
    for (unsigned address = 0; address <= 4; ++address) {
        for (unsigned data = 0; data <= 4; ++data) {
            for (const unsigned response : {0u, 1u, 2u, 7u}) {
                const Place& place = kept[count++ * 7 % kept.size()];
                values[place.address] = random_word(random, place);
                device.start_write(place.address, values[place.address], 15,
                                   {address, data, response});
                if (count % 3 == 0) device.finish();  // alone, and right behind each other
            }
        }
    }
    device.finish();
    REQUIRE(device.written.size() == count);
    for (const Written& write : device.written) CHECK(write.response == Okay);
    for (const auto& [address, value] : values) CHECK(device.read(address) == value);
    CHECK(device.read(error_reason::address()) == 0);
    device.wait(20);
    CHECK(device.written.size() == count);
}

TEST_CASE("one write's data is never taken with another's address, however far it runs ahead") {
    StageRandom random;
    for (const bool data_first : {true, false}) {
        Device device(random);
        for (std::uint32_t i = 0; i < 4; ++i) {
            const unsigned gap = i == 0 ? 20 : 0;
            device.start_write(session_target_address::address(i), 0x1000 + i, 15,
                               {data_first ? gap : 0, data_first ? 0 : gap, 0});
        }
        device.finish();
        for (std::uint32_t i = 0; i < 4; ++i)
            CHECK(device.read(session_target_address::address(i)) == 0x1000 + i);
    }
}

TEST_CASE("accesses back to back take their turns, reads beside writes") {
    StageRandom random;
    Device device(random);
    for (std::uint32_t i = 0; i < 200; ++i) device.start_write(interface_resolver::address(), i);
    const auto start = device.now();
    device.finish();
    CHECK(device.written.size() == 200);
    CHECK(device.now() - start <= 200 * 3 + 1);
    CHECK(device.read(interface_resolver::address()) == 199);
    device.got.clear();
    for (std::uint32_t i = 0; i < 200; ++i) device.start_read(magic::address());
    const auto reads = device.now();
    device.finish();
    CHECK(device.got.size() == 200);
    CHECK(device.now() - reads <= 200 * 4);
    for (const Got& read : device.got) CHECK(read.data == magic_value);

    // Neither keeps the other from the bus.
    device.written.clear();
    device.got.clear();
    for (std::uint32_t i = 0; i < 200; ++i) {
        device.start_write(interface_resolver::address(), i);
        device.start_read(version::address());
    }
    device.finish();
    for (unsigned i = 1; i < 200; ++i) {
        CHECK(device.written[i].answered - device.written[i - 1].answered <= 8);
        CHECK(device.got[i].answered - device.got[i - 1].answered <= 8);
    }
}

TEST_CASE("an answer waits for its ready, holds still, and does not stop the other direction") {
    StageRandom random;
    Device device(random);
    device.start_write(interface_resolver::address(), 5, 15, {0, 0, 60});
    for (unsigned i = 0; i < 5; ++i) device.start_read(magic::address());
    device.finish();
    REQUIRE(device.got.size() == 5);
    for (const Got& read : device.got) CHECK(read.answered < device.written[0].answered);
    device.written.clear();
    device.got.clear();

    device.start_read(interface_resolver::address(), {0, 0, 60});
    device.wait(3);
    for (std::uint32_t i = 0; i < 5; ++i) device.start_write(interface_resolver::address(), 10 + i);
    device.finish();
    REQUIRE(device.written.size() == 5);
    for (const Written& write : device.written) CHECK(write.answered < device.got[0].answered);
    CHECK(device.got[0].data == 5);  // as it was when it was read
    CHECK(device.read(interface_resolver::address()) == 14);

    // A refusal beside a read that waits, too.
    device.written.clear();
    device.got.clear();
    device.start_read(magic::address(), {0, 0, 30});
    device.start_write(magic::address(), 0, 15, {0, 0, 30});
    device.finish();
    CHECK(device.written[0].response == SlaveError);
    CHECK(device.got[0].response == Okay);
    CHECK(device.got[0].data == magic_value);
}

TEST_CASE("random accesses with random gaps: every read sees the writes before it") {
    StageRandom random;
    Device device(random);
    const auto kept = kept_places();
    std::vector<Place> few;
    for (unsigned i = 0; i < 6; ++i) few.push_back(random.pick(kept));
    struct Access {
        std::uint32_t address, value;
    };
    for (unsigned round = 0; round < 300; ++round) {
        std::vector<Access> writes;
        std::vector<std::uint32_t> reads;
        std::map<std::uint32_t, std::uint32_t> before;
        for (const Place& place : few) before[place.address] = device.read(place.address);
        const auto gaps = [&] {
            const unsigned most = round % 3 == 0 ? 1 : 6;
            return Gaps{unsigned(random.below(most)), unsigned(random.below(most)),
                        unsigned(random.below(most))};
        };
        device.written.clear();
        device.got.clear();
        for (unsigned i = 0; i < 12; ++i) {
            if (random.chance(60)) {
                const Place& place = random.pick(few);
                writes.push_back({place.address, random_word(random, place)});
                device.start_write(place.address, writes.back().value, 15, gaps());
            }
            if (random.chance(60)) {
                reads.push_back(random.pick(few).address);
                device.start_read(reads.back(), gaps());
            }
        }
        device.finish();
        const auto written = device.written;
        const auto got = device.got;
        REQUIRE(written.size() == writes.size());
        REQUIRE(got.size() == reads.size());
        for (std::size_t i = 0; i < reads.size(); ++i) {
            std::set<std::uint32_t> allowed{before[reads[i]]};
            for (std::size_t j = 0; j < writes.size(); ++j) {
                if (writes[j].address != reads[i]) continue;
                if (written[j].answered < got[i].accepted) allowed = {};
                if (written[j].accepted <= got[i].answered) allowed.insert(writes[j].value);
            }
            CHECK(allowed.count(got[i].data) == 1);
        }
        for (const Access& write : writes) before[write.address] = write.value;
        for (const Place& place : few) CHECK(device.read(place.address) == before[place.address]);
    }
    CHECK(device.read(error_reason::address()) == 0);
}

// ---- Refusals ----

TEST_CASE("T5 a write with partial strobes is refused and changes nothing, at every register") {
    StageRandom random;
    Device device(random);
    device.stage()->ready = 1;
    device.wait(2);
    for (const Place& place : kept_places()) {
        if (random.chance(30)) write_random(random, device, place);
    }
    REQUIRE(device.write(interrupt_mask::address(), 0) == Okay);
    const auto staged = device.settled();
    for (const Place& place : places) {
        INFO(place.name);
        const std::uint32_t before = device.read(place.address);
        for (unsigned strobes = 0; strobes < 15; ++strobes) {
            const std::uint32_t value =
                strobes % 2 ? place.writable & ~before : random_word(random, place);
            REQUIRE(device.write(place.address, value, strobes) == SlaveError);
        }
        if (place.address != error_reason::address() && place.address != error_address::address() &&
            place.address != commit_status::address() &&
            place.address != interrupt_status::address()) {
            REQUIRE(device.read(place.address) == before);
        }
        REQUIRE(device.read(error_address::address()) == place.address);
        REQUIRE(device.read(error_reason::address()) ==
                (error_reason::reason(std::uint32_t(Reason::partial_strobes)) |
                 error_reason::count(15)));
        REQUIRE(interrupt_status::axi_error.of(device.read(interrupt_status::address())) == 1);
        REQUIRE(interrupt_status::ready.of(device.read(interrupt_status::address())) == 1);
        REQUIRE(device.write(control::address(), control::clear_error(1)) == Okay);
    }
    CHECK((device.settled() == staged));
    CHECK(device.tokens.empty());
    CHECK(device.resets + device.snapshots + device.clears + device.fault_clears == 0);
}

TEST_CASE(
    "T5 an address that is no register reads 0 with OKAY, is counted, and takes no write but 0 in "
    "a "
    "hole") {
    StageRandom random;
    Device device(random);
    std::map<std::uint32_t, const Place*> mapped;
    for (const Place& place : places) {
        mapped[place.address] = &place;
        if (place.access == Access::rw) write_random(random, device, place);
    }
    const auto staged = device.settled();
    unsigned count = 0, holes = 0;
    for (std::uint32_t address = 0; address < end_address; ++address) {
        if (mapped.count(address)) continue;
        INFO("address " << address);
        CHECK(device.read(address) == 0);
        CHECK(unmapped_reads::count.of(device.read(unmapped_reads::address())) == 1);
        const auto at = places_of(address / 64 * 64);
        const bool hole = address % 4 == 0 &&
                          std::any_of(at.begin(), at.end(), [](auto* place) { return place; });
        CHECK(device.attempt(address, 0) == (hole ? Reason::none : Reason::unmapped));
        CHECK(device.attempt(address, std::uint32_t{1} << random.below(32)) == Reason::unmapped);
        if (hole) {
            CHECK(device.attempt(address, 0, 7) == Reason::partial_strobes);
            const std::uint64_t alone = std::uint64_t{15} << address % 64;
            CHECK(device.attempt_line(address / 64 * 64, {}, alone) == Reason::none);
            ++holes;
        }
        REQUIRE(device.write(control::address(), control::clear_error(1)) == Okay);
        if (++count % 256 != 0) continue;  // nothing puts a changed word right
        if (!(device.settled() == staged)) FAIL("a staged word has changed");
    }
    if (!(device.settled() == staged)) FAIL("a staged word has changed");
    CHECK(count + mapped.size() == end_address);
    CHECK(holes > 5 * 2 * sizes::rules);
    for (std::uint32_t i = 1; i <= 3; ++i) {
        device.read(end_address - 4);
        CHECK(device.read(unmapped_reads::address()) == i);
    }
}

TEST_CASE("T5 reserved bits, values out of range and writes of what is only read are refused") {
    StageRandom random;
    Device device(random);
    for (const Place& place : kept_places()) write_random(random, device, place);
    const auto staged = device.settled();
    for (const Place& place : places) {
        INFO(place.name);
        const std::uint32_t before = device.read(place.address);
        for (unsigned bit = 0; bit < 32; ++bit) {
            INFO("bit " << bit);
            const std::uint32_t value = std::uint32_t{1} << bit;
            if (place.access == Access::ro)
                REQUIRE(device.attempt(place.address, value) == Reason::read_only);
            else if ((place.writable & value) == 0)
                REQUIRE(device.attempt(place.address, value | before) == Reason::reserved_bits);
            else
                continue;
        }
        if (place.address != interrupt_status::address())
            REQUIRE(device.read(place.address) == before);
    }
    const auto out_of_range = [&](std::uint32_t address, const Field& field,
                                  std::uint32_t rest = 0) {
        INFO("address " << address << ", field at bit " << field.low);
        const std::uint32_t before = device.read(address);
        const std::uint32_t most = (1u << field.width) - 1;
        REQUIRE((field.max < most || field.min > 0));
        if (field.max < most) {
            CHECK(device.attempt(address, field(field.max + 1) | rest) == Reason::out_of_range);
            CHECK(device.attempt(address, field(most) | rest) == Reason::out_of_range);
        }
        if (field.min > 0)
            CHECK(device.attempt(address, field(field.min - 1) | rest) == Reason::out_of_range);
        CHECK(device.read(address) == before);
    };
    out_of_range(source_ports::address(), source_ports::bits);
    out_of_range(interface_index::address(), interface_index::index);
    out_of_range(session_index::address(), session_index::index);
    out_of_range(service_index::address(), service_index::index);
    out_of_range(filter_index::address(), filter_index::index);
    out_of_range(session_counter_index::address(), session_counter_index::index);
    out_of_range(session_cut::address(), session_cut::packet_length, session_cut::mtu_cut(1));
    out_of_range(session_cut::address(), session_cut::mtu_cut, session_cut::packet_length(1));
    for (std::uint32_t i = 0; i < sizes::slots; ++i) {
        out_of_range(slot_tables::address(i), slot_tables::filter);
        out_of_range(slot_tables::address(i), slot_tables::session);
    }
    for (std::uint32_t i = 0; i < sizes::rules; ++i) {
        for (const std::uint32_t direction : {0u, 1u}) {
            out_of_range(rule::address(direction, i), rule::source_prefix);
            out_of_range(rule::address(direction, i), rule::destination_prefix);
        }
    }
    CHECK((device.settled() == staged));
    CHECK(device.tokens.empty());
}

TEST_CASE("T5 the first error stays until it is cleared, and holds back every commit") {
    StageRandom random;
    Device device(random);
    CHECK(device.read(error_reason::address()) == 0);
    CHECK(device.write(magic::address(), 0) == SlaveError);
    CHECK(device.write(interface_resolver::address(), 1, 7) == SlaveError);
    CHECK(device.write(end_address - 4, 0) == SlaveError);
    CHECK(device.write(interface_resolver::address(), 2) == Okay);
    const auto first = std::uint32_t(Reason::read_only);
    for (unsigned i = 0; i < 3; ++i) {
        CHECK(device.read(error_address::address()) == magic::address());
        CHECK(device.read(error_reason::address()) ==
              (error_reason::reason(first) | error_reason::count(3 + i)));
        CHECK(device.read(commit_status::address()) == commit_status::reason(first));
        CHECK(device.write(commit::address(), commit::session(1)) == SlaveError);
    }
    CHECK(device.tokens.empty());
    // Neither of these is a clear.
    CHECK(device.write(control::address(), 0) == Okay);
    CHECK(device.write(control::address(), control::snapshot(1)) == Okay);
    CHECK(device.write(control::address(), control::clear_error(1), 1) == SlaveError);
    CHECK(device.write(error_reason::address(), 0) == SlaveError);
    CHECK(device.read(error_address::address()) == magic::address());
    CHECK(error_reason::count.of(device.read(error_reason::address())) == 8);

    CHECK(device.write(control::address(), control::clear_error(1)) == Okay);
    for (const std::uint32_t address : {error_address::address(), error_reason::address(),
                                        unmapped_reads::address(), commit_status::address()})
        CHECK(device.read(address) == 0);
    CHECK(device.write(commit::address(), commit::session(1)) == Okay);
    CHECK(device.tokens.size() == 1);
    // Address 0 of a later first error is told from none by its reason.
    CHECK(device.write(interface_index::address(), sizes::interfaces) == SlaveError);
    CHECK(device.read(error_address::address()) == interface_index::address());
    CHECK(error_reason::reason.of(device.read(error_reason::address())) ==
          std::uint32_t(Reason::out_of_range));
}

// ---- Lines ----

bool is_writable(const Place* place) { return place && place->access != Access::ro; }

TEST_CASE("T5 a line writes what writes of its registers would, or nothing if one is refused") {
    StageRandom random;
    Device device(random), narrow(random);  // the second gets the same by 32-bit writes
    std::set<std::uint32_t> lines;
    for (const Place& place : kept_places()) lines.insert(place.address / 64 * 64);
    lines.erase(interrupt_mask::address() / 64 * 64);
    lines.erase(commit::address() / 64 * 64);
    REQUIRE(lines.size() == 5 + 2 * sizes::rules);
    unsigned taken = 0, refused = 0;
    for (unsigned round = 0; round < 4000; ++round) {
        const std::uint32_t line = random.chance(50)
                                       ? *std::next(lines.begin(), random.below(5))
                                       : *std::next(lines.begin(), random.below(lines.size()));
        // That of the filter_clear, of which all rules are read and set right again, is rarer.
        if (line == filter_clear::address() / 64 * 64 && random.chance(85)) continue;
        const auto at = places_of(line);
        const unsigned bad = random.chance(50) ? 0 : 10;  // percent of the words
        LineWords words{};
        std::uint64_t strobes = AllBytes;
        for (unsigned i = 0; i < 16; ++i) {
            if (is_writable(at[i]) && at[i]->access == Access::rw)
                words[i] = random_word(random, *at[i]);
            if (random.chance(bad)) words[i] = std::uint32_t(random.below(std::uint64_t{1} << 32));
            if (round % 3 == 0 && random.chance(50)) strobes &= ~(std::uint64_t{15} << 4 * i);
            if (round % 3 == 0 && random.chance(bad))
                strobes ^= std::uint64_t{1} << (4 * i + random.below(4));
        }
        // What each of its registers says to that alone.
        std::map<std::uint32_t, std::uint32_t> before;
        for (const Place& place : kept_places())
            if (place.address / 64 * 64 == line || line == 0x200)
                before[place.address] = narrow.read(place.address);
        bool any = false;
        for (unsigned i = 0; i < 16; ++i) any |= is_writable(at[i]);
        Reason reason = strobes == 0 ? Reason::partial_strobes : Reason::none;
        std::uint32_t address = line;
        std::vector<unsigned> order;
        for (unsigned i = 0; i < 16; ++i)  // the clearing first
            line + 4 * i == filter_clear::address() ? void(order.insert(order.begin(), i))
                                                    : order.push_back(i);
        for (const unsigned i : order) {
            const unsigned part = unsigned(strobes >> 4 * i & 15);
            if (part == 0 || (any && !is_writable(at[i]) && words[i] == 0 && part == 15)) continue;
            const Reason own = narrow.attempt(line + 4 * i, words[i], part);
            if (own == Reason::none || (reason != Reason::none && address < line + 4 * i)) continue;
            reason = own;
            address = line + 4 * i;
        }
        if (reason != Reason::none)
            for (const auto& [register_address, value] : before)
                REQUIRE(narrow.write(register_address, value) == Okay);
        INFO("line " << line << ", strobes " << strobes << ", round " << round);
        REQUIRE(device.attempt_line(line, words, strobes) == reason);
        if (reason != Reason::none) REQUIRE(device.refused_at == address);
        REQUIRE((device.staged() == narrow.staged()));
        REQUIRE(device.stage()->session_counter_index == narrow.stage()->session_counter_index);
        for (const auto& [register_address, value] : before)
            REQUIRE(device.read(register_address) == narrow.read(register_address));
        if (round % 64 == 0 && !(device.rules() == narrow.rules())) FAIL("the rules differ");
        ++(reason == Reason::none ? taken : refused);
    }
    CHECK(taken > 1000);
    CHECK(refused > 1000);
    CHECK(device.tokens.empty());
}

TEST_CASE("T5 a line refuses for each of its registers what a write of that register refuses") {
    StageRandom random;
    Device device(random);
    unsigned refused = 0;
    for (const Place& place : kept_places()) {
        INFO(place.name);
        const std::uint32_t line = place.address / 64 * 64;
        const auto at = places_of(line);
        for (const std::uint32_t value :
             {0u, ~0u, std::uint32_t{1} << random.below(32), random_word(random, place)}) {
            INFO("value " << value);
            LineWords words{};
            for (unsigned i = 0; i < 16; ++i)
                if (at[i] && at[i]->access == Access::rw) words[i] = random_word(random, *at[i]);
            words[place.address / 4 % 16] = value;
            const std::uint32_t before = device.read(place.address);
            const Reason reason = device.attempt(place.address, value);
            REQUIRE(device.write(place.address, before) == Okay);
            REQUIRE(device.attempt_line(line, words) == reason);
            if (reason != Reason::none) REQUIRE(device.refused_at == place.address);
            REQUIRE(device.read(place.address) == (reason == Reason::none ? value : before));
            refused += reason != Reason::none;
        }
    }
    CHECK(refused > 50);
    CHECK(device.tokens.empty());
}

TEST_CASE("T5 a line without a writable register is refused, and so is padding that is not 0") {
    StageRandom random;
    Device device(random);
    for (const Place& place : kept_places()) write_random(random, device, place);
    const auto staged = device.settled();
    unsigned holes = 0;
    for (std::uint32_t line = 0; line < end_address; line += 64) {
        INFO("line " << line);
        const auto at = places_of(line);
        const auto reason_at = [&](unsigned i) {
            return at[i] ? Reason::read_only : Reason::unmapped;
        };
        if (std::none_of(at.begin(), at.end(), is_writable)) {
            CHECK(device.attempt_line(line, {}) == reason_at(0));
            CHECK(device.refused_at == line);
            continue;
        }
        LineWords words{};
        for (unsigned i = 0; i < 16; ++i)
            if (at[i] && at[i]->access == Access::rw) words[i] = device.read(line + 4 * i);
        for (unsigned i = 0; i < 16; ++i) {
            if (is_writable(at[i])) continue;
            ++holes;
            LineWords filled = words;
            filled[i] = std::uint32_t{1} << random.below(32);
            CHECK(device.attempt_line(line, filled) == reason_at(i));
            CHECK(device.refused_at == line + 4 * i);
            // Alone too: a line may come in parts, of 32 bits also.
            const std::uint64_t alone = std::uint64_t{15} << 4 * i;
            CHECK(device.attempt_line(line, words, alone) == Reason::none);
            CHECK(device.attempt_line(line, filled, alone) == reason_at(i));
            CHECK(device.refused_at == line + 4 * i);
            CHECK(device.attempt(line + 4 * i, 0) == (at[i] ? Reason::read_only : Reason::none));
            CHECK(device.attempt(line + 4 * i, filled[i]) == reason_at(i));
            if (line == rule::address(0, 0))
                CHECK(device.attempt_line(line, filled, ~(std::uint64_t{15} << 4 * i)) ==
                      Reason::none);
        }
        for (unsigned i = 0; i < 16; ++i) {
            const std::uint64_t part = std::uint64_t{random.between(1, 14)} << 4 * i;
            CHECK(device.attempt_line(line, words, part) == Reason::partial_strobes);
            CHECK(device.refused_at == line + 4 * i);
            CHECK(device.attempt_line(line, words, AllBytes ^ part) == Reason::partial_strobes);
            CHECK(device.refused_at == line + 4 * i);
        }
        CHECK(device.attempt_line(line, words, 0) == Reason::partial_strobes);
        CHECK(device.refused_at == line);
    }
    CHECK(holes > 5 * 2 * sizes::rules);
    CHECK((device.settled() == staged));
    CHECK(device.tokens.empty());
    CHECK(device.resets + device.snapshots + device.clears == 0);
}

TEST_CASE("a line that comes in parts, in any order, is what it is as a whole") {
    StageRandom random;
    Device whole(random), parts(random);
    for (const Place& place : kept_places()) {
        const std::uint32_t line = place.address / 64 * 64;
        if (line == commit::address() || line == control::address()) continue;
        LineWords words{};
        const auto at = places_of(line);
        for (unsigned i = 0; i < 16; ++i)
            if (at[i] && at[i]->access == Access::rw) words[i] = random_word(random, *at[i]);
        if (line == filter_index::address())
            words[1] = 0;  // its clearing and its flags have an order
        REQUIRE(whole.attempt_line(line, words) == Reason::none);
        std::vector<unsigned> registers;
        for (unsigned i = 0; i < 16; ++i)
            registers.insert(registers.begin() + long(random.below(i + 1)), i);
        while (!registers.empty()) {
            std::uint64_t strobes = 0;
            for (auto n = random.between(1, registers.size()); n > 0; --n) {
                strobes |= std::uint64_t{15} << 4 * registers.back();
                registers.pop_back();
            }
            parts.start_line(line, words, strobes, unsigned(random.below(4)));
        }
        parts.finish();
        REQUIRE(parts.read(error_reason::address()) == 0);
        INFO("line " << line);
        REQUIRE((whole.staged() == parts.staged()));
        for (unsigned i = 0; i < 16; ++i)
            REQUIRE(whole.read(line + 4 * i) == parts.read(line + 4 * i));
    }
    CHECK((whole.settled() == parts.settled()));
}

TEST_CASE("T5 an error of a line holds back the commit, and one read tells of it") {
    StageRandom random;
    Device device(random);
    LineWords words{};
    words[1] = 0x01000000;  // a VNI of 25 bits
    words[2] = session_cut::reset;
    device.start_line(session_index::address(), words);
    device.start_write(commit::address(), commit::session(1));
    device.finish();
    CHECK(device.written.back().response == SlaveError);
    CHECK(device.read(commit_status::address()) ==
          commit_status::reason(std::uint32_t(Reason::reserved_bits)));
    CHECK(device.read(error_address::address()) == session_vni::address());
    CHECK(error_reason::count.of(device.read(error_reason::address())) == 2);
    CHECK(device.tokens.empty());
    CHECK(device.write(control::address(), control::clear_error(1)) == Okay);
    words[1] = 0x123456;
    device.start_line(session_index::address(), words);
    device.start_write(commit::address(), commit::session(1));
    device.finish();
    REQUIRE(device.tokens.size() == 1);
    CHECK(device.tokens.back().staged[3].get(352, 24) == 0x123456);
}

TEST_CASE("T5 a line commits, fetches and gives commands as 32-bit writes do") {
    StageRandom random;
    Device device(random);
    const std::uint32_t line = commit::address() / 64 * 64;
    const auto words = [](std::uint32_t commit, std::uint32_t fetch, std::uint32_t base) {
        LineWords result{};
        result[0] = commit;
        result[2] = fetch;
        result[3] = source_ports::base(base) | source_ports::bits(4);
        return result;
    };
    for (const unsigned slot_after : {0u, 7u}) {
        device.slot_after = slot_after;
        const std::size_t tokens = device.tokens.size();
        // The range of source ports of the same line is the one that is committed, or refused.
        CHECK(device.attempt_line(line, words(commit::source_ports(1), 0, 1000)) == Reason::none);
        REQUIRE(device.tokens.size() == tokens + 1);
        CHECK(device.tokens.back().token.commit == 1);
        CHECK(device.tokens.back().token.source_ports == 1);
        CHECK(device.tokens.back().staged[5].get(0, 16) == 1000);
        CHECK(device.attempt_line(line, words(commit::source_ports(1), 0, 65535)) ==
              Reason::inconsistent);
        CHECK(device.refused_at == commit::address());
        CHECK(device.read(source_ports::address()) == words(0, 0, 1000)[3]);
        CHECK(device.attempt_line(line, words(0, 0, 65535)) == Reason::none);  // only staged
        CHECK(device.attempt_line(line, words(commit::source_ports(1), 0, 2000)) == Reason::none);
        CHECK(device.attempt_line(line, words(commit::filter(1) | commit::session(1), 0, 0)) ==
              Reason::inconsistent);
        CHECK(device.attempt_line(line, words(commit::session(1), fetch::session(1), 0)) ==
              Reason::inconsistent);
        CHECK(device.refused_at == fetch::address());
        CHECK(device.attempt_line(line, words(0, fetch::session(1) | fetch::filter(1), 0)) ==
              Reason::inconsistent);
        REQUIRE(device.tokens.size() == tokens + 2);
        // By its own strobes, as a shell may send a 32-bit write.
        CHECK(device.attempt_line(line, words(commit::session(1) | commit::clear_counters(1), 0, 7),
                                  15) == Reason::none);
        REQUIRE(device.tokens.size() == tokens + 3);
        CHECK(device.read(source_ports::address()) == words(0, 0, 2000)[3]);
        device.service_word.put(0, 8, 0x5a);
        CHECK(device.attempt_line(line, words(0, fetch::service(1), 3000)) == Reason::none);
        REQUIRE(device.tokens.size() == tokens + 4);
        CHECK(device.tokens.back().token.fetch == 1);
        CHECK(device.read(service_flags::address()) == 0x5a);
        CHECK(device.read(source_ports::address()) == words(0, 0, 3000)[3]);
    }
    CHECK(device.clears == 2);
    CHECK(device.read(commit_status::address()) == commit_status::sequence(6));
    // Whole lines of the other registers that act.
    LineWords commands{};
    commands[0] = control::mirror_reset(1) | control::snapshot(1);
    commands[2] = 5;
    CHECK(device.attempt_line(control::address(), commands) == Reason::none);
    CHECK(device.resets == 1);
    CHECK(device.snapshots == 1);
    CHECK(device.read(interrupt_mask::address()) == 5);
    LineWords counter{};
    counter[0] = sizes::sessions - 3;
    CHECK(device.attempt_line(session_counter_index::address(), counter) == Reason::none);
    for (unsigned i = 0; i < 2 * session_counter_count; ++i)
        CHECK(device.read(session_counter::address(0, 0) + 4 * i) ==
              Device::session_counter_word(sizes::sessions - 3, i));
    // The clearing of a filter comes before the flags of the same line.
    for (const Place& place : kept_places()) write_random(random, device, place);
    LineWords filter{};
    filter[0] = 9;
    filter[1] = filter_flags::amazon_dns(1);
    CHECK(device.attempt_line(filter_index::address(), filter) == Reason::none);
    CHECK(device.stage()->staged_filter_index == 9);
    for (const Bits& list : device.committed_lists()) CHECK(list == filter_bits({}, true));
}

TEST_CASE(
    "T2 a line takes 3 cycles, waits for a commit before it, and goes before a 32-bit access") {
    StageRandom random;
    Device device(random);
    LineWords rule_words{};
    for (unsigned round = 0; round < 3; ++round) {
        device.lines_taken.clear();
        for (std::uint32_t i = 0; i < 2 * sizes::rules; ++i) {
            rule_words[0] = rule::valid(1) | rule::protocol(i + round);
            device.start_line(rule::address(i / sizes::rules, i % sizes::rules), rule_words);
        }
        device.start_write(commit::address(), commit::filter(1));
        device.start_read(rule::address(1, sizes::rules - 1));
        device.finish();
        CHECK(device.got.back().data == rule_words[0]);  // no read overtakes a line that waits
        REQUIRE(device.lines_taken.size() == 2 * sizes::rules);
        for (std::size_t i = 1; i < device.lines_taken.size(); ++i)
            CHECK(device.lines_taken[i] - device.lines_taken[i - 1] == 3);
        REQUIRE(device.tokens.size() == round + 1);
        for (std::uint32_t i = 0; i < 2 * sizes::rules; ++i)
            CHECK(device.tokens.back().lists[i / sizes::rules].get(
                      marks_at(int(i % sizes::rules)), MarksWidth - 2) == (1 | (i + round) << 6));
    }
    // What is staged for the next change while a commit waits for its slot is not in that commit.
    device.slot_after = 30;
    device.start_write(commit::address(), commit::filter(1));
    device.wait(5);
    const auto before = device.tokens.back().lists;
    device.start_line(rule::address(0, 0), {});
    device.finish();
    CHECK(device.tokens.size() == 4);
    CHECK((device.tokens.back().lists == before));
    CHECK(device.read(rule::address(0, 0)) == 0);
    // A response that is not taken does not hold up the lines.
    device.slot_after = 0;
    LineWords acts{};
    acts[0] = commit::filter(1);
    acts[3] = source_ports::reset;
    for (const bool refused : {false, true}) {
        device.lines_taken.clear();
        device.written.clear();
        device.start_write(refused ? magic::address() : interface_resolver::address(), 1, 15,
                           {0, 0, 80});
        device.wait(5);
        device.start_line(rule::address(0, 0), rule_words);
        device.start_line(commit::address(), acts);
        device.start_line(session_counter_index::address(), {});
        device.start_line(rule::address(0, 0), rule_words, 1);
        device.finish();
        REQUIRE(device.written.size() == 1);
        CHECK(device.written[0].response == (refused ? SlaveError : Okay));
        CHECK(device.lines_taken.back() < device.written[0].answered);
        CHECK(device.read(rule::address(0, 0)) == rule_words[0]);
        CHECK(device.tokens.size() == 5);  // the refusal holds back the second commit
        CHECK(error_reason::count.of(device.read(error_reason::address())) == (refused ? 3 : 1));
        if (!refused) REQUIRE(device.write(control::address(), control::clear_error(1)) == Okay);
    }
    // A fetch by a line gives up without an answer.
    REQUIRE(device.write(control::address(), control::clear_error(1)) == Okay);
    device.slot_after = 70000;
    acts[0] = 0;
    acts[2] = fetch::interface(1);
    CHECK(device.attempt_line(commit::address(), acts) == Reason::no_slot);
    CHECK(device.refused_at == fetch::address());
}

// ---- Commits and fetches ----

TEST_CASE("T3 the staged words are what was written to their registers") {
    StageRandom random;
    Device device(random);
    for (unsigned round = 0; round < 5; ++round) {
        std::map<std::uint32_t, std::uint32_t> words;
        for (const Place& place : kept_places())
            words[place.address] = write_random(random, device, place);
        const auto word = [&](std::uint32_t address) { return words.at(address); };
        auto& stage = device.stage();
        CHECK(stage->staged_interface_index == word(interface_index::address()));
        CHECK(stage->staged_filter_index == word(filter_index::address()));
        CHECK(stage->staged_session_index == word(session_index::address()));
        CHECK(stage->staged_service_index == word(service_index::address()));
        CHECK(stage->session_counter_index == word(session_counter_index::address()));
        CHECK(stage->staged_source_ports == word(source_ports::address()));
        InterfaceWord interface;
        interface.has_resolver = word(interface_flags::address());
        interface.resolver = word(interface_resolver::address());
        for (std::uint32_t i = 0; i < sizes::slots; ++i) {
            interface.valid |= slot::valid.of(word(slot::address(i))) << i;
            interface.number[i] = slot::number.of(word(slot::address(i)));
            interface.filter[i] = slot_tables::filter.of(word(slot_tables::address(i)));
            interface.session[i] = slot_tables::session.of(word(slot_tables::address(i)));
        }
        CHECK(sample(stage->staged_interface, InterfaceWord::width) == pack(interface));
        const std::uint32_t v6 = round % 2;
        REQUIRE(device.write(session_flags::address(), v6) == Okay);
        CutWord cut;
        cut.v6 = v6;
        cut.mtu_cut = session_cut::mtu_cut.of(word(session_cut::address()));
        cut.packet_length = session_cut::packet_length.of(word(session_cut::address()));
        CHECK(sample(stage->staged_cut, CutWord::width) == pack(cut));
        Bits outer(OuterWord::width), service(ServiceWord::width);
        for (std::uint32_t i = 0; i < 4; ++i) {  // as the map says: word 3 on top
            outer.put(32 * int(i), 32, word(session_source_address::address(i)));
            outer.put(128 + 32 * int(i), 32, word(session_target_address::address(i)));
            service.put(40 + 32 * int(i), 32, word(service_address::address(i)));
        }
        outer.put(256, 32, word(session_source_mac::address(0)));
        outer.put(288, 16, word(session_source_mac::address(1)));
        outer.put(304, 32, word(session_target_mac::address(0)));
        outer.put(336, 16, word(session_target_mac::address(1)));
        outer.put(352, 24, word(session_vni::address()));
        outer.put(376, 1, v6);
        CHECK(sample(stage->staged_outer, OuterWord::width) == outer);
        service.put(0, 8, word(service_flags::address()));
        service.put(8, 32, word(service_ports::address()));
        CHECK(sample(stage->staged_service, ServiceWord::width) == service);
        const auto lists = device.committed_lists();
        for (const std::uint32_t direction : {0u, 1u}) {
            std::vector<RuleWord> rules(sizes::rules);
            for (std::uint32_t i = 0; i < sizes::rules; ++i) {
                RuleWord& rule = rules[i];
                const auto address = [&](auto name) {  // word 3 on top, as the map says
                    mirrornic::test::Address bytes;
                    for (std::uint32_t j = 0; j < 16; ++j)
                        bytes[j] = std::uint8_t(word(name(3 - j / 4)) >> (24 - 8 * (j % 4)));
                    return bytes;
                };
                const std::uint32_t flags = word(rule::address(direction, i));
                rule.valid = rule::valid.of(flags);
                rule.accept = rule::accept.of(flags);
                rule.v6 = rule::v6.of(flags);
                rule.has_protocol = rule::has_protocol.of(flags);
                rule.has_source_ports = rule::has_source_ports.of(flags);
                rule.has_destination_ports = rule::has_destination_ports.of(flags);
                rule.protocol = rule::protocol.of(flags);
                rule.source_prefix = rule::source_prefix.of(flags);
                rule.destination_prefix = rule::destination_prefix.of(flags);
                const std::uint32_t from = word(rule_source_ports::address(direction, i));
                rule.source_port_from = from & 0xffff;
                rule.source_port_to = from >> 16;
                const std::uint32_t to = word(rule_destination_ports::address(direction, i));
                rule.destination_port_from = to & 0xffff;
                rule.destination_port_to = to >> 16;
                rule.source =
                    address([&](std::uint32_t j) { return rule_source::address(direction, i, j); });
                rule.destination = address(
                    [&](std::uint32_t j) { return rule_destination::address(direction, i, j); });
            }
            CHECK(lists[direction] == filter_bits(rules, word(filter_flags::address()) != 0));
        }
    }
    // Any write clears, whatever its value.
    for (const std::uint32_t value : {0u, 1u, ~0u, std::uint32_t(random.below(1ull << 32))}) {
        INFO("value " << value);
        for (const Place& place : kept_places())
            if (begins(place.name, "rule") || place.address == filter_flags::address())
                write_random(random, device, place);
        const auto before = device.settled();
        CHECK(device.attempt(filter_clear::address(), value) == Reason::none);
        const auto after = device.settled();
        for (std::size_t i = 0; i < after.size(); ++i)
            CHECK(after[i] == (i + 1 == after.size() ? Bits(after[i].width()) : before[i]));
        for (const Bits& list : device.committed_lists()) CHECK(list == filter_bits({}, false));
    }
}

TEST_CASE("T2 T5 a commit is answered when it has passed all tables, and one read tells of it") {
    StageRandom random;
    Device device(random);
    for (const Place& place : kept_places()) {
        if (!begins(place.name, "service")) write_random(random, device, place);
    }
    std::uint32_t sequence = 0;
    for (const unsigned slot_after : {0u, 1u, 5u, 100u}) {
        device.slot_after = slot_after;
        for (std::uint32_t bits = 0; bits < 64; ++bits) {
            INFO("bits " << bits);
            const bool good =
                commit::filter.of(bits) == 0 || bits == commit::filter(1);  // alone (T2)
            const std::size_t tokens = device.tokens.size();
            const unsigned clears = device.clears;
            device.stage()->undrained = std::uint8_t(random.below(256));
            const auto start = device.now();
            REQUIRE(device.write(commit::address(), bits) == (good ? Okay : SlaveError));
            REQUIRE(device.tokens.size() == tokens + (good && bits != 0));
            const std::uint32_t status = device.read(commit_status::address());
            if (good && bits != 0) {
                CHECK(device.now() - start > slot_after + 8);
                ++sequence;
                const TokenWord& token = device.tokens.back().token;
                CHECK(token.commit == 1);
                CHECK(token.interface_word == commit::interface.of(bits));
                CHECK(token.filter == commit::filter.of(bits));
                CHECK(token.session == commit::session.of(bits));
                CHECK(token.service == commit::service.of(bits));
                CHECK(token.source_ports == commit::source_ports.of(bits));
            }
            CHECK(device.clears - clears == (good && commit::clear_counters.of(bits)));
            CHECK(status ==
                  (commit_status::sequence(sequence) |
                   commit_status::undrained(device.stage()->undrained) |
                   commit_status::reason(good ? 0 : std::uint32_t(Reason::inconsistent))));
            if (!good) REQUIRE(device.write(control::address(), control::clear_error(1)) == Okay);
        }
    }
    // A staging write that was refused cannot be committed, and the next one to the bus waits.
    device.slot_after = 20;
    device.written.clear();
    device.start_write(commit::address(), commit::session(1));
    device.start_write(session_vni::address(), 0x123456);
    device.finish();
    CHECK(device.tokens.back().staged[3].get(352, 24) != 0x123456);
    CHECK(device.stage()->staged_outer[11] ==
          0x123456u + (device.read(session_flags::address()) << 24));
}

TEST_CASE("T5 fields that contradict each other are refused at the commit, which changes nothing") {
    StageRandom random;
    Device device(random);
    unsigned attempts = 0;
    const auto refused = [&](std::uint32_t bits, Reason reason) {
        const std::size_t tokens = device.tokens.size();
        const bool with_rules = ++attempts % 16 == 0;
        const auto staged = with_rules ? device.settled() : device.staged();
        CHECK(device.attempt(commit::address(), bits) == reason);
        CHECK(device.tokens.size() == tokens + (reason == Reason::none));
        CHECK(((with_rules ? device.settled() : device.staged()) == staged));
    };
    for (const std::uint32_t direction : {0u, 1u}) {
        for (std::uint32_t i = 0; i < sizes::rules; ++i) {
            INFO("direction " << direction << ", rule " << i);
            const std::uint32_t address = rule::address(direction, i);
            const std::uint32_t bad[] = {rule::source_prefix(33), rule::destination_prefix(33)};
            for (const std::uint32_t prefix : bad) {
                REQUIRE(device.write(address, prefix | rule::valid(1)) == Okay);
                refused(commit::filter(1), Reason::inconsistent);
                refused(commit::session(1), Reason::none);  // does not write the list
                REQUIRE(device.write(address, prefix) == Okay);
                refused(commit::filter(1), Reason::none);
                REQUIRE(device.write(address, prefix | rule::valid(1) | rule::v6(1)) == Okay);
                refused(commit::filter(1), Reason::none);
            }
            const std::uint32_t ports[] = {rule_source_ports::address(direction, i),
                                           rule_destination_ports::address(direction, i)};
            const std::uint32_t has[] = {rule::has_source_ports(1), rule::has_destination_ports(1)};
            for (int side = 0; side < 2; ++side) {
                REQUIRE(device.write(ports[side], rule_source_ports::from(81) |
                                                      rule_source_ports::to(80)) == Okay);
                REQUIRE(device.write(address, rule::valid(1) | has[side]) == Okay);
                refused(commit::filter(1), Reason::inconsistent);
                REQUIRE(device.write(address, rule::valid(1) | has[1 - side]) == Okay);
                refused(commit::filter(1), Reason::none);
                REQUIRE(device.write(ports[side], rule_source_ports::from(80) |
                                                      rule_source_ports::to(80)) == Okay);
            }
            REQUIRE(device.write(address, 0) == Okay);
        }
    }
    REQUIRE(device.write(service_flags::address(), service_flags::has_ports(1)) == Okay);
    REQUIRE(device.write(service_ports::address(), service_ports::from(2) | service_ports::to(1)) ==
            Okay);
    refused(commit::service(1) | commit::session(1), Reason::inconsistent);
    refused(commit::session(1), Reason::none);
    REQUIRE(device.write(service_flags::address(), 0) == Okay);
    refused(commit::service(1), Reason::none);
    for (std::uint32_t bits = 1; bits <= 16; ++bits) {
        const std::uint32_t most = 65536 - (1u << bits);
        REQUIRE(device.write(source_ports::address(),
                             source_ports::base(most) | source_ports::bits(bits)) == Okay);
        refused(commit::source_ports(1), Reason::none);
        REQUIRE(device.write(source_ports::address(),
                             source_ports::base(most + 1) | source_ports::bits(bits)) == Okay);
        refused(commit::source_ports(1), Reason::inconsistent);
    }
    for (std::uint32_t bits = 1; bits < 16; ++bits)
        CHECK(device.attempt(fetch::address(), bits) ==
              ((bits & (bits - 1)) == 0 ? Reason::none : Reason::inconsistent));
}

TEST_CASE("T5 a commit right behind a rule, or behind a filter_clear, knows what each rule holds") {
    StageRandom random;
    Device device(random);
    const auto line_of = [](std::uint32_t flags) {
        LineWords words{};
        words[0] = flags;
        return words;
    };
    // Back to back, and no register is read between.
    const auto commits = [&](bool accepted) {
        const std::size_t tokens = device.tokens.size();
        device.start_line(commit::address(), line_of(commit::filter(1)), 15);
        device.finish();
        device.wait(2 * sizes::rules + 20);
        REQUIRE(device.tokens.size() == tokens + accepted);
        REQUIRE(device.write(control::address(), control::clear_error(1)) == Okay);
    };
    commits(true);  // all rules are empty after the reset
    const std::uint32_t bad = rule::valid(1) | rule::source_prefix(33);
    for (const std::uint32_t direction : {0u, 1u}) {
        for (std::uint32_t i = 0; i < sizes::rules; ++i) {
            INFO("direction " << direction << ", rule " << i);
            device.start_line(rule::address(direction, i), line_of(bad));
            commits(false);
            device.start_line(rule::address(direction, i), line_of(bad | rule::v6(1)));
            commits(true);
            device.start_line(rule::address(direction, i), line_of(bad));
            device.start_line(rule::address(1 - direction, sizes::rules - 1 - i), line_of(0));
            commits(false);
            device.start_line(filter_index::address(), {},
                              std::uint64_t{15} << filter_clear::address() % 64);
            commits(true);
        }
    }
}

TEST_CASE("T5 the counts of errors and of unmapped reads stop at 65,535") {
    StageRandom random;
    Device device(random);
    constexpr std::uint32_t most = 65535;
    const auto refuse = [&](std::uint32_t count) {
        for (std::uint32_t i = 0; i < count; ++i) device.start_line(0, {}, 15);
        device.finish(5 * most);
    };
    const auto errors = [&] {
        return error_reason::count.of(device.read(error_reason::address()));
    };
    refuse(most - 1);
    CHECK(errors() == most - 1);
    refuse(1);
    CHECK(errors() == most);
    refuse(2);
    CHECK(errors() == most);
    device.slot_after = 100000;  // another kind of refusal
    CHECK(device.write(fetch::address(), fetch::interface(1)) == SlaveError);
    CHECK(errors() == most);
    for (std::uint32_t i = 0; i < most; ++i) device.start_read(end_address - 4);
    device.finish(5 * most);
    CHECK(device.read(unmapped_reads::address()) == most);
    device.read(end_address - 4);
    CHECK(device.read(unmapped_reads::address()) == most);
    REQUIRE(device.write(control::address(), control::clear_error(1)) == Okay);
    CHECK(errors() == 0);
    CHECK(device.read(unmapped_reads::address()) == 0);
}

namespace {
RuleWord random_rule(StageRandom& random) {
    RuleWord rule;
    rule.valid = random.below(2);
    rule.accept = random.below(2);
    rule.v6 = random.below(2);
    rule.has_protocol = random.below(2);
    rule.has_source_ports = random.below(2);
    rule.has_destination_ports = random.below(2);
    rule.protocol = random.byte();
    const int longest = rule.valid && !rule.v6 ? 32 : 128;
    rule.source_prefix = random.below(longest + 1);
    rule.destination_prefix = random.below(longest + 1);
    rule.source = random.address(true);
    rule.destination = random.address(true);
    rule.source_port_from = random.below(65536);
    rule.source_port_to = random.between(rule.source_port_from, 65535);
    rule.destination_port_from = random.below(65536);
    rule.destination_port_to = random.between(rule.destination_port_from, 65535);
    return rule;
}
}  // namespace

TEST_CASE("a fetch loads the staging registers with the table's word, a filter rule by rule") {
    StageRandom random;
    Device device(random);
    const auto noise = [&](Bits bits) {
        for (int i = 0; i < bits.width(); ++i) bits.put(i, 1, random.below(2));
        return bits;
    };
    std::uint32_t commits = 0;
    for (unsigned round = 0; round < 40; ++round) {
        device.slot_after = unsigned(random.below(5));
        device.interface_word = noise(device.interface_word);
        device.cut_word = noise(device.cut_word);
        device.outer_word = noise(device.outer_word);
        device.outer_word.put(376, 1, device.cut_word.get(28, 1));
        device.service_word = noise(device.service_word);
        std::array<std::vector<RuleWord>, 2> rules;
        const bool amazon_dns = random.chance(50);
        for (int direction = 0; direction < 2; ++direction) {
            for (std::uint32_t i = 0; i < sizes::rules; ++i)
                rules[direction].push_back(random_rule(random));
            device.filter_words[direction] = filter_bits(rules[direction], amazon_dns);
        }
        auto expected = device.settled();
        const std::uint32_t bits = 1u << round % 4;
        const std::size_t tokens = device.tokens.size();
        REQUIRE(device.write(fetch::address(), bits) == Okay);
        if (bits == fetch::interface(1)) expected[1] = device.interface_word;
        if (bits == fetch::filter(1)) {
            REQUIRE(device.tokens.size() == tokens + 2 * sizes::rules);
            for (std::size_t i = 0; i < 2 * sizes::rules; ++i)
                CHECK(device.tokens[tokens + i].token.fetch_egress == i / sizes::rules);
            for (std::uint32_t direction = 0; direction < 2; ++direction) {
                for (std::uint32_t i = 0; i < sizes::rules; ++i) {
                    // The registers show what the prefixes cover of the addresses.
                    RuleWord rule = rules[direction][i];
                    for (auto [address, prefix] : {std::pair{&rule.source, rule.source_prefix},
                                                   {&rule.destination, rule.destination_prefix}}) {
                        for (std::uint64_t bit = prefix; bit < 128; ++bit)
                            (*address)[bit / 8] &= std::uint8_t(~(0x80 >> bit % 8));
                    }
                    const Bits words = pack(rule);
                    for (int j = 0; j < RuleWord::width / 32; ++j)
                        expected.back().put(
                            int(direction * sizes::rules + i) * RuleWord::width + 32 * j, 32,
                            words.word(j));
                }
            }
        } else {
            REQUIRE(device.tokens.size() == tokens + 1);
        }
        if (bits == fetch::session(1)) {
            expected[2] = device.cut_word;
            expected[3] = device.outer_word;
        }
        if (bits == fetch::service(1)) expected[4] = device.service_word;
        CHECK((device.settled() == expected));
        CHECK(device.read(commit_status::address()) == commit_status::sequence(commits));  // none
        if (bits == fetch::filter(1)) {
            CHECK((device.committed_lists() == device.filter_words));
            ++commits;
        }
    }
}

TEST_CASE("T5 a fetch that finds no slot in 65,536 cycles is refused and loads nothing") {
    StageRandom random;
    Device device(random);
    device.interface_word.put(0, 32, 0x12345678);
    const auto staged = device.settled();
    device.slot_after = 100000;
    const auto start = device.now();
    CHECK(device.attempt(fetch::address(), fetch::interface(1)) == Reason::no_slot);
    CHECK(device.now() - start > 65536);
    CHECK(device.tokens.empty());
    device.slot_after = 0;
    device.wait(30);
    CHECK(device.tokens.empty());
    CHECK((device.settled() == staged));
    device.slot_after = 65536;
    CHECK(device.attempt(fetch::address(), fetch::interface(1)) == Reason::no_slot);
    CHECK(device.tokens.empty());
    device.slot_after = 65535;  // in the last cycle
    CHECK(device.attempt(fetch::address(), fetch::interface(1)) == Reason::none);
    CHECK(device.tokens.size() == 1);
    CHECK(device.read(interface_resolver::address()) == 0x12345678);
    device.slot_after = 65000 / 11;  // each rule of a filter has its own 65,536 cycles
    CHECK(device.attempt(fetch::address(), fetch::filter(1)) == Reason::none);
}

// ---- Interrupt, commands, counters ----

TEST_CASE("I6 a cause is kept until one is written to it, and drives the interrupt if unmasked") {
    StageRandom random;
    Device device(random);
    const auto status = [&] { return device.read(interrupt_status::address()); };
    CHECK(status() == 0);
    const auto raise = [&](std::uint32_t bit) {
        if (bit == interrupt_status::drop(1)) device.drop_at = device.now();
        if (bit == interrupt_status::table_fault(1)) device.fault_at = device.now();
        if (bit == interrupt_status::axi_error(1)) device.attempt(magic::address(), 0);
        if (bit == interrupt_status::ready(1)) {
            device.stage()->ready = 0;
            device.wait(1);
            device.stage()->ready = 1;
        }
        device.wait(2);
    };
    std::uint32_t raised = 0;
    for (const std::uint32_t bit : {interrupt_status::drop(1), interrupt_status::table_fault(1),
                                    interrupt_status::axi_error(1), interrupt_status::ready(1)}) {
        CHECK_FALSE(device.irq());
        raise(bit);
        raised |= bit;
        CHECK(status() == raised);
        for (std::uint32_t mask = 0; mask < 16; ++mask) {
            REQUIRE(device.write(interrupt_mask::address(), mask) == Okay);
            device.wait(1);
            CHECK(device.irq() == ((mask & raised) != 0));
        }
        REQUIRE(device.write(interrupt_mask::address(), 0) == Okay);
        device.wait(1);
    }
    for (std::uint32_t clear = 0; clear < 16; ++clear) {
        for (std::uint32_t bit = 1; bit < 16; bit <<= 1) raise(bit);
        CHECK(status() == 15);
        REQUIRE(device.write(interrupt_status::address(), clear) == Okay);
        CHECK(status() == (15 & ~clear));
        device.wait(10);
        CHECK(status() == (15 & ~clear));  // ready is an edge, not a level
    }
}

TEST_CASE("I6 a drop in the very cycle of a clear is not lost") {
    StageRandom random;
    std::optional<std::uint64_t> fell;  // cycles behind the write's start until the interrupt falls
    for (unsigned at = 0; at < 12; ++at) {
        Device device(random);
        REQUIRE(device.write(interrupt_mask::address(), interrupt_mask::drop(1)) == Okay);
        device.drop_at = device.now();
        device.wait(3);
        REQUIRE(device.irq());
        const auto start = device.now();
        if (!fell) {  // without a drop
            device.on_cycle = [&] {
                if (!fell && !device.irq()) fell = device.now() - start;
            };
        } else {
            device.drop_at = start + at;
        }
        REQUIRE(device.write(interrupt_status::address(), interrupt_status::drop(1)) == Okay);
        device.wait(20);
        REQUIRE(fell);
        if (at == 0) continue;
        INFO("drop at " << at << ", clear visible at " << *fell);
        CHECK(device.irq() == (at + 1 >= *fell));
    }
}

TEST_CASE("P23 P25 a command acts once, and status and counters show what the pins say") {
    StageRandom random;
    Device device(random);
    for (std::uint32_t bits = 0; bits < 16; ++bits) {
        device.resets = device.snapshots = device.fault_clears = 0;
        device.start_write(control::address(), bits, 15, {0, 0, 5});
        device.finish();
        device.wait(5);
        CHECK(device.resets == control::mirror_reset.of(bits));
        CHECK(device.snapshots == control::snapshot.of(bits));
        CHECK(device.fault_clears == control::clear_fault.of(bits));
        CHECK(device.read(control::address()) == 0);
    }
    for (std::uint32_t bits = 0; bits < 16; ++bits) {
        auto& stage = device.stage();
        stage->ready = status::ready.of(bits);
        stage->idle = status::idle.of(bits);
        stage->mirror_room = status::mirror_room.of(bits);
        stage->resetting = status::resetting.of(bits);
        CHECK(device.read(status::address()) == bits);
    }
    for (std::uint32_t i = 0; i < counter_count; ++i) {
        CHECK(device.read(counter::address(i, 0)) == std::uint32_t(Device::counter_value(i)));
        CHECK(device.read(counter::address(i, 1)) == std::uint32_t(Device::counter_value(i) >> 32));
    }
    // The values come 3 cycles behind the index; a read right behind the index must wait for them.
    for (unsigned round = 0; round < 50; ++round) {
        const std::uint32_t session = std::uint32_t(random.below(sizes::sessions));
        device.got.clear();
        device.written.clear();
        REQUIRE(device.write(session_counter_index::address(), session) == Okay);
        for (std::uint32_t i = 0; i < 2 * session_counter_count; ++i) {
            const std::uint32_t word = (i + round) % (2 * session_counter_count);
            CHECK(device.read(session_counter::address(word / 2, word % 2)) ==
                  Device::session_counter_word(session, word));
        }
    }
    CHECK(device.read(error_reason::address()) == 0);
    CHECK(device.read(unmapped_reads::address()) == 0);
}

TEST_CASE("T4 the place of the first fault and the count of faults are read as the pins say") {
    StageRandom random;
    Device device(random);
    CHECK(device.read(fault::address()) == 0);
    CHECK(device.read(fault_count::address()) == 0);
    for (unsigned round = 0; round < 200; ++round) {
        const FaultWord word{random.below(6), random.below(65536)};
        const auto count = std::uint16_t(random.below(65536));
        drive(device.stage()->fault, word);
        device.stage()->fault_count = count;
        const std::uint32_t read = device.read(fault::address());
        CHECK(fault::place.of(read) == word.place);
        CHECK(fault::index.of(read) == word.index);
        CHECK(read == (word.place << 16 | word.index));
        CHECK(device.read(fault_count::address()) == count);
    }
    // Neither a fault nor what else is cleared clears it.
    CHECK(device.fault_clears == 0);
    REQUIRE(device.write(control::address(), control::clear_error(1)) == Okay);
    REQUIRE(device.write(interrupt_status::address(), interrupt_status::table_fault(1)) == Okay);
    CHECK(device.fault_clears == 0);
}

TEST_CASE("P25 a reset at any moment of an access leaves nothing of it") {
    StageRandom random;
    Device device(random);
    const auto kept = kept_places();
    const std::pair<std::uint32_t, std::uint32_t> writes[] = {
        {interface_resolver::address(), 0xffffffff},
        {magic::address(), 0},
        {control::address(), 15},
        {commit::address(), commit::session(1) | commit::clear_counters(1)},
        {fetch::address(), fetch::filter(1)},
        {rule::address(1, 15), 1},
        {session_counter_index::address(), 5}};
    for (const auto& write : writes) {
        for (unsigned after = 0; after < 40; ++after) {
            INFO("address " << write.first << ", reset after " << after);
            for (unsigned i = 0; i < 3; ++i) write_random(random, device, random.pick(kept));
            device.slot_after = unsigned(random.below(8));
            device.start_write(write.first, write.second, 15,
                               {unsigned(random.below(3)), unsigned(random.below(3)), 30});
            if (after % 2) device.start_read(magic::address(), {0, 0, 30});
            device.wait(after);
            device.reset();
            device.resets = device.snapshots = device.clears = device.fault_clears = 0;
            device.tokens.clear();
            device.wait(30);  // the bus check finds a stale answer
            CHECK(device.tokens.empty());
            CHECK(device.resets + device.snapshots + device.clears + device.fault_clears == 0);
            CHECK_FALSE(device.irq());
            for (unsigned i = 0; i < 4; ++i) {
                const Place& place = places[random.below(std::size(places))];
                INFO(place.name);
                if (place.has_reset && !begins(place.name, "counter[") &&
                    !begins(place.name, "session_counter["))
                    CHECK(device.read(place.address) ==
                          (place.access == Access::wo ? 0 : place.reset));
            }
            CHECK(device.read(error_reason::address()) == 0);
            CHECK(device.read(interface_resolver::address()) == 0);
            CHECK(device.read(rule::address(1, 15)) == 0);
        }
    }
}
