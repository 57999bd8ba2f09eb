// SPDX-License-Identifier: Apache-2.0
#include "host/service/network_reload.hpp"

#include <algorithm>
#include <future>

namespace mirrornic {

NetworkReload::NetworkReload(Sources sources, RequestQueue& queue, std::function<void()> wake)
    : sources_(std::move(sources)), queue_(queue), wake_(std::move(wake)) {}

Configuration NetworkReload::read_first() {
    const auto read = std::make_shared<std::packaged_task<Configuration()>>(
        [this] { return read_configuration(sources_.configurations, sources_.skip_unresolved); });
    worker_.post([read] { (*read)(); });
    return read->get_future().get();
}

void NetworkReload::ask() {
    again_ = true;
    if (reading_) return;
    const auto now = std::chrono::steady_clock::now();
    if (queue_.has_older() && now < wait_until_.value_or(now + std::chrono::seconds(10))) {
        if (!wait_until_) wait_until_ = now + std::chrono::seconds(10);
        return;
    }
    wait_until_.reset();
    again_ = false;
    reading_ = true;
    queue_.give_up_older();
    dispose();
    worker_.post([this] {
        Reading reading = read();
        {
            const std::lock_guard lock(mutex_);
            read_ = std::move(reading);
        }
        wake_();
    });
}

/// Called in the worker's thread. A failure is returned, not thrown.
NetworkReload::Reading NetworkReload::read() {
    Reading reading;
    try {
        if (sources_.credentials)
            reading.credentials =
                std::make_shared<const Credentials>(Credentials::read(*sources_.credentials));
        const Configuration configuration =
            read_configuration(sources_.configurations, sources_.skip_unresolved, &stop_reading_);
        const auto object = first_object(configuration.account);
        if (object && !sources_.import)
            throw ConfigurationError("the configuration has " + *object);
        reading.network = configuration.account.network();
    } catch (const std::exception& error) {
        reading.failure = error.what();
    }
    return reading;
}

std::optional<NetworkReload::Reading> NetworkReload::take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(read_, std::nullopt);
}

void NetworkReload::taken(std::shared_ptr<const Network> unused) {
    if (unused) retired_.push_back(std::move(unused));
    reading_ = false;
    dispose();
    if (again_) ask();
}

void NetworkReload::tend() {
    dispose();
    if (again_) ask();
}

/// Destroys the networks that no listing reads any more, in the worker's thread, because a large
/// one takes a while.
void NetworkReload::dispose() {
    std::vector<std::shared_ptr<const Network>> gone;
    for (auto& network : retired_)
        if (network.use_count() == 1) gone.push_back(std::move(network));
    if (gone.empty()) return;
    retired_.erase(std::remove(retired_.begin(), retired_.end(), nullptr), retired_.end());
    worker_.post([gone = std::move(gone)]() mutable { gone.clear(); });
}

}  // namespace mirrornic
