// SPDX-License-Identifier: Apache-2.0
#include "host/command/serve_command.hpp"

#include <cctype>

#include "host/service/mapped_device.hpp"

namespace mirrornic {
namespace {

po::options_description serve_options(const std::vector<DeviceKind>& kinds,
                                      const std::string& otherwise) {
    po::options_description options("API");
    options.add_options()(
        "listen",
        po::value<std::string>()->default_value("127.0.0.1:4580")->value_name("ADDRESS:PORT"),
        "port 0: any free one; the ready line on standard output names it")(
        "admin", po::value<std::string>()->value_name("ADDRESS:PORT"),
        "serve /health, /metrics and /stats here too, without credentials, to read only")(
        "admin-host", po::value<std::vector<std::string>>()->value_name("NAME"),
        "a name that requests there may give as their Host; may be repeated")(
        "state", po::value<std::string>()->value_name("FILE"),
        "SQLite; else mirrornic/state.sqlite in the XDG state directory")(
        "credentials", po::value<std::string>()->value_name("FILE"),
        "keys and policies, JSON; without it requests of this host alone are taken, unverified")(
        "tls-cert", po::value<std::string>()->value_name("FILE"), "PEM, with the chain")(
        "tls-key", po::value<std::string>()->value_name("FILE"), "PEM")(
        "plain-http", po::bool_switch(), "allow other hosts without TLS")(
        "region", po::value<std::string>()->default_value("us-east-1")->value_name("NAME"),
        "that clients sign for")(
        "account", po::value<std::string>()->default_value("000000000000")->value_name("ID"),
        "owner of what is created")(
        "import", po::bool_switch(),
        "load the configuration's sessions, filters and targets into an empty state, once")(
        "delete-orphans", po::bool_switch(),
        "at a reload, delete sessions whose source is gone, as AWS does; else they are disabled")(
        "log-format", po::value<std::string>()->default_value("text")->value_name("FORMAT"),
        "text or json, to standard error")("options", po::value<std::string>()->value_name("FILE"),
                                           "further options, NAME=VALUE a line");
    po::options_description device("Device");
    std::string help;
    for (const DeviceKind& kind : kinds) help += (help.empty() ? "" : "; ") + kind.help;
    auto* const value = po::value<std::string>()->value_name("WHICH");
    if (!otherwise.empty()) value->default_value(otherwise);
    device.add_options()("device", value, help.c_str());
    for (const DeviceKind& kind : kinds)
        if (kind.options) device.add(kind.options());
    options.add(configuration_options()).add(device).add(quota_options());
    return options;
}

/// "127.0.0.1:4580" or "[::1]:4580", given to this option.
void set_listener(HttpListener& listener, const std::string& option, const std::string& text) {
    const auto colon = text.rfind(':');
    const std::string port = colon == std::string::npos ? "" : text.substr(colon + 1);
    if (port.empty() || port.size() > 5 ||
        port.find_first_not_of("0123456789") != std::string::npos || std::stoul(port) > 65535)
        throw UsageError(option + " " + text + ": give ADDRESS:PORT");
    std::string& address = listener.address;
    address = text.substr(0, colon);
    if (address.size() > 2 && address.front() == '[' && address.back() == ']')
        address = address.substr(1, address.size() - 2);
    if (address == "localhost") address = "127.0.0.1";
    listener.port = static_cast<std::uint16_t>(std::stoul(port));
    try {
        IpAddress::parse(address);
    } catch (const std::invalid_argument&) {
        throw UsageError(option + " " + text + ": give an IPv4 or IPv6 address, and a port");
    }
}

bool is_loopback(const HttpListener& listener) {
    const IpAddress address = IpAddress::parse(listener.address);
    return address.v6 ? address == IpAddress::parse("::1") : address.bytes[0] == 127;
}

void check_encryption(const std::string& option, const HttpListener& listener, bool plain_http) {
    if (is_loopback(listener) || listener.certificate) return;
    if (!plain_http)
        throw UsageError(option + " " + listener.address +
                         " can be reached from other hosts: give --tls-cert and --tls-key, or "
                         "--plain-http to do without");
    warn(option + ": requests and replies cross the network in the clear");
}

/// Reads a DNS name. @return it in lower case
std::string host_name(std::string text) {
    for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (text.empty() ||
        text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789.-_") != std::string::npos)
        throw UsageError("--admin-host " + text + ": give a name, without a port");
    return text;
}

/// Sets the admin address, which serves only /health, /stats and /metrics. At a loopback address it
/// has no TLS, since no client could check a certificate's name there.
void set_admin(ServeOptions& options, const po::variables_map& values) {
    for (const std::string& name : texts(values, "admin-host"))
        options.admin_hosts.push_back(host_name(name));
    const auto text = optional_text(values, "admin");
    if (!text) {
        if (!options.admin_hosts.empty()) throw UsageError("--admin-host needs --admin");
        return;
    }
    HttpListener admin;
    set_listener(admin, "--admin", *text);
    if (!is_loopback(admin)) {
        admin.certificate = options.http.certificate;
        admin.key = options.http.key;
    }
    options.http.further.push_back(admin);
}

/// @throws UsageError that lists the kinds that there are.
const DeviceKind& kind_of(const std::vector<DeviceKind>& kinds, const std::string& device,
                          const std::string& elsewhere) {
    std::string forms;
    for (std::size_t i = 0; i < kinds.size(); ++i) {
        const std::string& scheme = kinds[i].scheme;
        const bool has_place = scheme.back() == ':';
        if (has_place ? device.compare(0, scheme.size(), scheme) == 0 : device == scheme) {
            if (has_place && device == scheme)
                throw UsageError("--device " + device + ": its place is missing; give " +
                                 kinds[i].form);
            return kinds[i];
        }
        forms += (i == 0 ? "" : i + 1 == kinds.size() ? " or " : ", ") + kinds[i].form;
    }
    throw UsageError("--device " + device + ": give " + forms +
                     (elsewhere.empty() ? "" : "; " + elsewhere));
}

/// Checks that no option of another kind of device was given.
void check_options(const std::vector<DeviceKind>& kinds, const DeviceKind& chosen,
                   const po::variables_map& values) {
    for (const DeviceKind& kind : kinds) {
        if (kind.scheme == chosen.scheme || !kind.options) continue;
        const po::options_description its = kind.options();
        for (const auto& option : its.options()) {
            const std::string& name = option->long_name();
            if (values.count(name) != 0 && !values[name].defaulted())
                throw UsageError("--" + name + " is of " + kind.called + " alone");
        }
    }
}

}  // namespace

DeviceKind card_device() {
    DeviceKind kind{"pci:",
                    "pci:ADDRESS[,bar=N][,offset=BYTES]",
                    "pci:ADDRESS[,bar=N][,offset=BYTES]: a card, its registers in BAR 0 from 0 on "
                    "unless given",
                    "a card",
                    nullptr,
                    nullptr};
    kind.prepare = [](const std::string& place, const po::variables_map&, ServeOptions& options) {
        if (!options.credentials) throw UsageError("--device pci: needs --credentials");
        try {
            const PciLocation card = PciLocation::parse(place);
            options.make_device = [card](const auto&, const auto&) {
                return std::make_unique<MappedDevice>(card);
            };
        } catch (const std::invalid_argument& wrong) {
            throw UsageError(std::string("--device pci: ") + wrong.what());
        }
    };
    return kind;
}

DeviceKind file_device() {
    DeviceKind kind{"file:",
                    "file:PATH",
                    "file:PATH: a device without traffic whose tables the file keeps and which is "
                    "made if it is not there, or any other file that can be mapped as a card's "
                    "registers",
                    "a register file",
                    nullptr,
                    nullptr};
    kind.prepare = [](const std::string& place, const po::variables_map&, ServeOptions& options) {
        options.device_files = {{"--device", place, NamedFile::Use::output}};
        options.make_device = [place](const auto&, const auto&) {
            return std::make_unique<MappedDevice>(place);
        };
    };
    return kind;
}

int serve_command(const Arguments& arguments, const std::vector<DeviceKind>& kinds,
                  const std::string& otherwise, const std::string& elsewhere) {
    const auto values =
        parse(arguments, serve_options(kinds, otherwise), "serve --config FILE ... [OPTION ...]");
    if (!values) return 0;
    ServeOptions options;
    options.configurations = texts(*values, "config");
    if (options.configurations.empty()) throw UsageError("--config is missing");
    options.skip_unresolved = (*values)["skip-unresolved"].as<bool>();
    set_listener(options.http, "--listen", (*values)["listen"].as<std::string>());
    options.http.certificate = optional_text(*values, "tls-cert");
    options.http.key = optional_text(*values, "tls-key");
    options.plain_http = (*values)["plain-http"].as<bool>();
    set_admin(options, *values);
    options.options_file = optional_text(*values, "options");
    options.state = optional_text(*values, "state");
    options.credentials = optional_text(*values, "credentials");
    options.region = (*values)["region"].as<std::string>();
    options.settings.account_id = (*values)["account"].as<std::string>();
    options.import = (*values)["import"].as<bool>();
    options.settings.delete_orphans = (*values)["delete-orphans"].as<bool>();
    options.device = required(*values, "device");
    set_quotas(options.settings, *values);
    const std::string format = (*values)["log-format"].as<std::string>();
    if (format != "text" && format != "json")
        throw UsageError("--log-format " + format + ": give text or json");
    options.log_json = format == "json";

    const std::string& account = options.settings.account_id;
    if (account.size() != 12 || account.find_first_not_of("0123456789") != std::string::npos)
        throw UsageError("--account " + account + ": give 12 digits");
    if (options.region.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") !=
        std::string::npos)
        throw UsageError("--region " + options.region +
                         ": give a name of lower case letters, digits and -");
    if (options.state) state_location(*options.state);
    const DeviceKind& kind = kind_of(kinds, options.device, elsewhere);
    const std::string place = options.device.substr(kind.scheme.size());
    check_options(kinds, kind, *values);
    if (options.http.certificate.has_value() != options.http.key.has_value())
        throw UsageError("--tls-cert and --tls-key go together");
    if (!is_loopback(options.http) && !options.credentials)
        throw UsageError("--listen " + options.http.address +
                         " can be reached from other hosts and needs --credentials");
    check_encryption("--listen", options.http, options.plain_http);
    for (const HttpListener& admin : options.http.further)
        check_encryption("--admin", admin, options.plain_http);
    kind.prepare(place, *values, options);
    return serve(options);
}

}  // namespace mirrornic
