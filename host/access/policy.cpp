// SPDX-License-Identifier: Apache-2.0
#include "host/access/policy.hpp"

#include <cstring>

namespace mirrornic {
namespace {

/// Whether a pattern with * and ? matches the whole text.
bool matches(const std::string& pattern, const std::string& text) {
    std::size_t p = 0, t = 0, star = std::string::npos, resume = 0;
    while (t < text.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            resume = t;
        } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
            ++p;
            ++t;
        } else if (star != std::string::npos) {
            p = star + 1;
            t = ++resume;  // the last * takes one more character
        } else {
            return false;
        }
    }
    return pattern.find_first_not_of('*', p) == std::string::npos;
}

/// Whether a pattern looks like a page's path and matches no page, so that it must be misspelt.
bool is_no_page(const std::string& pattern) {
    return pattern[0] == '/' && std::none_of(pages.begin(), pages.end(), [&](auto page) {
               return matches(pattern, std::string(page));
           });
}

/// Reads an action. One without a service is refused: it would never match, and a Deny of it would
/// deny nothing. Source: IAM, "Actions".
std::string read_action(const CredentialsValue& value) {
    const auto& text = value.text();
    const auto [service, name] = cut(text, ':');
    const bool good = text == "*" || (!service.empty() && !name.empty() && all(text, [](char c) {
                          return is_alphanumeric(c) || (c && std::strchr("-*?:/", c));
                      }) && name.find(':') == std::string::npos);
    if (!good) value.fail("is neither \"*\" nor of the form \"ec2:NAME\"");
    if (is_no_page(lower(name)))
        value.fail("names no page; there are ec2:/health, ec2:/metrics and ec2:/stats");
    return lower(text);
}

/// Whether a pattern matches only actions of services other than ec2.
bool is_of_others(const std::string& action) { return !matches(cut(action, ':').first, "ec2"); }

Statement read_statement(const CredentialsValue& value) {
    value.has_only({"Effect"}, {"Action", "NotAction", "Resource", "Sid", "Condition",
                                "NotResource", "Principal", "NotPrincipal"});
    if (value.has("Sid")) value.member("Sid").text();

    Statement statement;
    const auto effect = value.member("Effect");
    statement.allow = effect.text() == "Allow";
    if (!statement.allow && effect.text() != "Deny") effect.fail("is neither Allow nor Deny");

    statement.but_actions = value.has("NotAction");
    if (statement.but_actions && value.has("Action")) value.fail("has both Action and NotAction");
    if (!statement.but_actions && !value.has("Action")) value.fail("has no Action");
    const auto actions = value.member(statement.but_actions ? "NotAction" : "Action");
    for (const auto& action : actions.one_or_elements())
        statement.actions.push_back(read_action(action));
    if (statement.actions.empty()) actions.fail("is empty");

    // Many policies have a statement about another service, such as logs:* for one resource. It
    // decides nothing here, so it may have anything.
    if (!statement.but_actions &&
        std::all_of(statement.actions.begin(), statement.actions.end(), is_of_others))
        return statement;
    value.has_only({"Effect", "Resource"}, {"Action", "NotAction", "Sid"});
    const auto resource = value.member("Resource");
    const auto resources = resource.one_or_elements();
    if (resources.size() != 1 || resources[0].text() != "*")
        resource.fail("must be \"*\": permissions for single resources are not supported");
    return statement;
}

}  // namespace

std::vector<Statement> read_policy(const CredentialsValue& value) {
    value.has_only({"Statement"}, {"Version", "Id"});
    if (value.has("Id")) value.member("Id").text();
    if (value.has("Version")) {
        // The two versions differ only in policy variables. These stand in resources and
        // conditions, which are not supported.
        const auto version = value.member("Version");
        if (version.text() != "2012-10-17" && version.text() != "2008-10-17")
            version.fail("must be \"2012-10-17\" or \"2008-10-17\"");
    }
    std::vector<Statement> statements;
    for (const auto& statement : value.member("Statement").one_or_elements())
        statements.push_back(read_statement(statement));
    return statements;
}

bool allow(const std::vector<Statement>& statements, const std::string& action) {
    const auto name = lower(action);
    bool allowed = false;
    for (const auto& statement : statements) {
        const bool named =
            std::any_of(statement.actions.begin(), statement.actions.end(),
                        [&](const std::string& pattern) { return matches(pattern, name); });
        const bool applies = named != statement.but_actions;
        if (applies && !statement.allow) return false;
        allowed |= applies;
    }
    return allowed;
}

}  // namespace mirrornic
