// SPDX-License-Identifier: Apache-2.0
#include "host/service/serve.hpp"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>
#include <thread>

#include "host/account/driver_device.hpp"
#include "host/api/ec2_server.hpp"
#include "host/base/standard_output.hpp"
#include "host/configuration/configuration.hpp"
#include "host/ec2/account_check.hpp"
#include "host/service/network_reload.hpp"
#include "host/service/statistics.hpp"
#include "host/service/watch.hpp"
#include "host/store/open_store.hpp"

namespace mirrornic {
namespace {

namespace fs = std::filesystem;

constexpr unsigned frames_between_polls = 64;   // so a request waits for 64 frames at most
constexpr rlim_t least_descriptors = 24;        // for its own files, and a connection
constexpr std::size_t sessions_a_portion = 32;  // of the counters that are read between requests

/// The state file's default place, with its directory (0700).
fs::path default_state() {
    const char* state = std::getenv("XDG_STATE_HOME");
    const char* home = std::getenv("HOME");
    fs::path directory;
    if (state && *state == '/')
        directory = state;
    else if (home && *home == '/')
        directory = fs::path(home) / ".local/state";
    else
        throw StoreError("neither XDG_STATE_HOME nor HOME is set; give --state FILE");
    directory /= "mirrornic";
    const auto mask = ::umask(077);
    std::error_code error;
    fs::create_directories(directory, error);
    ::umask(mask);
    if (error) throw StoreError(directory.string() + ": " + error.message());
    return directory / "state.sqlite";
}

std::vector<NamedFile> files_of(const ServeOptions& options, const StoreLocation& state) {
    using Use = NamedFile::Use;
    std::vector<NamedFile> files;
    for (const std::string& name : options.configurations)
        files.push_back({"--config", name, Use::input});
    add_file(files, "--credentials", options.credentials, Use::input);
    add_file(files, "--tls-cert", options.http.certificate, Use::input);
    add_file(files, "--tls-key", options.http.key, Use::input);
    add_file(files, "--options", options.options_file, Use::input);
    files.insert(files.end(), options.device_files.begin(), options.device_files.end());
    add_file(files, "--stats", options.stats, Use::output_stream);
    files.push_back({"--state", state.place, Use::database});
    return files;
}

void unblock(int signal) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, signal);
    pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

/// The service: one object for the time of serve(). Its members are used by the main thread alone,
/// except where a line says otherwise. Members are destroyed from the last one to the first, which
/// is why some stand where they do.
class Server {
public:
    explicit Server(const ServeOptions& options);
    int run();

private:
    void answer_starting();
    void end_starting();
    void open();
    void work();
    void close_device();
    bool may_import();
    void import(const Account& configured);
    void take_reading();
    void tick();
    void look_at_device();
    void tell_health();
    void warn_of_sessions(const Requests& requests);
    std::optional<Json> read_statistics(bool begin);
    void print_ready();

    const ServeOptions& options_;
    LogFile log_file_;  ///< thread-safe; ends last, since all others may write to it
    const Log log_;     ///< writes to log_file_
    const StoreLocation state_;
    bool ready_to_standard_output_ = true;
    std::optional<OutputFile> late_ready_;  ///< holds a ready line that nobody has read yet
    std::optional<StatisticsFile> stats_;
    std::shared_ptr<const Network> network_;  ///< in force; never null after the constructor
    std::optional<Account> import_;  ///< the configuration whose objects are to be imported
    std::unique_ptr<Store> store_;

    // While starting_ runs, that thread uses queue_, api_ and http_, and the main thread does not;
    // but http_->wake() may be called by any thread at any time.
    RequestQueue queue_;
    Health health_;
    Watch watch_{health_, log_};
    std::optional<std::string> device_trouble_;  ///< what the last look at the device found
    bool told_of_input_ = false;                 ///< health was told that damage ended the capture
    std::optional<DriverDevice> tables_;         ///< device_ as requests_ sees it
    std::optional<Requests> requests_;           ///< made once the device is open
    std::optional<Api> api_;
    std::optional<HttpServer> http_;
    std::unique_ptr<ServedDevice> served_;  ///< ends before http_: its thread calls wake()
    MirrorDevice* device_ = nullptr;        ///< of served_; null: not open, or gone
    std::optional<MirrorDevice::CounterReading> reading_;  ///< of /stats; ends before its device
    std::atomic<bool> more_{true};         ///< a frame may be ready; set by any thread
    std::thread starting_;                 ///< answers until the device is open
    std::atomic<bool> started_{false};     ///< tells that thread to end
    std::exception_ptr starting_failure_;  ///< what ended that thread; read after join()
    NetworkReload reload_;                 ///< ends first: its thread calls http_->wake()
};

Server::Server(const ServeOptions& options)
    : options_(options),
      log_file_(options.log_json),
      log_([this](LogLevel level, const std::string& message, const LogFields& fields) {
          log_file_.write(level, message, fields);
      }),
      state_(options.state ? StoreLocation::parse(*options.state)
                           : StoreLocation{"sqlite", default_state().string()}),
      reload_(
          {options.configurations, options.credentials, options.skip_unresolved, options.import},
          queue_, [this] { http_->wake(); }) {
    const std::vector<NamedFile> files = files_of(options, state_);
    check_files_apart(files);
    ready_to_standard_output_ = !writes_standard_output(files);
    const Configuration configuration = reload_.read_first();
    for (const std::string& warning : configuration.warnings) log_(LogLevel::warning, warning, {});
    network_ = configuration.account.network();
    const auto object = first_object(configuration.account);
    if (object && !options.import)
        throw ConfigurationError("the configuration has " + *object +
                                 ", which --import would load into " + state_.place +
                                 "; without it give interfaces and VPCs alone");
    std::shared_ptr<const Credentials> credentials;
    if (options.credentials)
        credentials = std::make_shared<const Credentials>(Credentials::read(*options.credentials));

    store_ = open_store(state_, StoreAccess::read_write,
                        StoreOwner{options.settings.account_id, options.region});
    if (options.import && may_import()) import_ = configuration.account;
    if (options.stats) stats_.emplace(*options.stats);

    char map_hash[9];
    std::snprintf(map_hash, sizeof map_hash, "%08x", built_for_map_hash());
    Api::Options api;
    api.region = options.region;
    api.credentials = credentials;
    api.statistics = [this](bool begin) { return read_statistics(begin); };
    api.connections = [this] { return http_->connections(); };
    api.displaced = [this] { return http_->displaced(); };
    api.version = MIRRORNIC_VERSION;
    api.map_hash = map_hash;
    if (!options.http.further.empty())
        api.admin_address = IpAddress::parse(options.http.further.front().address);
    api.admin_hosts = options.admin_hosts;
    api.health = &health_;
    api.log = log_;
    api_.emplace(queue_, std::move(api));
    http_.emplace(
        options.http,
        [this](HttpRequest request, const HttpPeer& peer, HttpServer::Respond respond) {
            api_->handle(std::move(request), peer, std::move(respond));
        },
        [this](const HttpPeer& peer, const std::string& why, HttpReply& reply) {
            api_->refused(peer, why, reply);
        });
}

/// @throws StoreError when there are objects that were not imported.
bool Server::may_import() {
    if (const auto when = store_->note("imported")) {
        log_(LogLevel::info, "the configuration's objects were imported before", {{"at", *when}});
        return false;
    }
    if (const auto object = first_object(store_->load()))
        throw StoreError(state_.place + " has " + *object +
                         "; --import is for a state file without sessions, filters and targets");
    return true;
}

void Server::import(const Account& configured) {
    try {
        check_account(configured);
    } catch (const std::invalid_argument& error) {
        throw ConfigurationError(std::string("cannot be imported: ") + error.what());
    }
    tables_->stage(table_state(configured), nullptr);  // all that the device can hold, or nothing
    std::map<Sequence, Object> in_order;
    const auto take = [&](const auto& objects) {
        for (const auto& [sequence, each] : objects) in_order.emplace(sequence, each);
    };
    take(configured.targets());
    take(configured.filters());
    take(configured.rules());
    take(configured.sessions());
    Change change;
    for (const auto& [sequence, each] : in_order) change.put.push_back(each);
    store_->commit(change, "imported", std::to_string(std::time(nullptr)));
    log_(LogLevel::info, "imported", {{"objects", change.put.size()}});
}

/// Once a second: looks at the device, tries again what has failed, and says what has changed.
void Server::tick() {
    try {
        look_at_device();
        device_trouble_.reset();
    } catch (const DeviceGone& error) {
        device_trouble_ = error.what();
        if (served_->may_come_back()) {
            tables_->use(nullptr);
            device_ = nullptr;
        }
    } catch (const std::exception& error) {
        device_trouble_ = error.what();
    }
    requests_->tend();
    reload_.tend();
    if (const auto outputs = served_->outputs()) watch_.outputs(*outputs);
    log_file_.tick();
    more_ = true;  // an output may be in trouble by now, and is then not waited for any more
    watch_.connections(*http_);
    tell_health();
}

void Server::look_at_device() {
    if (device_) {
        served_->look();
        // A flipped bit is found by a frame that meets it; the driver writes the entry again (T4).
        if (const auto done = device_->repair()) log_(LogLevel::warning, *done, {});
        return;
    }
    // V2: a device that was gone is opened again as soon as it is back. It is then brought to the
    // account's state.
    reading_.reset();
    device_ = &served_->open();
    tables_->use(device_);
    requests_->device_is_new();
}

void Server::tell_health() {
    watch_.cause(Health::Cause::device,
                 device_trouble_ ? device_trouble_ : requests_->device_trouble());
    watch_.cause(Health::Cause::store, requests_->store_trouble());
    watch_.cause(Health::Cause::log, log_file_.trouble());
    std::optional<std::string> output = served_->input_trouble();
    for (const OutputState& state : served_->outputs().value_or(std::vector<OutputState>()))
        if (state.trouble && !output) output = state.trouble;
    watch_.cause(Health::Cause::output, output);
}

/// Starts a thread that answers while the device is being opened: /health with its state, all other
/// requests with Unavailable. Until end_starting() only that thread uses http_, api_ and queue_.
void Server::answer_starting() {
    LogFields urls{{"url", http_->url()}};
    if (!options_.http.further.empty()) urls.emplace_back("admin", http_->url(1));
    log_(LogLevel::info, "starting", urls);
    starting_ = std::thread([this] {
        try {
            while (!started_ && !http_->stopped()) http_->wait();
        } catch (...) {
            starting_failure_ = std::current_exception();
        }
    });
}

void Server::end_starting() {
    if (!starting_.joinable()) return;
    started_ = true;
    http_->wake();
    starting_.join();
}

void Server::open() {
    device_ = &served_->open();
    tables_.emplace(*device_);
    if (import_) import(*import_);
    import_.reset();
    Account account = store_->load();
    account.take_network(network_);
    Settings settings = options_.settings;
    std::random_device random;
    settings.seed = std::uint64_t{random()} << 32 | random();  // no id of a former run comes again
    requests_.emplace(std::move(account), *store_, *tables_, std::move(settings));
    warn_of_sessions(*requests_);
    end_starting();
    if (starting_failure_) std::rethrow_exception(starting_failure_);
    tell_health();
    health_.open();
    // tick() runs as a job of the queue. Before these, frames that have entered are settled: tick()
    // may change the tables, and with them which interface has which index.
    http_->every(std::chrono::seconds(1), [this] { queue_.post([this](Requests&) { tick(); }); });
    print_ready();
}

void Server::warn_of_sessions(const Requests& requests) {
    for (const auto& [session, why] : requests.disabled())
        log_(LogLevel::warning, "a session is disabled", {{"session", session}, {"why", why}});
}

/// Reads a portion of the counters. Nothing: there is more to read. After the last portion: all.
std::optional<Json> Server::read_statistics(bool begin) {
    if (!device_) throw DeviceGone("the device is gone; it is used again when it is back");
    if (begin) reading_.emplace(*device_);
    if (!reading_) throw DeviceGone("the device was opened again while its counters were read");
    if (!reading_->advance(sessions_a_portion)) return {};
    std::vector<std::string> order;
    for (const auto& [sequence, session] : requests_->account().sessions()) {
        (void)sequence;
        order.push_back(session.id);
    }
    OrderedJson statistics = statistics_of(reading_->counters, order);
    reading_.reset();
    if (const auto outputs = served_->outputs()) statistics["outputs"] = statistics_of(*outputs);
    return Json(statistics);
}

void Server::print_ready() {
    const std::string url = http_->url();
    OrderedJson ready = {{"Status", "ready"}, {"Url", url}};
    if (!options_.http.further.empty()) ready["Admin"] = http_->url(1);
    ready["Region"] = options_.region;
    ready["Account"] = options_.settings.account_id;
    ready["State"] = state_.place;
    ready["Device"] = options_.device;
    ready["Pid"] = ::getpid();
    std::string text = ready.dump() + "\n";
    if (isatty(ready_to_standard_output_ ? STDOUT_FILENO : STDERR_FILENO))
        text +=
            std::string(options_.credentials ? ""
                                             : "AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any ") +
            "aws --region " + options_.region + " --endpoint-url " + url +
            " ec2 describe-traffic-mirror-sessions\n";
    if (!ready_to_standard_output_) return log_file_.write_raw(text);
    if (write_standard_output(text)) return;
    late_ready_.emplace(OutputFile::live("-", 1));
    std::memcpy(late_ready_->append(text.size()), text.data(), text.size());
    late_ready_->flush();
}

/// Puts the configuration and credentials in force that were read again, if reading has ended.
void Server::take_reading() {
    auto reading = reload_.take();
    if (!reading) return;
    std::shared_ptr<const Network> unused = reading->network;
    try {
        if (!reading->network) throw std::runtime_error(reading->failure);
        api_->set_credentials(reading->credentials);
        served_->settle();
        for (const std::string& id : requests_->replace_network(reading->network))
            log_(LogLevel::warning, "a session was deleted: its source is gone", {{"session", id}});
        served_->take_network(reading->network);
        unused = std::exchange(network_, reading->network);
        queue_.begin_generation();
        warn_of_sessions(*requests_);
        log_(LogLevel::info, "configuration reloaded",
             {{"interfaces", network_->interfaces().size()}});
    } catch (const std::exception& error) {
        log_(LogLevel::error, "the configuration was not taken; the former one holds",
             {{"why", error.what()}});
    }
    reading.reset();
    reload_.taken(std::move(unused));
}

/// The service's loop, called from ServedDevice::run: moves frames on, and performs requests
/// between.
void Server::work() {
    open();
    for (unsigned turn = 0; !http_->stopped(); ++turn) {
        // While counters or listings are in the queue in portions, new requests are let in between.
        if (turn % frames_between_polls == 0 || !queue_.empty()) http_->poll();
        if (turn % frames_between_polls == 0) queue_.go_on();
        take_reading();
        if (!queue_.empty()) {
            if (queue_.has_changes()) served_->settle();
            queue_.perform(*requests_);
            tell_health();
        }
        const bool goes_on = served_->advance(more_.exchange(false), [this] {
            more_ = true;
            http_->wake();
        });
        if (!told_of_input_ && served_->input_trouble()) {
            told_of_input_ = true;
            tell_health();
        }
        if (goes_on) more_ = true;
        if (more_ || http_->stopped()) continue;
        if (queue_.empty()) {
            http_->wait();
        } else {
            http_->poll();
            queue_.go_on();
        }
    }
    served_->finish();
}

/// Ends the device's outputs first, so that the statistics say all that the outputs have lost.
void Server::close_device() {
    served_->close();
    const auto outputs = served_->outputs();
    if (!outputs) return;
    for (const OutputState& state : *outputs)
        if (state.lost != 0)
            log_(LogLevel::warning, "an output is not whole",
                 {{"output", state.output}, {"file", state.file}, {"lost", state.lost}});
    if (!stats_) return;
    auto statistics = served_->statistics().value_or(OrderedJson());
    statistics["outputs"] = statistics_of(*outputs);
    stats_->write(statistics);
}

int Server::run() {
    http_->watch({SIGTERM, SIGINT, SIGHUP}, [this](int number) {
        if (number == SIGHUP) return reload_.ask();
        log_(LogLevel::info, "stopping", {});
        http_->stop();
    });
    unblock(SIGHUP);
    std::exception_ptr failure;
    answer_starting();
    try {
        served_ = options_.make_device(network_, log_);
        served_->run([this] { work(); });
        close_device();
    } catch (...) {
        failure = std::current_exception();
    }
    reload_.stop();
    end_starting();
    if (!failure) failure = starting_failure_;
    queue_.end();
    http_->stop();
    while (!http_->stopped()) http_->wait();
    if (requests_ && !failure) store_->look(requests_->account());
    if (failure) std::rethrow_exception(failure);
    log_(LogLevel::info, "stopped", {});
    return 0;
}

}  // namespace

int serve(const ServeOptions& options) {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < least_descriptors)
        throw std::runtime_error("serve needs at least " + std::to_string(least_descriptors) +
                                 " descriptors, and `ulimit -n` allows " +
                                 std::to_string(limit.rlim_cur));
    return Server(options).run();
}

}  // namespace mirrornic
