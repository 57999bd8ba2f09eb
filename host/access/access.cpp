// SPDX-License-Identifier: Apache-2.0
#include "host/access/access.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "host/access/signature.hpp"
#include "host/base/ascii.hpp"

namespace mirrornic {
namespace {

constexpr std::chrono::minutes clock_tolerance{15};
const std::string no_secret(40, '-');  // instead of the secret of an unknown key

[[noreturn]] void deny(const std::string& reason) {
    throw AccessDenied(AccessDenied::Code::auth_failure, reason);
}

std::string octal(unsigned mode) {
    char text[16];
    std::snprintf(text, sizeof text, "%04o", mode);
    return text;
}

/// Parses JSON. The parser's message quotes the text at the error, which may be a secret; so only
/// the place of the error is kept of it.
Json parse_secret_json(const std::string& name, const std::string& text) {
    try {
        return parse_json(text);
    } catch (const JsonError& error) {
        const std::string message = error.what();
        if (starts_with(message, "line "))
            throw CredentialsError(name + ": " + cut(message, ':').first + ": is not JSON");
        if (starts_with(message, "[json.exception")) throw CredentialsError(name + ": is not JSON");
        throw CredentialsError(name + ": " + message);
    }
}

/// Reads a file and checks its mode. The mode is that of the open file: a file that had this name a
/// moment earlier may have been another one.
std::string read_private_file(const std::string& name) {
    struct File {
        int descriptor;
        ~File() {
            if (descriptor >= 0) close(descriptor);
        }
    };
    const auto fail = [&] { throw CredentialsError(name + ": " + std::strerror(errno)); };
    const File file{open(name.c_str(), O_RDONLY | O_CLOEXEC)};
    struct stat status {};
    if (file.descriptor < 0 || fstat(file.descriptor, &status) != 0) fail();
    if (status.st_mode & 077)
        throw CredentialsError(name + ": others than its owner may use it (mode " +
                               octal(status.st_mode & 07777) +
                               "), and it holds secrets: chmod 600 " + name);
    std::string text;
    char buffer[4096];
    ssize_t count;
    while ((count = ::read(file.descriptor, buffer, sizeof buffer)) != 0) {
        if (count > 0)
            text.append(buffer, std::size_t(count));
        else if (errno != EINTR)
            fail();
    }
    return text;
}

}  // namespace

struct Credentials::Key {
    std::string id, secret;
    std::string token;  ///< empty: none
    std::vector<Statement> statements;
};

/// The signing keys of all keys, and one for keys that do not exist. They are made together, so
/// that the time of an answer does not tell which keys exist.
struct Credentials::SigningKeys {
    std::string date, region;
    std::vector<Digest> of_keys;
    Digest of_none;

    SigningKeys(const std::vector<Key>& keys, std::string its_date, std::string its_region)
        : date(std::move(its_date)),
          region(std::move(its_region)),
          of_none(signing_key(no_secret, date, region)) {
        for (const Key& key : keys) of_keys.push_back(signing_key(key.secret, date, region));
    }
};

Credentials::Credentials() = default;
Credentials::Credentials(Credentials&&) noexcept = default;
Credentials& Credentials::operator=(Credentials&&) noexcept = default;
Credentials::~Credentials() = default;

Credentials Credentials::read(const std::string& file) {
    return parse(file, read_private_file(file));
}

Credentials Credentials::parse(const std::string& name, const std::string& text) {
    const auto json = parse_secret_json(name, text);
    const CredentialsValue root(name, json);
    root.has_only({"Credentials"}, {});
    Credentials credentials;
    for (const auto& entry : root.member("Credentials").elements()) {
        entry.has_only({"AccessKeyId", "SecretAccessKey", "Policy"}, {"SessionToken"});
        Key key;
        const auto id = entry.member("AccessKeyId");
        key.id = id.text();
        if (key.id.empty() || key.id.size() > 128 ||
            !all(key.id, [](char c) { return is_alphanumeric(c) || c == '_' || c == '-'; }))
            id.fail("is not 1 to 128 letters, digits, - and _");
        if (credentials.find(key.id)) id.fail("is the same as an earlier one");
        key.secret = entry.member("SecretAccessKey").secret();
        if (entry.has("SessionToken")) key.token = entry.member("SessionToken").secret();
        key.statements = read_policy(entry.member("Policy"));
        credentials.keys_.push_back(std::move(key));
    }
    return credentials;
}

const Credentials::Key* Credentials::find(const std::string& access_key_id) const {
    const auto at = std::find_if(keys_.begin(), keys_.end(),
                                 [&](const Key& key) { return key.id == access_key_id; });
    return at == keys_.end() ? nullptr : &*at;
}

std::string Credentials::authenticate(const HttpRequest& request, const std::string& region,
                                      std::chrono::system_clock::time_point now) const {
    const SignedRequest sent(request, region);
    // The signature is checked for an unknown key too, so that the time of the answer does not tell
    // which keys exist.
    const Key* key = find(sent.key_id());
    Digest signs;
    if (sent.day() == day_of(now)) {
        auto today = std::atomic_load(&signing_keys_);
        if (!today || today->date != sent.day() || today->region != region) {
            today = std::make_shared<const SigningKeys>(keys_, sent.day(), region);
            std::atomic_store(&signing_keys_, today);
        }
        signs = key ? today->of_keys[std::size_t(key - keys_.data())] : today->of_none;
    } else {
        signs = signing_key(key ? key->secret : no_secret, sent.day(), region);
    }
    const bool good = sent.is_signed_with(signs);
    if (!key) deny("there is no key " + shown(sent.key_id()));
    if (!good) deny("the signature is not that of key " + key->id + " for this request");

    const auto* token = sent.session_token();
    if (!token != key->token.empty() || (token && !same_secret(*token, key->token)))
        deny("x-amz-security-token is not as key " + key->id + " has it");

    // The time is checked last. So only who has the secret is told RequestExpired, and a request
    // with a wrong signature is an AuthFailure whatever its time. A captured request that is sent
    // again late has a right signature, and is told RequestExpired.
    const auto time = sent.since_epoch();
    if (std::chrono::ceil<std::chrono::seconds>(now.time_since_epoch()) - time > clock_tolerance ||
        time - std::chrono::floor<std::chrono::seconds>(now.time_since_epoch()) > clock_tolerance)
        throw AccessDenied(
            AccessDenied::Code::request_expired,
            sent.time() + " is more than 15 minutes from this host's clock, key " + key->id);
    return key->id;
}

bool Credentials::allows(const std::string& access_key_id, const std::string& action) const {
    const Key* key = find(access_key_id);
    return key && allow(key->statements, "ec2:" + action);
}

}  // namespace mirrornic
