// SPDX-License-Identifier: Apache-2.0
// What is kept of flipped bits that were found: how often, and where first.
#include <Vfaults.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "stage.hpp"

using namespace mirrornic::test;
using mirrornic::registers::Fault;

namespace {

/// What is found in one cycle.
struct Found {
    std::optional<unsigned> interface, service;
    std::array<std::optional<unsigned>, 3> filter;
    std::array<std::optional<unsigned>, 4> session;  ///< limits of each slot, outer header
    unsigned corrected = 0;                          ///< buffers
    bool clear = false;

    /// Interface, filter, service, session, buffer; of several of one table any.
    bool is(const FaultWord& fault) const {
        const auto any_of = [&fault](Fault place, const auto& indices) {
            bool some = false, right = false;
            for (const auto& index : indices) {
                some = some || index;
                right = right || (fault.place == Number(place) && index == fault.index);
            }
            return std::pair(some, right);
        };
        for (const auto& [some, right] :
             {any_of(Fault::interface, std::array{interface}), any_of(Fault::filter, filter),
              any_of(Fault::service, std::array{service}), any_of(Fault::session, session)}) {
            if (some) return right;
        }
        return fault.place == Number(corrected ? Fault::buffer : Fault::none) && fault.index == 0;
    }

    bool table() const { return interface || service || in(filter) || in(session); }

    unsigned count() const {
        unsigned sum = unsigned(interface.has_value()) + unsigned(service.has_value());
        for (const auto& index : filter) sum += index.has_value();
        for (const auto& index : session) sum += index.has_value();
        for (unsigned i = 0; i < 5; ++i) sum += corrected >> i & 1;
        return sum;
    }

private:
    template <class Indices>
    static bool in(const Indices& indices) {
        for (const auto& index : indices) {
            if (index) return true;
        }
        return false;
    }
};

class Faults {
public:
    Faults() {
        set({});
        stage_.reset();
    }

    /// What is found is judged a cycle later, with the clear of that cycle.
    void cycle(const Found& next) {
        const Found found = std::exchange(late_, next);
        set(next);
        stage_->clear = found.clear;
        stage_.tick();
        const bool none = first_.place == Number(Fault::none);
        const bool buffer = first_.place == Number(Fault::buffer);
        const FaultWord fault = sample<FaultWord>(stage_->fault);
        // A table comes before a buffer, and what was first stays.
        if (found.clear || none || (buffer && found.table())) {
            REQUIRE(found.is(fault));
            first_ = fault;
        }
        count_ = std::min(0xffffu, (found.clear ? 0 : count_) + found.count());
        REQUIRE(pack(fault) == pack(first_));
        REQUIRE(stage_->count == count_);
        REQUIRE(bool(stage_->found) == (found.count() > 0));
    }

    void reset() {
        set({});
        stage_.reset();
        late_ = {};
        first_ = {};
        count_ = 0;
        REQUIRE(stage_->count == 0);
        REQUIRE_FALSE(stage_->found);
        REQUIRE(pack(sample<FaultWord>(stage_->fault)) == pack(first_));
    }

    FaultWord first() {
        cycle({});
        return first_;
    }
    unsigned count() {
        cycle({});
        return count_;
    }

private:
    /// An index counts only beside its fault.
    void set(const Found& found) {
        stage_->interface_faulty = found.interface.has_value();
        stage_->interface_index = std::uint16_t(found.interface.value_or(0xa5 % sizes::interfaces));
        stage_->service_faulty = found.service.has_value();
        stage_->service_index = std::uint8_t(found.service.value_or(0xa));
        stage_->filter_faulty = 0;
        stage_->session_faulty = 0;
        Bits filters(3 * FilterBits), sessions(4 * SessionBits);
        for (int i = 0; i < 3; ++i) {
            stage_->filter_faulty |= unsigned(found.filter[i].has_value()) << i;
            filters.put(FilterBits * i, FilterBits,
                        found.filter[i].value_or(0x5a % sizes::filters));
        }
        for (int i = 0; i < 4; ++i) {
            stage_->session_faulty |= unsigned(found.session[i].has_value()) << i;
            sessions.put(SessionBits * i, SessionBits,
                         found.session[i].value_or(0x2a5 % sizes::sessions));
        }
        drive(stage_->filter_index, filters);
        drive(stage_->session_index, sessions);
        stage_->corrected = std::uint8_t(found.corrected);
    }

    Stage<Vfaults> stage_;
    Found late_;
    FaultWord first_;
    unsigned count_ = 0;
};

/// One fault of each kind and place, and an index.
std::vector<Found> single() {
    std::vector<Found> all;
    for (const unsigned index : {0u, 1u, 7u, 15u}) {
        all.emplace_back().interface = 17 * index % sizes::interfaces;
        all.emplace_back().service = index;
        for (int i = 0; i < 3; ++i) all.emplace_back().filter[i] = 17 * index % sizes::filters;
        for (int i = 0; i < 4; ++i)
            all.emplace_back().session[i] = (68 * index + 3) % sizes::sessions;
    }
    for (unsigned i = 0; i < 5; ++i) all.emplace_back().corrected = 1u << i;
    return all;
}

}  // namespace

TEST_CASE("T4 the place of every kind of fault is kept, and its event seen two cycles later") {
    Faults faults;
    for (const Found& found : single()) {
        faults.reset();
        faults.cycle({});
        CHECK(faults.first().place == Number(Fault::none));
        faults.cycle(found);
        CHECK(faults.first().place != Number(Fault::none));
        for (unsigned i = 0; i < 3; ++i) faults.cycle({});
        CHECK(faults.count() == 1);
    }
}

TEST_CASE("T4 the place of the first fault stays, but a table's replaces a buffer's") {
    Faults faults;
    for (const Found& first : single()) {
        for (const Found& second : single()) {
            Found clear;
            clear.clear = true;
            faults.cycle(clear);
            faults.cycle(first);
            const FaultWord kept = faults.first();
            faults.cycle(second);
            const FaultWord now = faults.first();
            if (first.table() || !second.table())
                CHECK(pack(now) == pack(kept));
            else
                CHECK(second.is(now));
            CHECK(faults.count() == 2);
        }
    }
}

TEST_CASE("T4 a fault in the very cycle of a clear is kept and counted") {
    Faults faults;
    for (const Found& before : single()) {
        for (Found found : single()) {
            faults.cycle(before);
            found.clear = true;
            faults.cycle(found);
            CHECK(found.is(faults.first()));
            CHECK(faults.count() == 1);
        }
    }
    Found clear;
    clear.clear = true;
    faults.cycle(clear);
    CHECK(faults.count() == 0);
    CHECK(faults.first().place == Number(Fault::none));
}

TEST_CASE("T4 all that is found in one cycle is counted, and the count stops at 65,535") {
    Found all;
    all.interface = 1;
    all.service = 2;
    all.filter = {3, 4, 5};
    all.session = {6, 7, 8, 9};
    all.corrected = 31;
    REQUIRE(all.count() == 14);
    // From every distance below the end.
    for (unsigned below = 0; below < 20; ++below) {
        Faults faults;
        Found one;
        one.corrected = 1;
        for (unsigned i = 0; i < 4680; ++i) faults.cycle(all);
        CHECK(faults.count() == 65520);
        for (unsigned i = 0; i < below; ++i) faults.cycle(one);
        for (unsigned i = 0; i < 3; ++i) faults.cycle(all);
        CHECK(faults.count() == 65535);
        faults.cycle(one);
        faults.cycle({});
        CHECK(faults.count() == 65535);
    }
}

TEST_CASE("T4 the place and the count are right under random faults and clears") {
    StageRandom random;
    Faults faults;
    for (unsigned i = 0; i < 50000; ++i) {
        const unsigned trouble = random.pick({0u, 0u, 3u, 30u});
        Found found;
        if (random.chance(trouble)) found.interface = unsigned(random.below(sizes::interfaces));
        if (random.chance(trouble)) found.service = unsigned(random.below(sizes::services));
        for (auto& index : found.filter) {
            if (random.chance(trouble)) index = unsigned(random.below(sizes::filters));
        }
        for (auto& index : found.session) {
            if (random.chance(trouble)) index = unsigned(random.below(sizes::sessions));
        }
        if (random.chance(trouble)) found.corrected = unsigned(random.below(32));
        found.clear = random.chance(5);
        faults.cycle(found);
    }
    faults.reset();
}
