// SPDX-License-Identifier: Apache-2.0
/// The errors with which requests are answered. Source: EC2 API error codes; docs/behaviour.md rule
/// S7.
#pragma once

#include <stdexcept>
#include <string>

namespace mirrornic {

enum class ErrorCode {
    auth_failure,
    describe_filter_limit,
    dry_run,
    filter_id_not_found,
    filter_in_use,
    filter_limit,
    filter_rule_already_exists,
    filter_rule_id_not_found,
    filter_rule_limit,
    idempotent_parameter_mismatch,
    internal_error,
    invalid_action,
    invalid_id,
    invalid_next_token,
    invalid_parameter_combination,
    invalid_parameter_value,
    load_balancer_arn_malformed,
    load_balancer_arn_not_found,
    malformed_query_string,
    missing_action,
    missing_parameter,
    network_interface_id_not_found,
    no_such_version,
    request_expired,
    route_table_id_not_found,
    session_id_not_found,
    session_limit,
    sessions_per_interface_limit,
    sources_per_target_limit,
    tag_key_malformed,
    tag_limit,
    target_id_not_found,
    target_in_use,
    target_limit,
    unauthorized_operation,
    unavailable,
    unknown_parameter,
    unsupported_operation,
    vpc_endpoint_id_malformed,
    vpc_endpoint_id_not_found,
    vpc_id_not_found,
};

const char* to_string(ErrorCode code);  ///< as on the wire: "InvalidParameterValue"
int http_status(ErrorCode code);
/// Whether the text is one of the codes.
bool is_error_code(const std::string& text);

/// A request that fails; the message names the parameter and the value.
struct RequestError : std::runtime_error {
    ErrorCode code;
    RequestError(ErrorCode error, const std::string& message)
        : std::runtime_error(message), code(error) {}
};

}  // namespace mirrornic
