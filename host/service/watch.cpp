// SPDX-License-Identifier: Apache-2.0
#include "host/service/watch.hpp"

namespace mirrornic {

void Watch::cause(Health::Cause cause, const std::optional<std::string>& trouble) {
    const bool before = health_.trouble(cause).has_value();
    health_.tell(cause, trouble);
    if (before == trouble.has_value()) return;
    if (trouble)
        log_(LogLevel::error, "degraded", {{"cause", Health::name(cause)}, {"why", *trouble}});
    else
        log_(LogLevel::info, "a cause is over", {{"cause", Health::name(cause)}});
}

void Watch::outputs(const std::vector<OutputState>& outputs) {
    for (const OutputState& state : outputs) {
        if (state.trouble && in_trouble_.insert(state.output).second)
            log_(LogLevel::warning, "an output is in trouble",
                 {{"output", state.output}, {"file", state.file}, {"why", *state.trouble}});
        if (!state.trouble && in_trouble_.erase(state.output) != 0)
            log_(LogLevel::info, "an output is well again",
                 {{"output", state.output}, {"file", state.file}, {"lost", state.lost}});
    }
}

void Watch::connections(const HttpServer& http) {
    if (lacks_descriptors_ == http.lacks_descriptors()) return;
    lacks_descriptors_ = !lacks_descriptors_;
    if (lacks_descriptors_)
        log_(LogLevel::warning,
             "descriptors run out: idle connections are closed for new ones; a higher "
             "`ulimit -n` ends that",
             {{"connections", http.connections()}});
    else
        log_(LogLevel::info, "there are enough descriptors again", {});
}

}  // namespace mirrornic
