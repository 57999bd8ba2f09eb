// SPDX-License-Identifier: Apache-2.0
/// Objects with holes: they name interfaces that are not configured, so no request could make them
/// now.
#pragma once

#include <string>
#include <utility>

#include "host/account/account.hpp"

namespace mirrornic::test {

/// Targets tmt-eni-gone and "tmt-" + collector, the filter tmf-1, and sessions tms-1 to tms-4 with
/// numbers from `number` on: of a source that was never there to the collector, of the source to a
/// target that is gone, of both, and of neither.
inline Change holes(const std::string& source, const std::string& collector, int number) {
    Change change;
    for (const std::string& interface : {std::string("eni-gone"), collector}) {
        TrafficMirrorTarget target;
        target.id = "tmt-" + interface;
        target.address = interface;
        change.put.push_back(target);
    }
    TrafficMirrorFilter filter;
    filter.id = "tmf-1";
    change.put.push_back(filter);
    int n = 0;
    for (const auto& [from, to] : {std::pair<std::string, std::string>{"eni-never", collector},
                                   {source, "eni-gone"},
                                   {"eni-never", "eni-gone"},
                                   {source, collector}}) {
        TrafficMirrorSession session;
        session.id = "tms-" + std::to_string(n + 1);
        session.interface_id = from;
        session.target_id = "tmt-" + to;
        session.filter_id = filter.id;
        session.number = std::uint16_t(number + n++);
        change.put.push_back(session);
    }
    return change;
}

}  // namespace mirrornic::test
