// SPDX-License-Identifier: Apache-2.0
/// A thread that does the jobs that it is given, one after the other.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace mirrornic {

class Worker {
public:
    Worker() : thread_([this] { run(); }) {}
    /// Waits for the job that is running; the others are dropped.
    ~Worker() {
        {
            const std::lock_guard lock(mutex_);
            ended_ = true;
            jobs_.clear();
        }
        posted_.notify_one();
        thread_.join();
    }
    Worker(const Worker&) = delete;

    /// Adds a job. May be called from any thread. @param job must not throw
    void post(std::function<void()> job) {
        {
            const std::lock_guard lock(mutex_);
            jobs_.push_back(std::move(job));
        }
        posted_.notify_one();
    }

private:
    void run() {
        std::unique_lock lock(mutex_);
        while (true) {
            posted_.wait(lock, [this] { return ended_ || !jobs_.empty(); });
            if (ended_) return;
            auto job = std::move(jobs_.front());
            jobs_.pop_front();
            lock.unlock();
            job();
            job = nullptr;  // what it holds goes here, not under the lock
            lock.lock();
        }
    }

    std::mutex mutex_;
    std::condition_variable posted_;
    std::deque<std::function<void()>> jobs_;
    bool ended_ = false;
    std::thread thread_;  // the last member: it uses the others
};

}  // namespace mirrornic
