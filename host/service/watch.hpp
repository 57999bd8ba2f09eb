// SPDX-License-Identifier: Apache-2.0
/// Tells the log and /health what is in trouble: once when it begins, once when it is over.
/// Source: docs/behaviour.md rule H1.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "host/api/health.hpp"
#include "host/api/log.hpp"
#include "host/frames/output_file.hpp"
#include "host/http/http_server.hpp"

namespace mirrornic {

class Watch {
public:
    Watch(Health& health, Log log) : health_(health), log_(std::move(log)) {}
    /// @param trouble one sentence; nothing: there is none, or it is over
    void cause(Health::Cause cause, const std::optional<std::string>& trouble);
    void outputs(const std::vector<OutputState>& outputs);
    /// Whether descriptors run out.
    void connections(const HttpServer& http);

private:
    Health& health_;
    const Log log_;
    std::set<std::string> in_trouble_;  ///< outputs of which it was said
    bool lacks_descriptors_ = false;    ///< as it was said
};

}  // namespace mirrornic
