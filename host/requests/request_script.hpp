// SPDX-License-Identifier: Apache-2.0
/// A file of session requests, JSON Lines: one request a line, blank lines between them allowed.
///
///     {"Action": "CreateTrafficMirrorFilter", "Description": "web", "As": "web"}
///     {"Action": "DeleteTrafficMirrorFilter", "AtFrame": 100,
///      "TrafficMirrorFilterId": "${web.TrafficMirrorFilter.TrafficMirrorFilterId}"}
///
/// (In a file, the second request stands on one line too.) Beside the action's parameters, which
/// are botocore's input members, a line may have:
/// - "AtFrame": N. The request is performed before the N-th frame (1-based). Or "AtTime": seconds
///   after the time of the first frame. Without either it is performed directly after the request
///   before it.
/// - "As": a name for the reply. `${name.Member.List[0].Member}` in a string of a later line is
///   replaced by that member of the reply. If it is the whole string, the value keeps its JSON
///   type. `$${` stands for `${` itself.
/// - "ExpectError": an error code. The request is good if it fails with this code, and not good if
///   it succeeds or fails otherwise.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "host/base/json_text.hpp"
#include "host/requests/request_service.hpp"

namespace mirrornic {

/// The file cannot be used; the message names file and line.
struct RequestFileError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// What came of one line.
struct RequestOutcome {
    std::size_t line = 0;  ///< 1-based
    std::string action;
    std::string expected_error;  ///< empty: success was expected
    Reply reply;                 ///< code "UnresolvedReference" when a `${...}` names nothing
    bool good = false;           ///< as expected

    /// This outcome as one line of a replies file: {"Line", "Action", "Reply"} or {"Line",
    /// "Action", "Error": {"Code", "Message"}}, and "ExpectError" where one was given.
    Json record() const;
    /// What went wrong, with file line and code; empty when good.
    std::string complaint;
};

/// The requests of one file. They are performed in the order of the file: a request is due when its
/// moment has come and all requests before it are due. Not thread-safe.
class RequestFile {
public:
    /// Reads and checks all lines: that they are JSON, that the members above are right, that
    /// "AtFrame" and "AtTime" do not go back, and that each name is given once and before it is
    /// used. @throws RequestFileError.
    static RequestFile read(const std::string& file);
    static RequestFile parse(const std::string& name, const std::string& text);

    /// Whether a request must be performed before this frame.
    /// @param frame 1-based number of the frame that comes next
    /// @param seconds its time after the first frame's
    bool due(std::uint64_t frame, double seconds) const {
        return next_ < lines_.size() && lines_[next_].frame <= frame &&
               lines_[next_].seconds <= seconds;
    }
    /// Performs the next request, due or not. Must not be called when remaining() is 0.
    RequestOutcome perform_next(Requests& requests);
    std::size_t remaining() const { return lines_.size() - next_; }
    /// The line of the next request, 1-based; 0 when there is none.
    std::size_t next_line() const { return remaining() ? lines_[next_].number : 0; }

private:
    struct Line {
        std::size_t number = 0;
        std::uint64_t frame = 0;
        double seconds = -std::numeric_limits<double>::infinity();
        std::string as, expected_error;
        Request request;
    };

    std::string name_;
    std::vector<Line> lines_;
    std::size_t next_ = 0;
    std::map<std::string, std::optional<Json>> replies_;  ///< by name; absent: it failed
};

}  // namespace mirrornic
