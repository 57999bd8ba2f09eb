// SPDX-License-Identifier: Apache-2.0
#include "host/command/serve.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <future>
#include <iostream>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include "driver/access/mapped_registers.hpp"
#include "host/account/driver_device.hpp"
#include "host/api/ec2_server.hpp"
#include "host/api/log.hpp"
#include "host/base/named_files.hpp"
#include "host/base/standard_output.hpp"
#include "host/base/worker.hpp"
#include "host/configuration/configuration.hpp"
#include "host/ec2/account_check.hpp"
#include "host/store/sqlite_store.hpp"
#include "sim/models/register_file.hpp"

namespace mirrornic {
namespace {

namespace fs = std::filesystem;

constexpr unsigned frames_between_polls = 64;   // so many frames a request may wait for its turn
constexpr rlim_t least_descriptors = 24;        // for its own files, and a connection
constexpr off_t statistics_room = 256 << 10;    // bytes on the disk, from the start on
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

std::vector<NamedFile> files_of(const ServeOptions& options, const fs::path& state) {
    using Use = NamedFile::Use;
    std::vector<NamedFile> files;
    for (const std::string& name : options.configurations)
        files.push_back({"--config", name, Use::input});
    add_file(files, "--credentials", options.credentials, Use::input);
    add_file(files, "--tls-cert", options.http.certificate, Use::input);
    add_file(files, "--tls-key", options.http.key, Use::input);
    add_file(files, "--options", options.options_file, Use::input);
    add_files(files, options.traffic);
    add_file(files, "--stats", options.stats, Use::output_stream);
    if (options.device.compare(0, 5, "file:") == 0)
        files.push_back({"--device", options.device.substr(5), Use::output});
    files.push_back({"--state", state.string(), Use::database});
    return files;
}

/// The file behind "pci:LOCATION" or "file:PATH".
std::string registers_path(const std::string& device) {
    if (device.compare(0, 4, "pci:") == 0) return PciLocation::parse(device.substr(4)).file();
    return device.substr(5);
}

void unblock(int signal) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, signal);
    pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

using FileIdentity = std::pair<dev_t, ino_t>;

/// Nothing: there is no such file.
std::optional<FileIdentity> identity_of(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return {};
    return FileIdentity{status.st_dev, status.st_ino};
}

class Server {
public:
    explicit Server(const ServeOptions& options);
    int run();

private:
    void answer_starting();
    void end_starting();
    void open(MirrorDevice& device);
    void simulate();
    std::unique_ptr<RegisterAccess> open_registers();
    bool may_import();
    void import(const Account& configured);
    void reload();
    void take_reading();
    void dispose();
    void tick();
    void look_at_device();
    void reopen();
    void tell_health();
    void watch_connections();
    void warn_of_sessions(const Requests& requests);
    std::optional<Json> read_statistics(bool begin);
    void print_ready();
    void watch_outputs();
    void close_outputs();
    void open_statistics();
    void write_statistics();

    const ServeOptions& options_;
    LogFile log_file_;  ///< ends last
    const Log log_;
    fs::path state_;
    bool ready_to_standard_output_ = true;
    std::optional<OutputFile> late_ready_;  ///< a ready line that waits for its reader
    std::optional<LineWriter> stats_;
    OrderedJson last_statistics_;       ///< when the capture had ended and all copies had left
    std::set<std::string> in_trouble_;  ///< outputs of which it was said
    std::shared_ptr<const Network> network_;
    std::vector<std::shared_ptr<const Network>> retired_;  ///< former ones, that listings may read
    std::optional<Account> import_;  ///< the configuration whose objects are to be imported
    std::optional<SqliteStore> store_;

    RequestQueue queue_;
    std::atomic<bool> more_{true};  ///< the capture may have a frame
    std::unique_ptr<RegisterAccess> registers_;
    std::optional<MirrorDevice> mapped_device_;
    MirrorDevice* device_ = nullptr;                       ///< while it is open
    std::optional<MirrorDevice::CounterReading> reading_;  ///< ends before its device
    Health health_;
    std::optional<std::string> device_seen_;          ///< its trouble, as the last look at it found
    std::optional<FileIdentity> registers_identity_;  ///< of a mapped device's file
    bool lacks_descriptors_ = false;                  ///< as it was said
    std::optional<std::string> input_trouble_;        ///< what ended the capture, if it was damage
    std::optional<DriverDevice> plane_;
    std::optional<Requests> requests_;
    std::optional<Api> api_;
    std::optional<HttpServer> http_;
    std::optional<Traffic> traffic_;  ///< ends before http_, which its reading thread wakes
    /// What was read by reload().
    struct Reading {
        std::shared_ptr<const Credentials> credentials;
        std::shared_ptr<const Network> network;  ///< null: it failed
        std::string failure;
    };
    bool reloading_ = false, again_ = false;  ///< it is being read; it is to be read
    std::optional<std::chrono::steady_clock::time_point> wait_until_;  ///< for older listings
    std::mutex read_mutex_;
    std::optional<Reading> read_;  ///< under the mutex
    std::thread starting_;         ///< answers until the device is open; then the main thread does
    std::atomic<bool> started_{false};
    std::atomic<bool> stop_reading_{false};
    Worker worker_;  ///< ends first: what it does uses the others
};

Server::Server(const ServeOptions& options)
    : options_(options),
      log_file_(options.log_json),
      log_([this](LogLevel level, const std::string& message, const LogFields& fields) {
          log_file_.write(level, message, fields);
      }),
      state_(options.state ? fs::path(*options.state) : default_state()) {
    const std::vector<NamedFile> files = files_of(options, state_);
    check_files_apart(files);
    ready_to_standard_output_ = !writes_standard_output(files);
    // In the thread that reads the later ones, which then find the room that former ones have left.
    const auto read = std::make_shared<std::packaged_task<Configuration()>>(
        [&options] { return read_configuration(options.configurations, options.skip_unresolved); });
    worker_.post([read] { (*read)(); });
    const Configuration configuration = read->get_future().get();
    for (const std::string& warning : configuration.warnings) log_(LogLevel::warning, warning, {});
    network_ = configuration.account.network();
    const auto object = first_object(configuration.account);
    if (object && !options.import)
        throw ConfigurationError("the configuration has " + *object +
                                 ", which --import would load into " + state_.string() +
                                 "; without it give interfaces and VPCs alone");
    std::shared_ptr<const Credentials> credentials;
    if (options.credentials)
        credentials = std::make_shared<const Credentials>(Credentials::read(*options.credentials));

    store_.emplace(state_, SqliteStore::Access::read_write,
                   SqliteStore::Owner{options.settings.account_id, options.region});
    if (options.import && may_import()) import_ = configuration.account;
    open_statistics();

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
        throw StoreError(state_.string() + " has " + *object +
                         "; --import is for a state file without sessions, filters and targets");
    return true;
}

void Server::import(const Account& configured) {
    try {
        check_account(configured);
    } catch (const std::invalid_argument& error) {
        throw ConfigurationError(std::string("cannot be imported: ") + error.what());
    }
    plane_->stage(table_state(configured), nullptr);  // all that the device can hold, or nothing
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
        device_ ? look_at_device() : reopen();
        device_seen_.reset();
    } catch (const DeviceGone& error) {
        device_seen_ = error.what();
        // A simulation that fails ends the service; what is mapped may come back.
        if (mapped_device_) {
            plane_->use(nullptr);
            device_ = nullptr;
        }
    } catch (const std::exception& error) {
        device_seen_ = error.what();
    }
    requests_->tend();
    dispose();
    if (again_) reload();
    watch_outputs();
    watch_connections();
    tell_health();
}

/// A flipped bit is found by a frame that meets it; the driver writes the entry again (T4).
void Server::look_at_device() {
    if (registers_identity_ && registers_identity_ != identity_of(registers_path(options_.device)))
        throw DeviceGone("the registers " + registers_path(options_.device) +
                         " are gone, or others are in their place");
    if (const auto done = device_->repair()) log_(LogLevel::warning, *done, {});
}

/// A device that was gone is opened again when it is back, and brought to the account's state.
void Server::reopen() {
    plane_->use(nullptr);
    reading_.reset();
    mapped_device_.reset();
    registers_.reset();
    registers_ = open_registers();
    mapped_device_.emplace(*registers_);
    device_ = &*mapped_device_;
    plane_->use(device_);
    requests_->device_is_new();
}

/// Says once when descriptors run out and once when they are enough again. Called each second.
void Server::watch_connections() {
    if (lacks_descriptors_ == http_->lacks_descriptors()) return;
    lacks_descriptors_ = !lacks_descriptors_;
    if (lacks_descriptors_)
        log_(LogLevel::warning,
             "descriptors run out: idle connections are closed for new ones; a higher "
             "`ulimit -n` ends that",
             {{"connections", http_->connections()}});
    else
        log_(LogLevel::info, "there are enough descriptors again", {});
}

void Server::tell_health() {
    const auto tell = [this](Health::Cause cause, const std::optional<std::string>& trouble) {
        const bool before = health_.trouble(cause).has_value();
        health_.tell(cause, trouble);
        if (before == trouble.has_value()) return;
        if (trouble)
            log_(LogLevel::error, "degraded", {{"cause", Health::name(cause)}, {"why", *trouble}});
        else
            log_(LogLevel::info, "a cause is over", {{"cause", Health::name(cause)}});
    };
    tell(Health::Cause::device, device_seen_ ? device_seen_ : requests_->device_trouble());
    tell(Health::Cause::store, requests_->store_trouble());
    tell(Health::Cause::log, log_file_.trouble());
    std::optional<std::string> output = input_trouble_;
    if (traffic_)
        for (const OutputState& state : traffic_->outputs())
            if (state.trouble && !output) output = state.trouble;
    tell(Health::Cause::output, output);
}

/// While the device is being opened: /health, and Unavailable to the others. Until end_starting()
/// nobody else touches http_, api_ and queue_.
void Server::answer_starting() {
    LogFields urls{{"url", http_->url()}};
    if (!options_.http.further.empty()) urls.emplace_back("admin", http_->url(1));
    log_(LogLevel::info, "starting", urls);
    starting_ = std::thread([this] {
        while (!started_ && !http_->stopped()) http_->wait();
    });
}

void Server::end_starting() {
    if (!starting_.joinable()) return;
    started_ = true;
    http_->wake();
    starting_.join();
}

void Server::open(MirrorDevice& device) {
    device_ = &device;
    plane_.emplace(device);
    if (import_) import(*import_);
    import_.reset();
    Account account = store_->load();
    account.take_network(network_);
    Settings settings = options_.settings;
    std::random_device random;
    settings.seed = std::uint64_t{random()} << 32 | random();  // ids of former runs stay unique
    requests_.emplace(std::move(account), *store_, *plane_, std::move(settings));
    warn_of_sessions(*requests_);
    end_starting();
    tell_health();
    health_.open();
    // In the queue, where no frame waits with an index that a repair may give away.
    http_->every(std::chrono::seconds(1), [this] { queue_.post([this](Requests&) { tick(); }); });
    print_ready();
}

std::unique_ptr<RegisterAccess> Server::open_registers() {
    const std::string& device = options_.device;
    std::unique_ptr<RegisterAccess> registers;
    if (device.compare(0, 4, "pci:") == 0)
        registers.reset(
            new MappedRegisters(MappedRegisters::pci(PciLocation::parse(device.substr(4)))));
    else
        registers = open_register_file(device.substr(5));
    registers_identity_ = identity_of(registers_path(device));
    return registers;
}

void Server::warn_of_sessions(const Requests& requests) {
    for (const auto& [session, why] : requests.disabled())
        log_(LogLevel::warning, "a session is disabled", {{"session", session}, {"why", why}});
}

/// A portion of the counters; after the last one all of them.
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
    if (traffic_) statistics["outputs"] = statistics_of(traffic_->outputs());
    return Json(statistics);
}

void Server::print_ready() {
    const std::string url = http_->url();
    OrderedJson ready = {{"Status", "ready"}, {"Url", url}};
    if (!options_.http.further.empty()) ready["Admin"] = http_->url(1);
    ready["Region"] = options_.region;
    ready["Account"] = options_.settings.account_id;
    ready["State"] = state_.string();
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

/// Says once when an output's trouble begins and once when it ends. Called each second.
void Server::watch_outputs() {
    log_file_.tick();
    if (!traffic_) return;
    more_ = true;  // an output may be no longer worth waiting for
    for (const OutputState& state : traffic_->outputs()) {
        if (state.trouble && in_trouble_.insert(state.output).second)
            log_(LogLevel::warning, "an output is in trouble",
                 {{"output", state.output}, {"file", state.file}, {"why", *state.trouble}});
        if (!state.trouble && in_trouble_.erase(state.output) != 0)
            log_(LogLevel::info, "an output is well again",
                 {{"output", state.output}, {"file", state.file}, {"lost", state.lost}});
    }
}

void Server::close_outputs() {
    traffic_->close();
    for (const OutputState& state : traffic_->outputs())
        if (state.lost != 0)
            log_(LogLevel::warning, "an output is not whole",
                 {{"output", state.output}, {"file", state.file}, {"lost", state.lost}});
}

/// With room for it, so that a disk that fills up later does no harm.
void Server::open_statistics() {
    if (!options_.stats) return;
    stats_.emplace(options_.stats, nullptr, true);
    if (*options_.stats == "-") return;
    const int file = ::open(options_.stats->c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    const bool full = file >= 0 &&
                      ::fallocate(file, FALLOC_FL_KEEP_SIZE, 0, statistics_room) != 0 &&
                      errno == ENOSPC;
    if (file >= 0) ::close(file);
    if (full) throw CaptureError(*options_.stats, std::strerror(ENOSPC));
}

/// After the outputs are closed, which may lose records.
void Server::write_statistics() {
    if (!stats_) return;
    last_statistics_["outputs"] = statistics_of(traffic_->outputs());
    stats_->line(last_statistics_.dump(2));
    stats_->close();
    const OutputFile& file = *stats_->file();
    if (file.lost() != 0)
        throw CaptureError(file.name(),
                           file.trouble().value_or("it takes no more") + ": no statistics");
}

/// Reads configuration and credentials again, beside what is going on. Who asks meanwhile is
/// remembered.
void Server::reload() {
    again_ = true;
    if (reloading_) return;
    // At most two networks are held, the present one and the one that is read: listings of an
    // older one come to their end first, but for who does not read them.
    const auto now = std::chrono::steady_clock::now();
    if (queue_.has_older() && now < wait_until_.value_or(now + std::chrono::seconds(10))) {
        if (!wait_until_) wait_until_ = now + std::chrono::seconds(10);
        return;
    }
    wait_until_.reset();
    again_ = false;
    reloading_ = true;
    queue_.give_up_older();
    dispose();
    worker_.post([this] {
        Reading reading;
        try {
            if (options_.credentials)
                reading.credentials =
                    std::make_shared<const Credentials>(Credentials::read(*options_.credentials));
            const Configuration configuration = read_configuration(
                options_.configurations, options_.skip_unresolved, &stop_reading_);
            const auto object = first_object(configuration.account);
            if (object && !options_.import)
                throw ConfigurationError("the configuration has " + *object);
            reading.network = configuration.account.network();
        } catch (const std::exception& error) {
            reading.failure = error.what();
        }
        {
            const std::lock_guard lock(read_mutex_);
            read_ = std::move(reading);
        }
        http_->wake();
    });
}

/// Takes what reload() has read, once it is there.
void Server::take_reading() {
    std::optional<Reading> reading;
    {
        const std::lock_guard lock(read_mutex_);
        reading.swap(read_);
    }
    if (!reading) return;
    try {
        if (!reading->network) throw std::runtime_error(reading->failure);
        api_->set_credentials(reading->credentials);
        if (traffic_) traffic_->settle_indices();
        for (const std::string& id : requests_->replace_network(reading->network))
            log_(LogLevel::warning, "a session was deleted: its source is gone", {{"session", id}});
        if (traffic_) traffic_->take_network(reading->network);
        retired_.push_back(std::exchange(network_, reading->network));
        queue_.begin_generation();
        warn_of_sessions(*requests_);
        log_(LogLevel::info, "configuration reloaded",
             {{"interfaces", network_->interfaces().size()}});
    } catch (const std::exception& error) {
        log_(LogLevel::error, "the configuration was not taken; the former one holds",
             {{"why", error.what()}});
        if (reading->network) retired_.push_back(std::move(reading->network));
    }
    reloading_ = false;
    dispose();
    if (again_) reload();
}

/// A network that nobody reads any more goes in the worker: a large one takes a while.
void Server::dispose() {
    std::vector<std::shared_ptr<const Network>> gone;
    for (auto& network : retired_)
        if (network.use_count() == 1) gone.push_back(std::move(network));
    if (gone.empty()) return;
    retired_.erase(std::remove(retired_.begin(), retired_.end(), nullptr), retired_.end());
    worker_.post([gone = std::move(gone)]() mutable { gone.clear(); });
}

/// Within Board::run: frames, and requests between them.
void Server::simulate() {
    open(traffic_->open());
    auto& offload = traffic_->board().offload();
    bool settled = false, told = !options_.traffic.in;
    for (unsigned turn = 0; !http_->stopped(); ++turn) {
        // Counters that are being read are in the queue, and leave room for requests.
        if (turn % frames_between_polls == 0 || !queue_.empty()) http_->poll();
        if (turn % frames_between_polls == 0) queue_.go_on();
        take_reading();
        if (!queue_.empty()) {
            if (queue_.has_changes()) traffic_->settle_indices();
            queue_.perform(*requests_);
            tell_health();
        }
        if (offload.failure()) std::rethrow_exception(offload.failure());
        if (more_.exchange(false)) {
            const Traffic::Frame* frame = nullptr;
            try {
                frame = traffic_->poll([this] {
                    more_ = true;
                    http_->wake();
                });
            } catch (const CaptureError& error) {
                // The traffic ends here; the control plane goes on.
                traffic_->end_capture();
                input_trouble_ = error.what();
                tell_health();
            }
            if (frame) {
                traffic_->feed(*frame);
                more_ = true;
                settled = false;
                continue;
            }
        }
        if (!settled) {
            offload.wait_until_idle();
            traffic_->flush();
            settled = true;
        }
        if (!told && traffic_->ended()) {
            told = true;
            for (const auto& sentence : traffic_->warnings()) log_(LogLevel::warning, sentence, {});
            log_(LogLevel::info, "the capture has ended", {{"frames", traffic_->frames()}});
        }
        if (more_ || http_->stopped()) continue;
        if (queue_.empty()) {
            http_->wait();
        } else {
            http_->poll();
            queue_.go_on();
        }
    }
    offload.wait_until_idle();
    if (stats_) last_statistics_ = traffic_->statistics();
}

int Server::run() {
    http_->watch({SIGTERM, SIGINT, SIGHUP}, [this](int number) {
        if (number == SIGHUP) return reload();
        log_(LogLevel::info, "stopping", {});
        http_->stop();
    });
    unblock(SIGHUP);
    std::exception_ptr failure;
    answer_starting();
    try {
        if (options_.device == "sim") {
            traffic_.emplace(options_.traffic, network_);
            traffic_->board().run([this] { simulate(); });
            close_outputs();
            write_statistics();
        } else {
            registers_ = open_registers();
            mapped_device_.emplace(*registers_);
            open(*mapped_device_);
            while (!http_->stopped()) {
                queue_.empty() ? http_->wait() : http_->poll();
                take_reading();
                queue_.perform(*requests_);
                tell_health();
                queue_.go_on();
            }
        }
    } catch (...) {
        failure = std::current_exception();
    }
    stop_reading_ = true;
    end_starting();
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
