// SPDX-License-Identifier: Apache-2.0
// The state file: what comes back, whose it is, and what is left of it when the disk is full or the
// power goes.
#include "host/store/sqlite_store.hpp"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <new>
#include <random>
#include <set>
#include <sstream>

#include "catch.hpp"
#include "folder.hpp"
#include "host/base/json_text.hpp"

using namespace mirrornic;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
namespace fs = std::filesystem;

namespace {

const SqliteStore::Owner owner{"111122223333", "eu-central-1"};

using test::Folder;

SqliteStore open(const fs::path& file) { return {file, SqliteStore::Access::read_write, owner}; }

template <class Error>
std::string error_of(const std::function<void()>& action) {
    try {
        action();
    } catch (const Error& error) {
        return error.what();
    }
    return "nothing was thrown";
}

std::string bytes_of(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

void put_bytes(const fs::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
}

// --- An account as text, every member
// --------------------------------------------------------------

struct Text {
    std::ostringstream out;
    void add(const std::string& text) {
        out << '"' << text.substr(0, 60) << '"';
        if (text.size() > 60) out << text.size() << '/' << std::hash<std::string>()(text);
        out << ' ';
    }
    void add(std::uint64_t number) { out << number << ' '; }
    void add(const std::optional<PortRange>& range) {
        range ? out << range->from << '-' << range->to << ' ' : out << "none ";
    }
    template <class T>
    void add(const std::optional<T>& value) {
        value ? add(*value) : void(out << "none ");
    }
    void add(const Tags& tags) {
        for (const auto& [key, value] : tags) add(key + "=" + value);
    }
    template <class... Members>
    void line(const char* kind, const Members&... members) {
        out << kind << ' ';
        (add(members), ...);
        out << '\n';
    }
};

std::string text_of(const Account& account) {
    Text text;
    for (const auto& [sequence, t] : account.targets())
        text.line("target", sequence, t.id, t.sequence, std::uint64_t(t.type), t.address,
                  t.description, t.owner_id, t.tags);
    for (const auto& [sequence, f] : account.filters())
        text.line("filter", sequence, f.id, f.sequence, std::uint64_t(f.amazon_dns), f.description,
                  f.tags);
    for (const auto& [sequence, r] : account.rules())
        text.line("rule", sequence, r.id, r.sequence, r.filter_id, std::uint64_t(r.direction),
                  std::uint64_t(r.number), std::uint64_t(r.accept), r.protocol, r.source_ports,
                  r.destination_ports, r.source.to_string(), r.destination.to_string(),
                  r.description, r.tags);
    for (const auto& [sequence, s] : account.sessions())
        text.line("session", sequence, s.id, s.sequence, s.interface_id, s.target_id, s.filter_id,
                  s.owner_id, std::uint64_t(s.number), std::uint64_t(s.vni), s.packet_length,
                  s.description, s.tags);
    for (const auto& [key, t] : account.tokens())
        text.line("token", key.first, key.second, t.action, t.token, t.parameters, t.reply,
                  std::uint64_t(t.time.time_since_epoch().count()));
    return text.out.str();
}

// --- Random changes
// --------------------------------------------------------------------------------

class Load {
public:
    explicit Load(std::uint32_t seed) : random_(seed) {}

    /// Some changes, which were applied to `account` too.
    std::vector<Change> next(Account& account) {
        std::vector<Change> changes(1 + below(3));
        for (Change& change : changes) {
            std::set<std::string> ids;  // each is erased or put once
            if (const auto object = any(account); object && !used(account, *object) && below(2)) {
                erase(change, *object);
                ids.insert(change.erased.front().id);
            }
            // Each change stands for a request or a few: what it leaves is what requests can make.
            Account so_far = account;
            Change erased;
            erased.erased = change.erased;
            so_far.apply(erased);
            for (unsigned n = 1 + below(3); n > 0; --n) {
                const auto put = object(so_far);
                if (!put ||
                    !ids.insert(std::visit([](const auto& each) { return each.id; }, *put)).second)
                    continue;
                change.put.push_back(*put);
                Change one;
                one.put.push_back(*put);
                so_far.apply(one);
            }
            if (below(3) == 0 && !account.tokens().empty()) {
                auto at = account.tokens().begin();
                std::advance(at, below(unsigned(account.tokens().size())));
                change.tokens_erased.push_back(at->first);
            }
            if (below(2)) {
                const std::pair<std::string, std::string> key{
                    below(2) ? "CreateTrafficMirrorSession" : "CreateTrafficMirrorFilter",
                    "token-" + std::to_string(below(50))};
                change.tokens_erased.push_back(key);
                change.tokens_put.push_back(
                    {key.first, key.second, Json(long_words()).dump(),
                     Json{{"Reply", long_words()}}.dump(),
                     std::chrono::system_clock::time_point(std::chrono::seconds(random_()))});
            }
            account.apply(change);
        }
        return changes;
    }

private:
    unsigned below(unsigned n) { return random_() % n; }
    std::string words() {
        static const char* const all[] = {"",           "a",
                                          "\"quoted\"", "ü€𝄞",
                                          "a\nb",       "'; DROP TABLE objects",
                                          "\\",         "a longer text that says something"};
        std::string text = all[below(std::size(all))];
        if (below(8) == 0) text += std::string(below(200), 'x');
        return text;
    }
    /// Some take several pages.
    std::string long_words() { return words() + std::string(below(4) ? 0 : below(6000), 'x'); }
    template <class T>
    std::string some(const Ordered<T>& objects) {
        auto at = objects.begin();
        std::advance(at, below(unsigned(objects.size())));
        return at->second.id;
    }
    static bool used(const Account& account, const Object& object) {
        return std::visit(
            [&](const auto& each) {
                return !account.sessions_of_target(each.id).empty() ||
                       !account.sessions_of_filter(each.id).empty() ||
                       !account.rules_of_filter(each.id).empty();
            },
            object);
    }
    template <class T>
    void maybe(std::optional<T>& value, T some) {
        if (below(2)) value = std::move(some);
    }
    template <class T>
    void common(T& object, const Account& account, const char* prefix) {
        object.id = prefix + std::to_string(below(20));
        if (const auto before = account.object(object.id))
            object.sequence = std::visit([](const auto& each) { return each.sequence; }, *before);
        maybe(object.description, words());
        for (unsigned n = below(3); n > 0; --n)
            object.tags[below(2) ? "key" : "ü€𝄞 " + std::to_string(below(9))] = words();
    }
    Cidr cidr(bool v6) {
        return Cidr::parse(v6 ? "2001:db8:" + std::to_string(below(10)) + "::/48"
                              : "10." + std::to_string(below(256)) + ".0.0/16");
    }
    PortRange ports() { return {std::uint16_t(below(100)), std::uint16_t(100 + below(65436))}; }

    /// Nothing: what it needs is not there.
    std::optional<Object> object(const Account& account) {
        switch (below(4)) {
            case 0: {
                TrafficMirrorTarget target;
                common(target, account, "tmt-");
                target.type = TargetType(below(3));
                target.address = target.type == TargetType::network_interface ? "eni-7"
                                 : target.type == TargetType::network_load_balancer
                                     ? "arn:aws:elasticloadbalancing:us-east-1:111122223333:"
                                       "loadbalancer/net/m/50dc6c495c0c9188"
                                     : "vpce-0123456789abcdef0";
                target.owner_id = below(2) ? "111122223333" : "";
                return target;
            }
            case 1: {
                TrafficMirrorFilter filter;
                common(filter, account, "tmf-");
                filter.amazon_dns = below(2);
                return filter;
            }
            case 2: {
                TrafficMirrorFilterRule rule;
                common(rule, account, "tmfr-");
                if (account.filters().size() == 0) return std::nullopt;
                rule.filter_id = some(account.filters());
                rule.direction = Direction(below(2));
                rule.number = std::uint16_t(1 + below(32766));
                rule.accept = below(2);
                maybe(rule.protocol, std::uint8_t(below(256)));
                if (below(2)) {
                    rule.protocol = below(2) ? 6 : 17;
                    maybe(rule.source_ports, ports());
                    maybe(rule.destination_ports, ports());
                }
                const bool v6 = below(2);
                rule.source = cidr(v6);
                rule.destination = cidr(v6);
                return rule;
            }
            default: {
                TrafficMirrorSession session;
                common(session, account, "tms-");
                session.interface_id = "eni-" + std::to_string(below(9));
                if (account.filters().size() == 0 || account.targets().size() == 0)
                    return std::nullopt;
                session.target_id = some(account.targets());
                session.filter_id = some(account.filters());
                session.owner_id = below(2) ? "111122223333" : "";
                session.number = std::uint16_t(1 + below(32766));
                session.vni = below(1u << 24);
                maybe(session.packet_length, std::uint16_t(1 + below(8500)));
                return session;
            }
        }
    }
    std::optional<Object> any(const Account& account) {
        static const char* const prefixes[] = {"tmt-", "tmf-", "tmfr-", "tms-"};
        return account.object(prefixes[below(4)] + std::to_string(below(20)));
    }
    static void erase(Change& change, const Object& object) {
        std::visit(
            [&](const auto& each) {
                change.erased.push_back({Kind(object.index()), each.id, each.sequence});
            },
            object);
    }

    std::mt19937 random_;
};

// --- A disk that fills up, and that forgets at a power cut what was not synced
// -------------------------

/// Stands in front of SQLite's own file system as the default one, for as long as it lives.
class Disk {
public:
    struct Event {
        enum { write, truncate, sync, remove, mark } kind;
        std::string file;
        std::uint64_t offset = 0;  ///< of a write; the size of a truncation
        std::string data;
    };
    std::vector<Event> events;  ///< what was done to files that live on, in order
    bool recording = false;
    bool syncing = true;  ///< false: the host's disk is spared
    int room = -1;        ///< writes until the disk is full; negative: it is not
    int good_syncs = -1;  ///< syncs until one fails; negative: none does

    Disk() {
        unix_ = sqlite3_vfs_find(nullptr);
        vfs_ = *unix_;
        vfs_.zName = "test disk";
        vfs_.pAppData = this;
        vfs_.szOsFile = int(sizeof(File)) + unix_->szOsFile;
        vfs_.xOpen = open;
        vfs_.xDelete = remove;
        vfs_.xSleep = [](sqlite3_vfs*, int microseconds) { return microseconds; };
        methods_ = {
            3,
            close,
            read,
            write,
            truncate,
            sync,
            [](sqlite3_file* f, sqlite3_int64* size) {
                return real(f)->pMethods->xFileSize(real(f), size);
            },
            [](sqlite3_file* f, int level) { return real(f)->pMethods->xLock(real(f), level); },
            [](sqlite3_file* f, int level) { return real(f)->pMethods->xUnlock(real(f), level); },
            [](sqlite3_file* f, int* held) {
                return real(f)->pMethods->xCheckReservedLock(real(f), held);
            },
            [](sqlite3_file* f, int what, void* value) {
                return real(f)->pMethods->xFileControl(real(f), what, value);
            },
            [](sqlite3_file* f) { return real(f)->pMethods->xSectorSize(real(f)); },
            [](sqlite3_file* f) { return real(f)->pMethods->xDeviceCharacteristics(real(f)); },
            [](sqlite3_file* f, int page, int size, int extend, void volatile** at) {
                return real(f)->pMethods->xShmMap(real(f), page, size, extend, at);
            },
            [](sqlite3_file* f, int offset, int n, int flags) {
                return real(f)->pMethods->xShmLock(real(f), offset, n, flags);
            },
            [](sqlite3_file* f) { real(f)->pMethods->xShmBarrier(real(f)); },
            [](sqlite3_file* f, int removed) {
                return real(f)->pMethods->xShmUnmap(real(f), removed);
            },
            [](sqlite3_file* f, sqlite3_int64 at, int size, void** memory) {
                return real(f)->pMethods->xFetch(real(f), at, size, memory);
            },
            [](sqlite3_file* f, sqlite3_int64 at, void* memory) {
                return real(f)->pMethods->xUnfetch(real(f), at, memory);
            }};
        sqlite3_vfs_register(&vfs_, 1);
    }
    ~Disk() {
        sqlite3_vfs_unregister(&vfs_);
        sqlite3_vfs_register(unix_, 1);
    }
    Disk(const Disk&) = delete;

    void mark() { events.push_back({Event::mark, "", 0, ""}); }

private:
    struct File {
        sqlite3_file base;
        Disk* disk;
        std::string* name;  ///< null: temporary
    };
    static sqlite3_file* real(sqlite3_file* file) {
        return reinterpret_cast<sqlite3_file*>(reinterpret_cast<File*>(file) + 1);
    }
    /// Null when what is done to the file need not be kept.
    static Disk* recorder(sqlite3_file* file) {
        const auto* mine = reinterpret_cast<File*>(file);
        return mine->disk->recording && mine->name ? mine->disk : nullptr;
    }
    static const std::string& name(sqlite3_file* file) {
        return *reinterpret_cast<File*>(file)->name;
    }
    static int open(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* out) {
        auto* mine = reinterpret_cast<File*>(file);
        auto* disk = static_cast<Disk*>(vfs->pAppData);
        mine->base.pMethods = nullptr;
        const int code = disk->unix_->xOpen(disk->unix_, path, real(file), flags, out);
        if (code != SQLITE_OK) return code;
        mine->base.pMethods = &disk->methods_;
        mine->disk = disk;
        mine->name = path ? new std::string(fs::path(path).filename()) : nullptr;
        return code;
    }
    static int close(sqlite3_file* file) {
        delete reinterpret_cast<File*>(file)->name;
        return real(file)->pMethods->xClose(real(file));
    }
    static int remove(sqlite3_vfs* vfs, const char* path, int sync_directory) {
        auto* disk = static_cast<Disk*>(vfs->pAppData);
        if (disk->recording)
            disk->events.push_back({Event::remove, fs::path(path).filename(), 0, ""});
        return disk->unix_->xDelete(disk->unix_, path, sync_directory);
    }
    static int read(sqlite3_file* file, void* data, int size, sqlite3_int64 offset) {
        return real(file)->pMethods->xRead(real(file), data, size, offset);
    }
    static int write(sqlite3_file* file, const void* data, int size, sqlite3_int64 offset) {
        Disk& disk = *reinterpret_cast<File*>(file)->disk;
        const bool full = disk.room == 0;
        if (disk.room > 0) --disk.room;
        if (full) size /= 2;  // what still fits
        if (Disk* to = recorder(file))
            to->events.push_back({Event::write, name(file), std::uint64_t(offset),
                                  std::string(static_cast<const char*>(data), std::size_t(size))});
        const int code =
            size ? real(file)->pMethods->xWrite(real(file), data, size, offset) : SQLITE_OK;
        return full ? SQLITE_FULL : code;
    }
    static int truncate(sqlite3_file* file, sqlite3_int64 size) {
        if (Disk* to = recorder(file))
            to->events.push_back({Event::truncate, name(file), std::uint64_t(size), ""});
        return real(file)->pMethods->xTruncate(real(file), size);
    }
    static int sync(sqlite3_file* file, int flags) {
        Disk& disk = *reinterpret_cast<File*>(file)->disk;
        if (disk.good_syncs == 0) {
            disk.good_syncs = -1;
            return SQLITE_IOERR_FSYNC;
        }
        if (disk.good_syncs > 0) --disk.good_syncs;
        if (Disk* to = recorder(file)) to->events.push_back({Event::sync, name(file), 0, ""});
        return disk.syncing ? real(file)->pMethods->xSync(real(file), flags) : SQLITE_OK;
    }

    sqlite3_vfs* unix_;
    sqlite3_vfs vfs_{};
    sqlite3_io_methods methods_{};
};

/// What is on the platters, while events pass.
class Platters {
public:
    void take(const Disk::Event& event) {
        using Event = Disk::Event;
        if (event.kind == Event::mark) return;
        if (event.kind == Event::remove) {
            files_.erase(event.file);
            return;
        }
        File& file = files_[event.file];
        if (event.kind != Event::sync) {
            file.waiting.push_back(event);
            return;
        }
        for (const auto& each : file.waiting) apply(file.synced, each, 0, each.data.size());
        file.waiting.clear();
    }
    /// After a power cut. @param random null: nothing is left of what was not synced; else any part
    /// of it, by sectors of 512 bytes.
    void leave(const fs::path& folder, std::mt19937* random) const {
        fs::remove_all(folder);
        fs::create_directory(folder);
        for (const auto& [name, file] : files_) {
            std::string content = file.synced;
            if (random)
                for (const auto& each : file.waiting) {
                    if ((*random)() % 4 == 0) continue;
                    if (each.kind == Disk::Event::truncate) apply(content, each, 0, 0);
                    for (std::size_t at = 0; at < each.data.size();) {
                        const auto size = std::min<std::size_t>(512 - (each.offset + at) % 512,
                                                                each.data.size() - at);
                        if ((*random)() % 4) apply(content, each, at, size);
                        at += size;
                    }
                }
            put_bytes(folder / name, content);
        }
    }

private:
    struct File {
        std::string synced;
        std::vector<Disk::Event> waiting;
    };
    static void apply(std::string& content, const Disk::Event& event, std::size_t from,
                      std::size_t size) {
        if (event.kind == Disk::Event::truncate) {
            content.resize(event.offset);
            return;
        }
        const auto at = event.offset + from;
        if (content.size() < at + size) content.resize(at + size);
        content.replace(at, size, event.data, from, size);
    }
    std::map<std::string, File> files_;
};

}  // namespace

TEST_CASE("S8 every member of every object, tokens and notes come back from the state file") {
    const Folder folder;
    const auto file = folder / "state.sqlite";
    Account account;
    Load load(1);
    for (int i = 0; i < 60; ++i) {
        auto store = open(file);
        REQUIRE(text_of(store.load()) == text_of(account));
        store.commit(load.next(account));
        REQUIRE(text_of(store.load()) == text_of(account));
        CHECK(store.note("count") == (i ? std::optional(std::to_string(i)) : std::nullopt));
        store.commit(load.next(account).front(), "count", std::to_string(i + 1));
        account = store.load();
    }
    CHECK(account.targets().size() > 5);
    CHECK(account.filters().size() > 5);
    CHECK(account.rules().size() > 5);
    CHECK(account.sessions().size() > 5);
    CHECK(account.tokens().size() > 5);
}

TEST_CASE("S8 changes of one commit act in their order, and what takes them back does") {
    const Folder folder;
    auto store = open(folder / "state.sqlite");
    Account account;
    Load load(2);
    for (int i = 0; i < 40; ++i) {
        const auto before = text_of(account);
        Account changed = account;
        const auto changes = load.next(changed);
        std::vector<Change> inverses;
        changed = account;
        for (Change change : changes) inverses.insert(inverses.begin(), changed.apply(change));
        store.commit(changes);
        REQUIRE(text_of(store.load()) == text_of(changed));
        store.commit(inverses);
        REQUIRE(text_of(store.load()) == before);
        store.commit(inverses);  // also where they act on nothing
        REQUIRE(text_of(store.load()) == before);
        store.commit(changes);
        account = changed;
    }
}

TEST_CASE("the state file is its owner's alone, and says what it is") {
    const Folder folder;
    const auto file = folder / "state.sqlite";
    const auto mask = ::umask(0);
    {
        auto store = open(file);
        Account account;
        store.commit(Load(1).next(account));
        ::umask(mask);
        unsigned files = 0;
        for (const auto& entry : fs::directory_iterator(folder.path)) {
            ++files;
            INFO(entry.path());
            struct stat status {};
            REQUIRE(::stat(entry.path().c_str(), &status) == 0);
            CHECK((status.st_mode & 0777) == 0600);
        }
        CHECK(files >= 2);  // the file and its log
        CHECK(store.owner().account_id == owner.account_id);
        CHECK(store.owner().region == owner.region);
    }
    const auto bytes = bytes_of(file);
    CHECK(bytes.substr(0, 15) == "SQLite format 3");
    CHECK(bytes.substr(68, 4) == "mnic");
}

TEST_CASE("a state file of another account, region or schema is refused, and says what to do") {
    const Folder folder;
    const auto file = folder / "state.sqlite";
    { open(file); }
    const auto error = [&](const SqliteStore::Owner& wanted) {
        return error_of<StoreError>(
            [&] { SqliteStore(file, SqliteStore::Access::read_write, wanted); });
    };
    CHECK_THAT(error({"444455556666", owner.region}),
               StartsWith(file.string()) && Contains("111122223333") && Contains("444455556666") &&
                   Contains("--account 111122223333"));
    CHECK_THAT(error({owner.account_id, "us-west-2"}),
               StartsWith(file.string()) && Contains("--region eu-central-1"));
    CHECK(error(owner) == "nothing was thrown");
    sqlite3* database = nullptr;
    REQUIRE(sqlite3_open(file.c_str(), &database) == SQLITE_OK);
    REQUIRE(sqlite3_exec(database, "UPDATE meta SET value = '7' WHERE key = 'schema'", nullptr,
                         nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(database);
    CHECK_THAT(error(owner), Contains("schema version 7") && Contains("versions 1 to 2"));
}

TEST_CASE("a file that is no state file is refused and stays as it is") {
    const Folder folder;
    const auto error = [](const fs::path& file) {
        return error_of<StoreError>([&] { open(file); });
    };
    put_bytes(folder / "text", "This is a text and no database at all, and it is long enough. " +
                                   std::string(2000, '.'));
    auto bytes = bytes_of(folder / "text");
    CHECK_THAT(error(folder / "text"),
               StartsWith((folder / "text").string()) && Contains("not a database"));
    CHECK(bytes_of(folder / "text") == bytes);

    sqlite3* database = nullptr;
    REQUIRE(sqlite3_open((folder / "foreign").c_str(), &database) == SQLITE_OK);
    REQUIRE(sqlite3_exec(database, "CREATE TABLE objects (id); INSERT INTO objects VALUES (1)",
                         nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(database);
    bytes = bytes_of(folder / "foreign");
    CHECK_THAT(error(folder / "foreign"), Contains("not a state file of mirrornic"));
    CHECK(bytes_of(folder / "foreign") == bytes);

    CHECK_THAT(error(folder.path), StartsWith(folder.path.string()) && Contains("Is a directory"));
    CHECK_THAT(error(folder / "none/state.sqlite"), Contains("No such file or directory"));
}

TEST_CASE("a state file that may not be written is refused") {
    const Folder folder;
    const auto file = folder / "state.sqlite";
    { open(file); }
    fs::permissions(file, fs::perms::owner_read | fs::perms::group_read | fs::perms::others_read);
    fs::permissions(folder.path, fs::perms::owner_read | fs::perms::owner_exec |
                                     fs::perms::others_read | fs::perms::others_exec);
    const bool root = ::geteuid() == 0;  // whom no mode keeps from anything
    if (root) REQUIRE(::seteuid(65534) == 0);
    const auto error = error_of<StoreError>([&] { open(file); });
    const auto made = error_of<StoreError>([&] { open(folder / "other"); });
    if (root) REQUIRE(::seteuid(0) == 0);
    fs::permissions(folder.path, fs::perms::owner_all);
    CHECK_THAT(error, StartsWith(file.string()) && Contains("Permission denied"));
    CHECK_THAT(made, Contains("Permission denied"));
}

namespace {

std::size_t open_descriptors() {
    return std::size_t(std::distance(fs::directory_iterator("/proc/self/fd"), {}));
}

/// As long as it lives the process has so many descriptors at most.
class MostDescriptors {
public:
    explicit MostDescriptors(rlim_t most) {
        REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
        rlimit now = before_;
        now.rlim_cur = most;
        REQUIRE(::setrlimit(RLIMIT_NOFILE, &now) == 0);
    }
    ~MostDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
    MostDescriptors(const MostDescriptors&) = delete;

private:
    rlimit before_{};
};

}  // namespace

TEST_CASE("a state file is opened with all descriptors that it needs, or leaves none open") {
    const Folder folder;
    const auto file = folder / "state.db", damaged = folder / "damaged.db";
    { auto store = open(file); }
    const auto before = open_descriptors();
    std::size_t needed = 0;
    {
        auto store = open(file);
        needed = open_descriptors() - before;
    }
    CHECK(needed >= 4);  // the file, twice, its log and its index
    CHECK(open_descriptors() == before);
    put_bytes(damaged, std::string(4096, 'x'));
    CHECK(error_of<StoreError>([&] { open(damaged); }) != "nothing was thrown");
    CHECK(open_descriptors() == before);
    // The lowest free one is asked for, whatever the limit.
    const int free = ::dup(0);
    REQUIRE(free >= 0);
    ::close(free);
    std::size_t refused = 0;
    for (std::size_t more = 0; more < needed; ++more) {
        CAPTURE(more, needed);
        const MostDescriptors limit(rlim_t(free) + more);
        try {
            auto store = open(file);
        } catch (const std::runtime_error&) {
            ++refused;
        }
    }
    CHECK(refused == needed);
    CHECK(open_descriptors() == before);
    { auto store = open(file); }
}

TEST_CASE(
    "a state file is read where its folder may not be written, and the folder stays as it is") {
    const Folder folder;
    const auto place = folder / "a ?#%\xc3\xa4;&";
    fs::create_directory(place);
    const auto file = place / "state.db";
    { auto store = open(file); }
    // Of SQLite, which may end without its files, or leave an empty log.
    const bool empty_log = GENERATE(false, true);
    fs::remove(file.string() + "-wal");
    fs::remove(file.string() + "-shm");
    if (empty_log) put_bytes(file.string() + "-wal", "");
    const auto names = [&] {
        std::set<std::string> out;
        for (const auto& each : fs::directory_iterator(place)) out.insert(each.path().filename());
        return out;
    };
    const auto before = names();
    for (const auto& each : fs::directory_iterator(place)) ::chmod(each.path().c_str(), 0444);
    ::chmod((place / "..").c_str(), 0755);
    ::chmod(place.c_str(), 0555);
    const auto child = ::fork();
    if (child == 0) {  // as somebody whom root's rights do not help
        if (::getuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) ::_exit(3);
        try {
            SqliteStore store(file, SqliteStore::Access::read_only);
            ::_exit(store.load().sessions().size() == 0 ? 0 : 1);
        } catch (const std::exception& error) {
            std::fprintf(stderr, "%s\n", error.what());
            ::_exit(2);
        }
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
    CHECK(names() == before);
    ::chmod(place.c_str(), 0755);
}

TEST_CASE("a damaged state file is refused with its name") {
    const Folder folder;
    const auto file = folder / "state.sqlite";
    Account account;
    {
        auto store = open(file);
        Load load(3);
        for (int i = 0; i < 30; ++i) store.commit(load.next(account));
    }
    const auto whole = bytes_of(file);
    const auto error = [&] { return error_of<std::exception>([&] { open(file).load(); }); };
    REQUIRE(error() == "nothing was thrown");
    SECTION("pages overwritten") {
        auto bytes = whole;
        for (std::size_t at = 4096; at < bytes.size(); at += 16) bytes[at] = char(at / 16);
        put_bytes(file, bytes);
        CHECK_THAT(error(), StartsWith(file.string()) && Contains("malformed"));
    }
    SECTION("the end cut off") {
        put_bytes(file, whole.substr(0, whole.size() / 3 / 4096 * 4096));
        CHECK_THAT(error(), StartsWith(file.string()) && Contains("malformed"));
    }
    SECTION("a body that is none") {
        const auto [sql, words] = GENERATE(table<std::string, std::string>({
            {"UPDATE objects SET body = '{\"type\":'", "is damaged"},
            {"UPDATE objects SET body = '[]'", "is damaged"},
            {"UPDATE objects SET body = '{}'", "is damaged"},
            {"UPDATE objects SET kind = 9", "unknown kind 9"},
            {"DROP TABLE tokens", "no such table"},
            {"DROP TABLE meta", "no such table"},
        }));
        sqlite3* database = nullptr;
        REQUIRE(sqlite3_open(file.c_str(), &database) == SQLITE_OK);
        REQUIRE(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
        sqlite3_close(database);
        INFO(sql);
        CHECK_THAT(error(), StartsWith(file.string()) && Contains(words));
    }
}

TEST_CASE("a state file can be read while it is written, and is not changed by that") {
    const Folder folder;
    const auto file = folder / "state.sqlite";
    CHECK_THAT(error_of<StoreError>([&] { SqliteStore(file, SqliteStore::Access::read_only); }),
               StartsWith(file.string()));
    CHECK_FALSE(fs::exists(file));
    auto store = open(file);
    Account account;
    Load load(4);
    store.commit(load.next(account));
    SqliteStore reader(file, SqliteStore::Access::read_only);
    CHECK(reader.owner().account_id == owner.account_id);
    for (int i = 0; i < 10; ++i) {
        store.commit(load.next(account));
        REQUIRE(text_of(reader.load()) == text_of(account));
    }
    CHECK_THROWS_AS(reader.commit(load.next(account)), std::exception);
    account = store.load();
    SqliteStore other(file, SqliteStore::Access::read_only, SqliteStore::Owner(owner));
    REQUIRE(text_of(other.load()) == text_of(account));
    CHECK_THROWS_AS(SqliteStore(file, SqliteStore::Access::read_only,
                                SqliteStore::Owner{"444455556666", owner.region}),
                    StoreError);
}

namespace {

/// Another program's SQLite.
class Foreign {
public:
    explicit Foreign(const fs::path& file) {
        REQUIRE(sqlite3_open(file.c_str(), &database_) == SQLITE_OK);
        sqlite3_busy_timeout(database_, 1000);
    }
    ~Foreign() { sqlite3_close(database_); }
    Foreign(const Foreign&) = delete;
    void run(const std::string& sql) {
        char* why = nullptr;
        const int code = sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, &why);
        INFO(sql << ": " << (why ? why : ""));
        REQUIRE(code == SQLITE_OK);
    }

private:
    sqlite3* database_ = nullptr;
};

}  // namespace

TEST_CASE("S8 a state file that another process writes for long is unavailable") {
    const Folder folder;
    const Disk disk;  // its sleeps take no time
    const auto file = folder / "state.sqlite";
    auto store = open(file);
    Account account;
    Load load(5);
    store.commit(load.next(account));
    const Account before = account;
    Foreign other(file);
    other.run("BEGIN IMMEDIATE");
    const auto changes = load.next(account);
    CHECK_THAT(error_of<StoreUnavailable>([&] { store.commit(changes); }), Contains("locked"));
    CHECK(text_of(store.load()) == text_of(before));
    other.run("COMMIT");
    store.commit(changes);
    CHECK(text_of(store.load()) == text_of(account));
}

TEST_CASE(
    "S7 S8 a full disk is unavailable at any write, changes nothing, and the next commit works") {
    const Folder folder;
    Disk disk;
    disk.syncing = false;
    const auto file = folder / "state.sqlite";
    auto store = open(file);
    Account account;
    Load load(6);
    for (int i = 0; i < 20; ++i) store.commit(load.next(account));
    int failures = 0;
    for (int round = 0; round < 60; ++round) {
        Account changed = account;
        const auto changes = load.next(changed);
        for (int room = 0;; ++room) {
            disk.room = room;
            bool full = false;
            try {
                store.commit(changes);
            } catch (const StoreUnavailable& error) {
                full = true;
                CHECK_THAT(error.what(), StartsWith(file.string()) && Contains("full"));
            }
            disk.room = -1;
            if (!full) break;
            ++failures;
            REQUIRE(text_of(store.load()) == text_of(account));
            // So does a process that starts now, of what the files hold.
            const auto copy = folder / "copy";
            fs::remove_all(copy);
            fs::create_directory(copy);
            for (const char* suffix : {"", "-wal"})
                if (fs::exists(file.string() + suffix))
                    fs::copy(file.string() + suffix, copy / ("state.sqlite" + std::string(suffix)));
            REQUIRE(text_of(open(copy / "state.sqlite").load()) == text_of(account));
            if (room != 3) continue;
            changed = account;  // there is room again, and something else comes first
            store.commit(Load(unsigned(100 + round)).next(changed));
            break;
        }
        account = store.load();
        REQUIRE(text_of(account) == text_of(changed));
    }
    CHECK(failures > 200);
}

TEST_CASE(
    "S8 a change whose sync failed is not there after a power cut that keeps what was written") {
    const Folder folder;
    Disk disk;
    disk.syncing = false;
    const auto file = folder / "state.sqlite";
    auto store = open(file);
    Account account;
    Load load(7);
    for (int i = 0; i < 5; ++i) store.commit(load.next(account));
    for (int i = 0; i < 40; ++i) {
        Account changed = account;
        const auto changes = load.next(changed);
        disk.good_syncs = 0;
        bool failed = false;
        try {
            store.commit(changes);
        } catch (const StoreUnavailable&) {
            FAIL("a disk that fails is not one that is busy");
        } catch (const std::exception& error) {
            failed = true;
            CHECK_THAT(error.what(), StartsWith(file.string()) && Contains("disk I/O error"));
        }
        disk.good_syncs = -1;
        REQUIRE(failed);
        REQUIRE(text_of(store.load()) == text_of(account));
        const auto copy = folder / "copy";
        fs::remove_all(copy);
        fs::create_directory(copy);
        for (const char* suffix : {"", "-wal"})
            fs::copy(file.string() + suffix, copy / ("state.sqlite" + std::string(suffix)));
        REQUIRE(text_of(open(copy / "state.sqlite").load()) == text_of(account));
        store.commit(changes);
        account = changed;
    }
}

TEST_CASE("S8 a power cut at any moment loses no acknowledged change and leaves none half there") {
    const Folder folder;
    std::uint32_t seed = 8;
    if (const char* text = std::getenv("MIRRORNIC_SEED"))
        seed = std::uint32_t(std::strtoul(text, nullptr, 10));
    INFO("MIRRORNIC_SEED=" << seed);
    Disk disk;
    disk.syncing = false;
    std::vector<std::string> states;
    {
        Account account;
        states.push_back(text_of(account));
        Load load(seed);
        disk.recording = true;
        auto store = open(folder / "state.sqlite");
        disk.mark();
        sqlite3* other = nullptr;  // brings the log into the file, more often than the store does
        REQUIRE(sqlite3_open((folder / "state.sqlite").c_str(), &other) == SQLITE_OK);
        for (int i = 0; i < 300; ++i) {
            store.commit(load.next(account));
            disk.mark();
            states.push_back(text_of(account));
            if (i % 10 == 9)
                REQUIRE(sqlite3_exec(other, "SELECT * FROM meta; PRAGMA wal_checkpoint", nullptr,
                                     nullptr, nullptr) == SQLITE_OK);
        }
        sqlite3_close(other);
        disk.recording = false;
    }
    std::mt19937 random(seed);
    Platters platters;
    std::size_t acknowledged = 0, cuts = 0, kept = 0, syncs = 0, checkpoints = 0;
    bool made = false;
    const auto cut = [&](bool torn) {
        ++cuts;
        platters.leave(folder / "after", torn ? &random : nullptr);
        auto store = open(folder / "after/state.sqlite");
        const auto held = text_of(store.load());
        const bool before = held == states[acknowledged];
        const bool after =
            acknowledged + 1 < states.size() && made && held == states[acknowledged + 1];
        kept += after;
        INFO("after " << acknowledged << " acknowledged changes, cut " << cuts);
        REQUIRE((before || after));
        REQUIRE(store.owner().account_id == owner.account_id);
    };
    const auto& events = disk.events;
    for (std::size_t i = 0; i < events.size(); ++i) {
        const auto& event = events[i];
        const bool sync = event.kind == Disk::Event::sync;
        if (sync) {
            ++syncs;
            checkpoints += event.file == "state.sqlite";
            cut(false);
            cut(true);
        }
        platters.take(event);
        if (event.kind == Disk::Event::mark) {
            acknowledged += made;
            made = true;
        }
        if (sync || random() % 4 == 0) cut(random() % 2);
    }
    CHECK(acknowledged + 1 == states.size());
    CHECK(syncs > 300);
    CHECK(checkpoints > 20);
    CHECK(kept > 100);
    INFO(cuts);
    CHECK(cuts > 1500);
}

// --- Whose file it is, and where
// -------------------------------------------------------------------

TEST_CASE("a state file has one writer, by whatever name it is opened") {
    const Folder folder;
    const auto file = folder / "state.sqlite";
    auto store = std::make_unique<SqliteStore>(file, SqliteStore::Access::read_write, owner);
    Account account;
    Load load(9);
    store->commit(load.next(account));
    fs::create_symlink(file, folder / "link.sqlite");
    fs::create_directory(folder / "inner");
    fs::create_symlink(folder.path, folder / "inner/up");
    for (const fs::path& name :
         {file, folder / "link.sqlite", folder / "inner/../state.sqlite",
          folder / "inner/up/link.sqlite", folder.path / "." / "state.sqlite"}) {
        CAPTURE(name);
        CHECK_THAT(error_of<StoreError>([&] { open(name); }),
                   StartsWith(name.string()) &&
                       Contains("in use by process " + std::to_string(::getpid())));
        // Who only reads is let in, and takes nothing from the writer.
        SqliteStore reader(name, SqliteStore::Access::read_only);
        CHECK(text_of(reader.load()) == text_of(account));
    }
    store->commit(load.next(account));
    CHECK(text_of(store->load()) == text_of(account));
    store.reset();
    CHECK(text_of(open(folder / "link.sqlite").load()) == text_of(account));
    CHECK_FALSE(fs::exists(folder / "link.sqlite-wal"));
    // By a link to nothing it is made where the link leads, for its owner alone.
    fs::create_symlink(folder / "inner/new.sqlite", folder / "dangling");
    open(folder / "dangling");
    CHECK((fs::status(folder / "inner/new.sqlite").permissions() & fs::perms::all) ==
          (fs::perms::owner_read | fs::perms::owner_write));
}

TEST_CASE("SQLite's own locks on the state file stay while it is open") {
    const Folder folder;
    const auto file = folder / "state.sqlite";
    const auto locked = [&] {
        const auto child = ::fork();
        if (child == 0) {
            const int fd = ::open(file.c_str(), O_RDWR);
            struct flock lock {};
            lock.l_type = F_WRLCK;
            lock.l_start = 0x40000000 + 2;  // SHARED; https://www.sqlite.org/fileformat2.html 1.3
            lock.l_len = 510;
            _exit(fd >= 0 && ::fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK);
        }
        int status = 0;
        REQUIRE(::waitpid(child, &status, 0) == child);
        return WEXITSTATUS(status) == 1;
    };
    auto store = open(file);
    Account account;
    store.commit(Load(10).next(account));
    CHECK(locked());
    CHECK_THROWS_AS(open(file), StoreError);  // in this process
    store.load();
    // The refused one closed its descriptor, which no process does that has the file twice.
    store.commit(Load(11).next(account));
}

TEST_CASE("what can keep no state is refused, and says why") {
    const Folder folder;
    const auto refused = [&](const fs::path& name, const std::string& words) {
        for (const auto access :
             {SqliteStore::Access::read_write, SqliteStore::Access::read_only}) {
            CAPTURE(name);
            CHECK_THAT(error_of<StoreError>([&] { SqliteStore(name, access, owner); }),
                       StartsWith(name.string()) && Contains(words));
        }
    };
    REQUIRE(::mkfifo((folder / "fifo").c_str(), 0600) == 0);
    refused(folder / "fifo", "is not a regular file");
    refused("/dev/null", "is not a regular file");
    refused(folder.path, "Is a directory");
    refused(folder / "none/state.sqlite", "No such file or directory");
    { open(folder / "state.sqlite"); }
    fs::create_hard_link(folder / "state.sqlite", folder / "other.sqlite");
    refused(folder / "state.sqlite", "has 2 names (hard links)");
    refused(folder / "other.sqlite", "remove the other names");
    fs::remove(folder / "other.sqlite");
    open(folder / "state.sqlite");
}

TEST_CASE("S8 a file that is deleted or replaced while it is served takes no change") {
    const Folder folder;
    const auto file = folder / "state.sqlite";
    auto store = std::make_unique<SqliteStore>(file, SqliteStore::Access::read_write, owner);
    Account account;
    Load load(12);
    store->commit(load.next(account));
    store->probe();
    const auto refuses = [&](const std::string& words) {
        Account changed = account;
        const auto changes = load.next(changed);
        CHECK_THAT(error_of<StoreUnavailable>([&] { store->commit(changes); }), Contains(words));
        CHECK_THAT(error_of<StoreUnavailable>([&] { store->probe(); }), Contains(words));
    };
    SECTION("moved away and back") {
        fs::rename(file, folder / "elsewhere");
        refuses("deleted or replaced");
        put_bytes(file, "another");
        refuses("move it back");
        fs::rename(folder / "elsewhere", file);
        store->probe();
        store->commit(load.next(account));
        CHECK(text_of(store->load()) == text_of(account));
    }
    SECTION("its log deleted: a stop writes what it holds into the file") {
        fs::remove(file.string() + "-wal");
        refuses("state.sqlite-wal: the file's log was deleted");
        store.reset();
        CHECK(text_of(open(file).load()) == text_of(account));
    }
}

namespace {

/// No file can grow beyond this meanwhile.
class LargestFile {
public:
    explicit LargestFile(std::uint64_t bytes) {
        std::signal(SIGXFSZ, SIG_IGN);
        REQUIRE(::getrlimit(RLIMIT_FSIZE, &before_) == 0);
        const struct rlimit now { bytes, before_.rlim_max };
        REQUIRE(::setrlimit(RLIMIT_FSIZE, &now) == 0);
    }
    ~LargestFile() { ::setrlimit(RLIMIT_FSIZE, &before_); }

private:
    struct rlimit before_ {};
};

void overwrite(const fs::path& file, std::uint64_t at, const std::string& bytes) {
    std::fstream out(file, std::ios::in | std::ios::out | std::ios::binary);
    out.seekp(std::streamoff(at));
    out << bytes;
    REQUIRE(out.flush());
}

}  // namespace

TEST_CASE("S8 a file that is cut or overwritten in place while it is served takes no change") {
    const auto many = GENERATE(3, 1200);  // more than SQLite lets wait in the log
    const std::string part = GENERATE("", "-wal");
    const Folder folder;
    Disk disk;
    disk.syncing = false;  // thousands of commits
    const auto file = folder / "state.sqlite";
    SqliteStore store(file, SqliteStore::Access::read_write, owner);
    Account account;
    Load load(31);
    for (int i = 0; i < many; ++i) store.commit(load.next(account));
    store.look(account);
    const fs::path hit = file.string() + part;
    const auto size = fs::file_size(hit);
    const std::string whole = bytes_of(hit);
    const auto way = GENERATE(range(0, 5));
    if (way == 0) fs::resize_file(hit, 0);
    if (way == 1) fs::resize_file(hit, size / 2);
    if (way == 2) fs::resize_file(hit, 16);
    if (way == 3) overwrite(hit, 0, std::string(100, 'x'));
    if (way == 4) overwrite(hit, 0, std::string(size, '\0'));
    if (part == "-wal" && many > 1000 && way == 1) {
        // What stands there was written into the file before, and the log begun again.
        store.commit(load.next(account));
        store.look(account);
        return;
    }
    INFO(many << " commits, " << hit << " of " << size << " bytes, way " << way);
    Account changed = account;
    const auto changes = load.next(changed);
    CHECK_THAT(error_of<StoreUnavailable>([&] { store.look(account); }),
               StartsWith(hit.string()) && Contains("cut or overwritten"));
    CHECK_THAT(error_of<StoreUnavailable>([&] { store.commit(changes); }),
               Contains("cut or overwritten"));
    CHECK_THAT(error_of<StoreUnavailable>([&] { store.probe(); }), Contains("cut or overwritten"));
    // Whoever cut it may put it back.
    fs::resize_file(hit, size);
    overwrite(hit, 0, whole);
    store.look(account);
    store.commit(changes);
    CHECK(text_of(store.load()) == text_of(changed));
}

TEST_CASE("S8 an older log that is copied over the one that is served is found out") {
    const Folder folder;
    const auto file = folder / "state.sqlite";
    const fs::path log = file.string() + "-wal";
    SqliteStore store(file, SqliteStore::Access::read_write, owner);
    Account account;
    Load load(32);
    for (int i = 0; i < 3; ++i) store.commit(load.next(account));
    const std::string older = bytes_of(log);
    for (int i = 0; i < 3; ++i) store.commit(load.next(account));
    overwrite(log, 0, older);  // the same beginning: nothing is lost
    store.look(account);
    fs::resize_file(log, older.size());
    CHECK_THAT(error_of<StoreUnavailable>([&] { store.look(account); }), Contains("cut"));
}

TEST_CASE("S8 what reads a state that is served, copies or checkpoints it, is no damage") {
    const Folder folder;
    const auto file = folder / "state.sqlite";
    Account account;
    {
        SqliteStore store(file, SqliteStore::Access::read_write, owner);
        Load load(33);
        const auto go_on = [&] {
            for (int i = 0; i < 3; ++i) {
                store.look(account);
                store.commit(load.next(account));
            }
            store.look(account);
        };
        go_on();
        Foreign other(file);
        for (const char* kind : {"PASSIVE", "FULL", "RESTART", "TRUNCATE"}) {
            INFO(kind);
            other.run(std::string("PRAGMA wal_checkpoint(") + kind + ")");
            go_on();
        }
        other.run("BEGIN; SELECT count(*) FROM objects");
        go_on();
        other.run("COMMIT; CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)");
        go_on();
        back_up(file, folder / "copy", false);
        go_on();
    }
    CHECK(text_of(open(file).load()) == text_of(account));
}

TEST_CASE("S8 another program's change of what a served state holds is found out, and its end") {
    const auto [change, back] = GENERATE(table<std::string, std::string>({
        {"UPDATE objects SET body = replace(body, 'a', 'b')", "UPDATE objects SET body = was"},
        {"UPDATE objects SET kind = 3 - kind", "UPDATE objects SET kind = 3 - kind"},
        {"DELETE FROM objects WHERE sequence = (SELECT min(sequence) FROM objects)", ""},
        {"INSERT INTO objects (sequence, id, kind, body) VALUES (4000, 'tmf-1', 1, "
         "'{\"amazon_dns\":true}')",
         "DELETE FROM objects WHERE sequence = 4000"},
        {"INSERT INTO tokens VALUES ('a', 'b', 'c', 'd', 5)",
         "DELETE FROM tokens WHERE action = 'a'"},
        {"UPDATE tokens SET seconds = seconds + 1", "UPDATE tokens SET seconds = seconds - 1"},
    }));
    INFO(change);
    const Folder folder;
    const auto file = folder / "state.sqlite";
    SqliteStore store(file, SqliteStore::Access::read_write, owner);
    Account account;
    Load load(34);
    while (account.tokens().empty() || account.filters().size() < 3)
        store.commit(load.next(account));
    Foreign other(file);
    other.run("ALTER TABLE objects ADD COLUMN was");
    other.run("UPDATE objects SET was = body");
    store.look(account);
    other.run(change);
    Account changed = account;
    const auto changes = load.next(changed);
    CHECK_THAT(error_of<StoreUnavailable>([&] { store.look(account); }),
               Contains("another program has changed"));
    CHECK_THAT(error_of<StoreUnavailable>([&] { store.commit(changes); }), Contains("restart"));
    if (back.empty()) return;
    other.run(back);
    store.look(account);
    other.run("ALTER TABLE objects DROP COLUMN was");
    store.commit(changes);
    store.look(changed);
}

TEST_CASE("another program's lock is waited for once, and for no more than a moment") {
    const Folder folder;
    const auto file = folder / "state.sqlite";
    auto store = std::make_unique<SqliteStore>(file, SqliteStore::Access::read_write, owner);
    Account account;
    Load load(35);
    store->commit(load.next(account));
    Foreign other(file);
    other.run(GENERATE("BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"));
    Account changed = account;
    const auto changes = load.next(changed);
    using Clock = std::chrono::steady_clock;
    const auto began = Clock::now();
    for (int i = 0; i < 20; ++i)
        CHECK_THAT(error_of<StoreUnavailable>([&] { store->commit(changes); }),
                   Contains("locked by another program"));
    store->look(account);
    CHECK(Clock::now() - began < std::chrono::milliseconds(600));
    SECTION("it ends") {
        other.run("COMMIT");
        store->commit(changes);
        CHECK(text_of(store->load()) == text_of(changed));
    }
    SECTION("the service ends first") {
        const auto stopped = Clock::now();
        store.reset();
        CHECK(Clock::now() - stopped < std::chrono::milliseconds(600));
        other.run("COMMIT");
        CHECK(text_of(open(file).load()) == text_of(account));
    }
}

TEST_CASE("S7 a file that may not grow further is unavailable, and says why") {
    const Folder folder;
    const auto file = folder / "state.sqlite";
    auto store = open(file);
    Account account;
    Load load(36);
    store.commit(load.next(account));
    const auto size = fs::file_size(file.string() + "-wal");
    const auto more = GENERATE(0, 1, 5000);
    Account changed = account;
    std::string why;
    {
        const LargestFile limit(size + more);
        for (int i = 0; i < 9 && why.empty(); ++i) {
            const auto changes = load.next(changed);
            try {
                store.commit(changes);
                account = changed;
            } catch (const StoreUnavailable& error) {
                why = error.what();
            }
        }
    }
    CHECK_THAT(why, StartsWith(file.string()) && Contains("File too large"));
    CHECK(text_of(store.load()) == text_of(account));
    store.commit(load.next(account));
    CHECK(text_of(store.load()) == text_of(account));
}

TEST_CASE("a probe says whether a change can be kept now, at once") {
    const Folder folder;
    Disk disk;
    const auto file = folder / "state.sqlite";
    auto store = open(file);
    Account account;
    Load load(13);
    store.commit(load.next(account));
    store.probe();
    disk.room = 0;
    CHECK_THAT(error_of<StoreUnavailable>([&] { store.probe(); }), Contains("full"));
    disk.room = -1;
    disk.good_syncs = 0;
    CHECK_THAT(error_of<std::runtime_error>([&] { store.probe(); }), Contains("I/O error"));
    disk.good_syncs = -1;
    Foreign other(file);
    other.run("BEGIN IMMEDIATE");
    CHECK_THAT(error_of<StoreUnavailable>([&] { store.probe(); }), Contains("locked"));
    other.run("COMMIT");
    store.probe();
    CHECK(text_of(store.load()) == text_of(account));
}

// --- Files of other versions, and of other hands
// ---------------------------------------------------

namespace {

/// tests/state/schemaN.sql as a file.
void make_state(const fs::path& file, int version, const std::string& further = "") {
    sqlite3* database = nullptr;
    REQUIRE(sqlite3_open(file.c_str(), &database) == SQLITE_OK);
    const auto sql =
        bytes_of(fs::path(STATES) / ("schema" + std::to_string(version) + ".sql")) + further;
    char* why = nullptr;
    const int code = sqlite3_exec(database, sql.c_str(), nullptr, nullptr, &why);
    INFO(further << ": " << (why ? why : ""));
    REQUIRE(code == SQLITE_OK);
    sqlite3_close(database);
}

}  // namespace

TEST_CASE(
    "a state file of every version that was written is read, and upgraded when it is served") {
    const int version = GENERATE(1, 2);
    CAPTURE(version);
    const Folder folder;
    const auto file = folder / "state.sqlite";
    make_state(folder / "newest", 2);
    const auto expected =
        text_of(SqliteStore(folder / "newest", SqliteStore::Access::read_only).load());
    CHECK_THAT(expected, Contains("tms-1123456789abcdef0") && Contains("token-1"));
    make_state(file, version);
    const auto before = bytes_of(file);
    CHECK(text_of(SqliteStore(file, SqliteStore::Access::read_only).load()) == expected);
    CHECK_THROWS_AS(SqliteStore(file, SqliteStore::Access::read_write,
                                SqliteStore::Owner{"444455556666", owner.region}),
                    StoreError);
    // Reading leaves it as it is; WAL mode is all that a refused writer sets.
    CHECK(text_of(SqliteStore(file, SqliteStore::Access::read_only).load()) == expected);
    CHECK(SqliteStore(file, SqliteStore::Access::read_only).note("schema") ==
          std::to_string(version));
    for (int i = 0; i < 2; ++i) {
        auto store = open(file);
        CHECK(store.note("schema") == "2");
        CHECK(store.note("imported") == "1700000000");
        CHECK(text_of(store.load()) == expected);
    }
    auto store = open(file);
    Account account = store.load();
    store.commit(Load(14).next(account));
    CHECK(text_of(store.load()) == text_of(account));
    CHECK(before != bytes_of(file));
}

TEST_CASE("an upgrade that cannot be is not made by half") {
    const Folder folder;
    const auto file = folder / "state.sqlite";
    make_state(file, 1, "UPDATE objects SET sequence = 4 WHERE id = 'tms-1123456789abcdef0'");
    CHECK_THAT(error_of<StoreError>([&] { open(file); }),
               StartsWith(file.string()) && Contains("could not be upgraded, and is as it was"));
    SqliteStore store(file, SqliteStore::Access::read_only);
    CHECK(store.note("schema") == "1");
    CHECK_THAT(error_of<StoreError>([&] { store.load(); }), Contains("another object's too"));
}

TEST_CASE("S1 S2 S4 a state file holds what requests can make, or names the object and member") {
    const std::string s = "tms-0123456789abcdef0", t = "tmt-0123456789abcdef0",
                      b = "tmt-1123456789abcdef0", g = "tmt-2123456789abcdef0",
                      f = "tmf-0123456789abcdef0", r = "tmfr-0123456789abcdef0",
                      q = "tmfr-1123456789abcdef0";
    const auto body = [](const std::string& id, const std::string& member,
                         const std::string& json) {
        return "UPDATE objects SET body = json_set(body, '$." + member + "', json('" + json +
               "')) WHERE id = '" + id + "'";
    };
    const auto gone = [](const std::string& id, const std::string& member) {
        return "UPDATE objects SET body = json_remove(body, '$." + member + "') WHERE id = '" + id +
               "'";
    };
    const auto text = [](std::size_t characters) {
        return '"' + std::string(characters, 'x') + '"';
    };
    struct Case {
        std::string sql, object, words;
    };
    const std::vector<Case> cases = {
        // Numbers are not narrowed, and have their ranges.
        {body(s, "vni", "4294967301"), s, "member \"vni\": 4294967301"},
        {body(s, "vni", "16777216"), s, "VirtualNetworkId: 16777216"},
        {body(s, "vni", "-1"), s, "member \"vni\": -1"},
        {body(s, "vni", "77.0"), s, "member \"vni\": 77.0"},
        {body(s, "vni", "\"77\""), s, "member \"vni\""},
        {body(s, "vni", "null"), s, "member \"vni\""},
        {gone(s, "vni"), s, "member \"vni\": is missing"},
        {body(s, "number", "65537"), s, "member \"number\": 65537"},
        {body(s, "number", "0"), s, "SessionNumber: 0"},
        {body(s, "number", "32767"), s, "SessionNumber: 32767"},
        {body(s, "packet_length", "0"), s, "PacketLength: 0"},
        {body(s, "packet_length", "8501"), s, "PacketLength: 8501"},
        {body(s, "packet_length", "74036"), s, "member \"packet_length\": 74036"},
        {body(r, "number", "0"), r, "RuleNumber: 0"},
        {body(r, "number", "65536"), r, "member \"number\": 65536"},
        {body(r, "protocol", "262"), r, "member \"protocol\": 262"},
        {body(r, "source_ports", "[0,65536]"), r, "member \"source_ports\": 65536"},
        {body(r, "source_ports", "[1]"), r, "member \"source_ports\""},
        {body(r, "source_ports", "[1,2,3]"), r, "member \"source_ports\""},
        {body(r, "source_ports", "{}"), r, "member \"source_ports\""},
        // Kinds and types.
        {body(t, "type", "3"), t, "member \"type\": 3"},
        {body(t, "type", "256"), t, "member \"type\": 256"},
        {body(t, "type", "-1"), t, "member \"type\": -1"},
        {body(r, "egress", "1"), r, "member \"egress\": 1"},
        {body(r, "accept", "\"yes\""), r, "member \"accept\""},
        {body(f, "amazon_dns", "0"), f, "member \"amazon_dns\""},
        {"UPDATE objects SET kind = 4 WHERE id = '" + t + "'", t, "unknown kind 4"},
        {"UPDATE objects SET kind = -1 WHERE id = '" + t + "'", t, "unknown kind -1"},
        {"UPDATE objects SET kind = 4294967296 WHERE id = '" + t + "'", t, "unknown kind"},
        {"UPDATE objects SET kind = 'target' WHERE id = '" + t + "'", t, "column kind"},
        {"UPDATE objects SET kind = 1 WHERE id = '" + t + "'", t, "member \"amazon_dns\""},
        {"UPDATE objects SET body = '[]' WHERE id = '" + t + "'", t, "not a JSON object"},
        {"UPDATE objects SET body = '{' WHERE id = '" + t + "'", t, ""},
        {"UPDATE objects SET body = x'7b7d' WHERE id = '" + f + "'", f, "column body"},
        {"UPDATE objects SET body = '{\"amazon_dns\":true,\"amazon_dns\":false}' WHERE id = '" + f +
             "'",
         f, "amazon_dns"},
        {body(s, "colour", "1"), s, "member \"colour\": is not known"},
        // Strings.
        {body(s, "description", text(256)), s, "Description"},
        {body(s, "description", "7"), s, "member \"description\""},
        {body(f, "description", "\"\\u0001\""), f, "Description"},
        {"UPDATE objects SET body = replace(body, 'first', CAST(x'ff' AS TEXT)) WHERE id = '" + s +
             "'",
         s, ""},
        {body(s, "tags", "{\"k\":" + text(257) + "}"), s, "Value"},
        {body(s, "tags", "{" + text(128) + ":\"v\"}"), s, "Key"},
        {body(s, "tags", "{\"\":\"v\"}"), s, "Key"},
        {body(s, "tags", "{\"k\":1}"), s, "member \"tags\""},
        {body(s, "tags", "[]"), s, "member \"tags\""},
        {body(s, "owner", "\"me\""), s, "OwnerId"},
        {body(t, "owner", "\"1111222233334\""), t, "OwnerId"},
        // Ids and references.
        {"UPDATE objects SET id = 'tmt' WHERE id = '" + g + "'", "tmt", "TrafficMirrorTargetId"},
        {"UPDATE objects SET id = 'tmf-9' WHERE id = '" + g + "'", "tmf-9",
         "TrafficMirrorTargetId"},
        {"UPDATE objects SET id = 'tmt-<x>' WHERE id = '" + g + "'", "tmt-<x>",
         "TrafficMirrorTargetId"},
        {"UPDATE objects SET id = x'00' WHERE id = '" + g + "'", "", "column id"},
        {"UPDATE objects SET id = '" + t + "' WHERE id = '" + g + "'", t, "two of this id"},
        {body(s, "interface", "\"tmt-1\""), s, "NetworkInterfaceId: \"tmt-1\""},
        {body(s, "interface", "\"\""), s, "NetworkInterfaceId"},
        {body(s, "target", "\"tmt-9\""), s, "TrafficMirrorTargetId: \"tmt-9\" does not exist"},
        {body(s, "filter", "\"tmf-9\""), s, "TrafficMirrorFilterId: \"tmf-9\" does not exist"},
        {body(r, "filter", "\"tmf-9\""), r, "TrafficMirrorFilterId: \"tmf-9\" does not exist"},
        {"DELETE FROM objects WHERE id = '" + t + "'", s, t},
        {"DELETE FROM objects WHERE id = '" + f + "'", r, f},
        {body(t, "address", "\"eni\""), t, "NetworkInterfaceId"},
        {body(b, "address", "\"eni-1\""), b, "NetworkLoadBalancerArn"},
        {body(g, "address", "\"vpce\""), g, "GatewayLoadBalancerEndpointId"},
        // Rules.
        {body(r, "source", "\"10.0.0.1/8\""), r, "canonical form, 10.0.0.0/8"},
        {body(q, "source", "\"2001:DB8::/32\""), q, "canonical form"},
        {body(r, "source", "\"10.0.0.0\""), r, "not a CIDR block"},
        {body(r, "source", "\"::/0\""), r, "not of one IP version"},
        {body(r, "source_ports", "[2,1]"), r, "FromPort 2 is above ToPort 1"},
        {gone(r, "protocol"), r, "needs Protocol 6"},
        {body(r, "protocol", "1"), r, "needs Protocol 6"},
        {body(r, "number", "32766") + "; " + body(r, "egress", "true"), q, "is taken by " + r},
        {body("tms-1123456789abcdef0", "number", "1") + "; " +
             body("tms-1123456789abcdef0", "interface", "\"eni-a\""),
         "tms-1123456789abcdef0", "is taken by " + s},
        // Places.
        {"UPDATE objects SET sequence = 0 WHERE id = '" + t + "'", t,
         "sequence 0 is not from 1 to 4611686018427387904"},
        {"UPDATE objects SET sequence = -1 WHERE id = '" + t + "'", t, "sequence -1"},
        {"UPDATE objects SET sequence = 9223372036854775807 WHERE id = '" + t + "'", t,
         "sequence 9223372036854775807"},
        // Tokens.
        {"UPDATE tokens SET reply = '{'", "token-1", "reply"},
        {"UPDATE tokens SET reply = '[]'", "token-1", "reply"},
        {"UPDATE tokens SET reply = ''", "token-1", "reply"},
        {"UPDATE tokens SET parameters = 'x'", "token-1", "parameters"},
        {"UPDATE tokens SET seconds = -1", "token-1", "time -1"},
        {"UPDATE tokens SET seconds = 9223372036854775807", "token-1", "time 9223372036854775807"},
        {"UPDATE tokens SET seconds = 'now'", "token-1", "column seconds"},
        {"UPDATE tokens SET action = 'DeleteTags'", "token-1", "takes no client tokens"},
        {"UPDATE tokens SET action = 'x'", "token-1", "takes no client tokens"},
        {"UPDATE tokens SET token = ''", "", "1 to 64 ASCII"},
    };
    const Folder folder;
    const auto file = folder / "state.sqlite";
    for (const auto& [sql, object, words] : cases) {
        INFO(sql);
        fs::remove(file);
        make_state(file, 2, sql);
        const auto error =
            error_of<StoreError>([&] { SqliteStore(file, SqliteStore::Access::read_only).load(); });
        CHECK_THAT(error, StartsWith(file.string() + ": ") && Contains(object) && Contains(words));
        CHECK_THAT(error, Contains("backup"));
    }
    // What a configuration need not say, or alone may say.
    for (const auto& sql :
         {body(s, "owner", "\"\""), body(s, "description", text(255)),
          body(s, "interface", "\"eni-not-configured\""), body(s, "tags", "{\"aws:x\":\"y\"}"),
          body(t, "address", "\"eni-not-configured\"")}) {
        INFO(sql);
        fs::remove(file);
        make_state(file, 2, sql);
        CHECK_NOTHROW(SqliteStore(file, SqliteStore::Access::read_only).load());
    }
}

// --- Backups
// ---------------------------------------------------------------------------------------

TEST_CASE("S8 a backup is the state as of one moment, beside its writer and after it was killed") {
    const Folder folder;
    const auto file = folder / "state.sqlite", copy = folder / "copy.sqlite";
    Account account;
    Load load(15);
    const auto check = [&] {
        struct stat status {};
        REQUIRE(::stat(copy.c_str(), &status) == 0);
        CHECK((status.st_mode & 0777) == 0600);
        CHECK(text_of(SqliteStore(copy, SqliteStore::Access::read_only).load()) ==
              text_of(account));
        CHECK(text_of(open(copy).load()) == text_of(account));
        for (const auto& entry : fs::directory_iterator(folder.path))
            CHECK((entry.path().filename().string().rfind("copy.sqlite", 0) != 0 ||
                   entry.path() == copy));
    };
    const auto mask = ::umask(0);
    {
        auto store = open(file);
        for (int i = 0; i < 10; ++i) {
            store.commit(load.next(account));
            back_up(file, copy, i != 0);
            check();
        }
        // As a kill leaves them.
        fs::create_directory(folder / "killed");
        for (const char* suffix : {"", "-wal"})
            fs::copy(file.string() + suffix,
                     folder / ("killed/state.sqlite" + std::string(suffix)));
    }
    ::umask(mask);
    for (const char* suffix : {"-wal", "-shm"}) CHECK_FALSE(fs::exists(file.string() + suffix));
    const auto bytes = bytes_of(folder / "killed/state.sqlite");
    fs::remove(copy);
    back_up(folder / "killed/state.sqlite", copy, false);
    check();
    CHECK(bytes_of(folder / "killed/state.sqlite") == bytes);
    CHECK(fs::file_size(folder / "killed/state.sqlite-wal") > 0);
    fs::remove(copy);
    make_state(folder / "old.sqlite", 1);
    back_up(folder / "old.sqlite", copy, false);
    CHECK(text_of(open(copy).load()) ==
          text_of(SqliteStore(folder / "old.sqlite", SqliteStore::Access::read_only).load()));
}

TEST_CASE("a backup is written over nothing that it was not told to replace") {
    const Folder folder;
    const auto file = folder / "state.sqlite", copy = folder / "copy.sqlite";
    auto store = open(file);
    Account account;
    Load load(16);
    store.commit(load.next(account));
    const auto error = [&](const fs::path& to, bool replace = true) {
        return error_of<StoreError>([&] { back_up(file, to, replace); });
    };
    fs::create_symlink(file, folder / "link");
    CHECK_THAT(error(file), Contains("itself"));
    CHECK_THAT(error(folder / "link"), Contains("itself"));
    CHECK_THAT(error(folder.path / "." / "state.sqlite"), Contains("itself"));
    for (const char* suffix : {"-wal", "-shm"})
        CHECK_THAT(error(file.string() + suffix), Contains("belongs to"));
    put_bytes(copy, "mine");
    CHECK_THAT(error(copy, false), Contains("is there already") && Contains("--force"));
    CHECK(bytes_of(copy) == "mine");
    CHECK(error(copy) == "nothing was thrown");
    CHECK_THAT(error(folder.path), Contains("Is a directory"));
    CHECK_THAT(error("/dev/null"), Contains("is not a regular file"));
    CHECK_THAT(error(folder / "none/copy"), Contains("No such file or directory"));
    CHECK_THAT(error_of<StoreError>([&] { back_up(folder / "none", folder / "x", false); }),
               Contains("No such file or directory"));
    CHECK_THAT(error_of<StoreError>([&] { back_up(copy, file, true); }), Contains("in use by"));
    // What another left beside that name would be taken for the backup's.
    put_bytes(folder / "new.sqlite-wal", "left");
    CHECK_THAT(error(folder / "new.sqlite"), Contains("new.sqlite-wal") && Contains("remove it"));
    // A backup that fails leaves nothing.
    {
        Disk disk;
        disk.room = 2;
        CHECK_THAT(error(folder / "full.sqlite"), Contains("full"));
        disk.room = -1;
    }
    for (const auto& entry : fs::directory_iterator(folder.path))
        CHECK(entry.path().filename().string().rfind("full.sqlite", 0) != 0);
    store.commit(load.next(account));
    CHECK(text_of(store.load()) == text_of(account));
}
