// SPDX-License-Identifier: Apache-2.0
#include "host/ec2/request_error.hpp"

#include <algorithm>
#include <iterator>

namespace mirrornic {
namespace {

struct Row {
    ErrorCode code;
    const char* text;
    int status;
};

constexpr Row rows[] = {
    {ErrorCode::auth_failure, "AuthFailure", 401},
    {ErrorCode::describe_filter_limit, "FilterLimitExceeded", 400},
    {ErrorCode::dry_run, "DryRunOperation", 412},
    {ErrorCode::filter_id_not_found, "InvalidTrafficMirrorFilterId.NotFound", 400},
    {ErrorCode::filter_in_use, "TrafficMirrorFilterInUse", 400},
    {ErrorCode::filter_limit, "TrafficMirrorFilterLimitExceeded", 400},
    {ErrorCode::filter_rule_already_exists, "TrafficMirrorFilterRuleAlreadyExists", 400},
    {ErrorCode::filter_rule_id_not_found, "InvalidTrafficMirrorFilterRuleId.NotFound", 400},
    {ErrorCode::filter_rule_limit, "TrafficMirrorFilterRuleLimitExceeded", 400},
    {ErrorCode::idempotent_parameter_mismatch, "IdempotentParameterMismatch", 400},
    {ErrorCode::internal_error, "InternalError", 500},
    {ErrorCode::invalid_action, "InvalidAction", 400},
    {ErrorCode::invalid_id, "InvalidID", 400},
    {ErrorCode::invalid_next_token, "InvalidNextToken", 400},
    {ErrorCode::invalid_parameter_combination, "InvalidParameterCombination", 400},
    {ErrorCode::invalid_parameter_value, "InvalidParameterValue", 400},
    {ErrorCode::load_balancer_arn_malformed, "InvalidNetworkLoadBalancerArn.Malformed", 400},
    {ErrorCode::load_balancer_arn_not_found, "InvalidNetworkLoadBalancerArn.NotFound", 400},
    {ErrorCode::malformed_query_string, "MalformedQueryString", 400},
    {ErrorCode::missing_action, "MissingAction", 400},
    {ErrorCode::missing_parameter, "MissingParameter", 400},
    {ErrorCode::network_interface_id_not_found, "InvalidNetworkInterfaceID.NotFound", 400},
    {ErrorCode::no_such_version, "NoSuchVersion", 400},
    {ErrorCode::request_expired, "RequestExpired", 400},
    {ErrorCode::route_table_id_not_found, "InvalidRouteTableID.NotFound", 400},
    {ErrorCode::session_id_not_found, "InvalidTrafficMirrorSessionId.NotFound", 400},
    {ErrorCode::session_limit, "TrafficMirrorSessionLimitExceeded", 400},
    {ErrorCode::sessions_per_interface_limit, "TrafficMirrorSessionsPerInterfaceLimitExceeded",
     400},
    {ErrorCode::sources_per_target_limit, "TrafficMirrorSourcesPerTargetLimitExceeded", 400},
    {ErrorCode::tag_key_malformed, "InvalidTagKey.Malformed", 400},
    {ErrorCode::tag_limit, "TagLimitExceeded", 400},
    {ErrorCode::target_id_not_found, "InvalidTrafficMirrorTargetId.NotFound", 400},
    {ErrorCode::target_in_use, "TrafficMirrorTargetInUseException", 400},
    {ErrorCode::target_limit, "TrafficMirrorTargetLimitExceeded", 400},
    {ErrorCode::unauthorized_operation, "UnauthorizedOperation", 403},
    {ErrorCode::unavailable, "Unavailable", 503},
    {ErrorCode::unknown_parameter, "UnknownParameter", 400},
    {ErrorCode::unsupported_operation, "UnsupportedOperation", 400},
    {ErrorCode::vpc_endpoint_id_malformed, "InvalidVpcEndpointId.Malformed", 400},
    {ErrorCode::vpc_endpoint_id_not_found, "InvalidVpcEndpointId.NotFound", 400},
    {ErrorCode::vpc_id_not_found, "InvalidVpcID.NotFound", 400},
};

constexpr bool in_order() {
    for (std::size_t i = 0; i < std::size(rows); ++i)
        if (std::size_t(rows[i].code) != i) return false;
    return rows[std::size(rows) - 1].code == ErrorCode::vpc_id_not_found;
}
static_assert(in_order(), "one row for each code, in the order of ErrorCode");

}  // namespace

const char* to_string(ErrorCode code) { return rows[std::size_t(code)].text; }

int http_status(ErrorCode code) { return rows[std::size_t(code)].status; }

bool is_error_code(const std::string& text) {
    return std::any_of(std::begin(rows), std::end(rows),
                       [&](const Row& row) { return text == row.text; });
}

}  // namespace mirrornic
