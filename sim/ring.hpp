// SPDX-License-Identifier: Apache-2.0
/// A FIFO that keeps its elements' memory: what a popped element had allocated is used again by the
/// next element in its place.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace mirrornic {

template <class T>
class Ring {
public:
    bool empty() const { return first_ == end_; }
    std::size_t size() const { return end_ - first_; }
    T& front() { return slots_[first_ & mask()]; }
    const T& front() const { return slots_[first_ & mask()]; }
    T& back() { return slots_[(end_ - 1) & mask()]; }
    /// Adds an element and returns it. It has the value of a former element, to be overwritten.
    T& push() {
        if (size() == slots_.size()) grow();
        return slots_[end_++ & mask()];
    }
    void push(T value) { push() = std::move(value); }
    void pop() { ++first_; }
    void clear() { first_ = end_ = 0; }

private:
    std::size_t mask() const { return slots_.size() - 1; }
    void grow() {
        std::vector<T> larger(2 * slots_.size());
        for (std::size_t i = 0; i < size(); ++i)
            larger[i] = std::move(slots_[(first_ + i) & mask()]);
        end_ = size();
        first_ = 0;
        slots_ = std::move(larger);
    }

    std::vector<T> slots_ = std::vector<T>(64);  // a power of two
    std::size_t first_ = 0, end_ = 0;
};

}  // namespace mirrornic
