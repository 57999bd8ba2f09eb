// SPDX-License-Identifier: Apache-2.0
/// Tells the log and /health about troubles: once when a trouble begins, once when it is over.
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
    /// @param trouble one sentence; nothing: there is none
    void cause(Health::Cause cause, const std::optional<std::string>& trouble);
    void outputs(const std::vector<OutputState>& outputs);
    /// Looks whether the process runs out of file descriptors.
    void connections(const HttpServer& http);

private:
    Health& health_;
    const Log log_;
    std::set<std::string> in_trouble_;  ///< outputs that the log was told of
    bool lacks_descriptors_ = false;    ///< what the log was told last
};

}  // namespace mirrornic
