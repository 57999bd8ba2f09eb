// SPDX-License-Identifier: Apache-2.0
#include "host/store/sqlite_store.hpp"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <set>
#include <type_traits>
#include <unordered_set>

#include "driver/access/file_lock.hpp"
#include "host/base/json_text.hpp"
#include "host/ec2/account_check.hpp"

namespace mirrornic {
namespace {

constexpr const char* schema_version = "2";
constexpr int application_id = 0x6d6e6963;  // "mnic", in the file's header
// How many milliseconds another program's lock is waited for: when the file is opened, and while it
// is served.
constexpr int patience_at_the_start = 5000, patience_of_a_change = 100;
constexpr std::int64_t last_sequence = std::int64_t{1} << 62;
constexpr std::int64_t last_second = 9'000'000'000;  // what a time in nanoseconds holds

constexpr const char* create_schema =
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE objects (sequence INTEGER PRIMARY KEY, id TEXT NOT NULL, kind INTEGER NOT NULL,"
    " body TEXT NOT NULL);"
    "CREATE TABLE tokens (action TEXT NOT NULL, token TEXT NOT NULL, parameters TEXT NOT NULL,"
    " reply TEXT NOT NULL, seconds INTEGER NOT NULL, PRIMARY KEY (action, token)) WITHOUT ROWID;";

// In version 1 the rows of the objects were in the order of ids. The bodies are the same.
constexpr const char* upgrade_from_1 =
    "ALTER TABLE objects RENAME TO objects_1;"
    "CREATE TABLE objects (sequence INTEGER PRIMARY KEY, id TEXT NOT NULL, kind INTEGER NOT NULL,"
    " body TEXT NOT NULL);"
    "INSERT INTO objects SELECT sequence, id, kind, body FROM objects_1;"
    "DROP TABLE objects_1;";

// --- Bodies --------------------------------------------------------------------------------------

template <class T>
void set(Json& body, const char* name, const std::optional<T>& value) {
    if (value) body[name] = *value;
}

void set(Json& body, const char* name, const std::optional<PortRange>& range) {
    if (range) body[name] = {range->from, range->to};
}

Json body_of(const TrafficMirrorTarget& target) {
    Json body = {
        {"type", int(target.type)}, {"address", target.address}, {"owner", target.owner_id}};
    set(body, "description", target.description);
    return body;
}

Json body_of(const TrafficMirrorFilter& filter) {
    Json body = {{"amazon_dns", filter.amazon_dns}};
    set(body, "description", filter.description);
    return body;
}

Json body_of(const TrafficMirrorFilterRule& rule) {
    Json body = {{"filter", rule.filter_id},
                 {"egress", rule.direction == Direction::egress},
                 {"number", rule.number},
                 {"accept", rule.accept},
                 {"source", rule.source.to_string()},
                 {"destination", rule.destination.to_string()}};
    set(body, "protocol", rule.protocol);
    set(body, "source_ports", rule.source_ports);
    set(body, "destination_ports", rule.destination_ports);
    set(body, "description", rule.description);
    return body;
}

Json body_of(const TrafficMirrorSession& session) {
    Json body = {{"interface", session.interface_id}, {"target", session.target_id},
                 {"filter", session.filter_id},       {"owner", session.owner_id},
                 {"number", session.number},          {"vni", session.vni}};
    set(body, "packet_length", session.packet_length);
    set(body, "description", session.description);
    return body;
}

/// A time as it is stored, in seconds.
std::string body_text(const Object& object) {
    return std::visit(
        [](const auto& each) {
            Json body = body_of(each);
            if (!each.tags.empty()) body["tags"] = each.tags;
            return to_text(body);
        },
        object);
}

std::int64_t stored_seconds(std::chrono::system_clock::time_point time) {
    return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

/// Reads a stored object member by member. A member of a wrong type is an error; nothing is
/// converted.
class Body {
public:
    explicit Body(const std::string& text) : json_(parse_json(text)) {
        if (!json_.is_object()) throw std::runtime_error("its body is not a JSON object");
    }

    void get(bool& value, const char* name) { value = as<bool>(name, required(name)); }
    void get(std::string& value, const char* name) {
        value = as<std::string>(name, required(name));
    }
    template <class Number, class = std::enable_if_t<std::is_integral_v<Number>>>
    void get(Number& value, const char* name) {
        value = as<Number>(name, required(name));
    }
    void get(Cidr& value, const char* name) {
        const auto text = as<std::string>(name, required(name));
        try {
            value = Cidr::parse(text);
        } catch (const std::invalid_argument&) {
            fail(name, shown(text) + " is not a CIDR block");
        }
        if (value.to_string() != text)
            fail(name, shown(text) + " is not in its canonical form, " + value.to_string());
    }
    template <class T>
    void get(std::optional<T>& value, const char* name) {
        if (const Json* member = find(name)) value = as<T>(name, *member);
    }
    void get(Tags& tags, const char* name) {
        const Json* member = find(name);
        if (!member) return;
        if (!member->is_object()) fail(name, shown(*member) + " is not an object");
        for (const auto& [key, value] : member->items()) tags[key] = as<std::string>(name, value);
    }
    /// To be called at the end: fails if a member was not read.
    void end() const {
        for (const auto& [name, value] : json_.items())
            if (known_.count(name) == 0) fail(name, "is not known");
    }

private:
    [[noreturn]] static void fail(const std::string& name, const std::string& why) {
        throw std::runtime_error("member " + shown(name) + ": " + why);
    }
    const Json* find(const char* name) {
        known_.insert(name);
        const auto at = json_.find(name);
        return at == json_.end() ? nullptr : &*at;
    }
    const Json& required(const char* name) {
        if (const Json* member = find(name)) return *member;
        fail(name, "is missing");
    }
    template <class T>
    static T as(const char* name, const Json& value) {
        if constexpr (std::is_same_v<T, bool>) {
            if (!value.is_boolean()) fail(name, shown(value) + " is neither true nor false");
            return value.get<bool>();
        } else if constexpr (std::is_same_v<T, std::string>) {
            if (!value.is_string()) fail(name, shown(value) + " is not a string");
            return value.get<std::string>();
        } else if constexpr (std::is_same_v<T, PortRange>) {
            if (!value.is_array() || value.size() != 2)
                fail(name, shown(value) + " is not a list of two ports");
            return {as<std::uint16_t>(name, value[0]), as<std::uint16_t>(name, value[1])};
        } else {
            const auto most = std::uint64_t(std::numeric_limits<T>::max());
            if (!value.is_number_unsigned() || value.get<std::uint64_t>() > most)
                fail(name,
                     shown(value) + " is not a whole number from 0 to " + std::to_string(most));
            return value.get<T>();
        }
    }

    Json json_;
    std::set<std::string> known_;
};

void read_body(TrafficMirrorTarget& target, Body& body) {
    std::uint8_t type = 0;
    body.get(type, "type");
    if (type > std::uint8_t(TargetType::gateway_load_balancer_endpoint))
        throw std::runtime_error("member \"type\": " + std::to_string(type) +
                                 " is not a whole number from 0 to 2");
    target.type = TargetType(type);
    body.get(target.address, "address");
    body.get(target.owner_id, "owner");
}

void read_body(TrafficMirrorFilter& filter, Body& body) {
    body.get(filter.amazon_dns, "amazon_dns");
}

void read_body(TrafficMirrorFilterRule& rule, Body& body) {
    bool egress = false;
    body.get(rule.filter_id, "filter");
    body.get(egress, "egress");
    rule.direction = egress ? Direction::egress : Direction::ingress;
    body.get(rule.number, "number");
    body.get(rule.accept, "accept");
    body.get(rule.source, "source");
    body.get(rule.destination, "destination");
    body.get(rule.protocol, "protocol");
    body.get(rule.source_ports, "source_ports");
    body.get(rule.destination_ports, "destination_ports");
}

void read_body(TrafficMirrorSession& session, Body& body) {
    body.get(session.interface_id, "interface");
    body.get(session.target_id, "target");
    body.get(session.filter_id, "filter");
    body.get(session.owner_id, "owner");
    body.get(session.number, "number");
    body.get(session.vni, "vni");
    body.get(session.packet_length, "packet_length");
}

template <class T>
Object read_object(const std::string& id, Sequence sequence, const std::string& text) {
    Body body(text);
    T object;
    object.id = id;
    object.sequence = sequence;
    read_body(object, body);
    body.get(object.description, "description");
    body.get(object.tags, "tags");
    body.end();
    return object;
}

Object read_object(std::int64_t kind, const std::string& id, Sequence sequence,
                   const std::string& body) {
    switch (kind) {
        case std::int64_t(Kind::target):
            return read_object<TrafficMirrorTarget>(id, sequence, body);
        case std::int64_t(Kind::filter):
            return read_object<TrafficMirrorFilter>(id, sequence, body);
        case std::int64_t(Kind::rule):
            return read_object<TrafficMirrorFilterRule>(id, sequence, body);
        case std::int64_t(Kind::session):
            return read_object<TrafficMirrorSession>(id, sequence, body);
    }
    throw std::runtime_error("it is of unknown kind " + std::to_string(kind));
}

// --- Files ---------------------------------------------------------------------------------------

/// The ends of the names of the files that SQLite keeps beside a database.
constexpr const char* companions[] = {"-wal", "-shm", "-journal"};

/// What SQLite knows of its log (the write-ahead log). It is the beginning of the log's index, in
/// this host's byte order. Source: sqlite.org/walformat.html, 2.1.
struct IndexHeader {
    std::uint32_t version, unused, changes;
    std::uint8_t initialized, big_endian_checksums;
    std::uint16_t page_size;  ///< bytes; 1 stands for 65,536
    std::uint32_t frames, pages, checksum_of_last_frame[2];
    std::uint8_t salts[8];  ///< the same as in the log
    std::uint32_t checksum[2];
};
static_assert(sizeof(IndexHeader) == 48);
constexpr std::size_t log_header_bytes = 32, frame_header_bytes = 24;

std::uint32_t big_endian(const std::uint8_t* bytes) {
    return std::uint32_t(bytes[0]) << 24 | std::uint32_t(bytes[1]) << 16 |
           std::uint32_t(bytes[2]) << 8 | bytes[3];
}

bool read_at(int file, void* out, std::size_t size, std::uint64_t at) {
    return ::pread(file, out, size, off_t(at)) == ssize_t(size);
}

/// Whether the log ends with the frame that its index names as the last one.
bool agrees(int log, const IndexHeader& index) {
    if (!index.initialized || index.frames == 0) return true;
    const std::uint64_t page = index.page_size == 1 ? 65536 : index.page_size;
    const std::uint64_t last = log_header_bytes + (index.frames - 1) * (frame_header_bytes + page);
    std::uint8_t header[log_header_bytes], frame[frame_header_bytes], end = 0;
    return read_at(log, header, sizeof header, 0) && read_at(log, frame, sizeof frame, last) &&
           read_at(log, &end, 1, last + frame_header_bytes + page - 1) &&
           std::memcmp(header + 16, index.salts, sizeof index.salts) == 0 &&
           std::memcmp(frame + 8, index.salts, sizeof index.salts) == 0 &&
           big_endian(frame + 16) == index.checksum_of_last_frame[0] &&
           big_endian(frame + 20) == index.checksum_of_last_frame[1];
}

/// Reads of a file what check_place() needs. False: there is no such file. The file's times are not
/// read: after that, Linux 6.13 and later give the next write a new time (multigrain timestamps),
/// which fdatasync() would have to write too.
bool place_of(int folder, const char* name, int flags, struct statx& place) {
    return ::statx(folder, name, flags, STATX_TYPE | STATX_INO | STATX_SIZE, &place) == 0;
}

bool same(const struct statx& a, const struct statx& b) {
    return a.stx_dev_major == b.stx_dev_major && a.stx_dev_minor == b.stx_dev_minor &&
           a.stx_ino == b.stx_ino;
}

bool same(const struct stat& a, const struct stat& b) {
    return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/// Checks that a file can be a database. @throws StoreError.
void check_file(const std::string& name, const struct stat& status) {
    if (S_ISDIR(status.st_mode)) throw StoreError(name + ": " + std::strerror(EISDIR));
    if (!S_ISREG(status.st_mode))
        throw StoreError(name + ": is not a regular file, and cannot keep a state");
    if (status.st_nlink > 1)
        throw StoreError(
            name + ": has " + std::to_string(status.st_nlink) +
            " names (hard links), and what is written last stands in a file beside one "
            "of them; remove the other names, and name the one that it was used by");
}

}  // namespace

/// One use of a prepared statement: its values are given in order, then run() or next() is called.
class SqliteStore::Statement {
public:
    Statement(SqliteStore& store, const char* sql)
        : store_(store), handle_(store.statements_[sql]) {
        if (handle_) return;
        const int code = sqlite3_prepare_v2(store.database_, sql, -1, &handle_, nullptr);
        if (code != SQLITE_OK) store.fail(code);
    }
    ~Statement() {
        sqlite3_reset(handle_);
        sqlite3_clear_bindings(handle_);
    }
    Statement(const Statement&) = delete;

    Statement& operator<<(const std::string& text) {
        sqlite3_bind_text(handle_, ++bound_, text.data(), int(text.size()), SQLITE_TRANSIENT);
        return *this;
    }
    Statement& operator<<(std::int64_t number) {
        sqlite3_bind_int64(handle_, ++bound_, number);
        return *this;
    }
    /// Goes to the next row. False: there is none.
    bool next() {
        const int code = step();
        if (code != SQLITE_ROW && code != SQLITE_DONE) store_.fail(code);
        return code == SQLITE_ROW;
    }
    /// SQLite's result code.
    int step() { return sqlite3_step(handle_); }
    std::string text(int column) const {
        const auto* bytes = sqlite3_column_text(handle_, column);
        return bytes ? std::string(reinterpret_cast<const char*>(bytes),
                                   std::size_t(sqlite3_column_bytes(handle_, column)))
                     : std::string();
    }
    std::int64_t number(int column) const { return sqlite3_column_int64(handle_, column); }
    /// The same for a column that must not be null. @throws std::runtime_error
    std::string stored_text(int column) const {
        if (sqlite3_column_type(handle_, column) != SQLITE_TEXT)
            throw std::runtime_error(wrong_type(column, "text"));
        return text(column);
    }
    std::int64_t stored_number(int column) const {
        if (sqlite3_column_type(handle_, column) != SQLITE_INTEGER)
            throw std::runtime_error(wrong_type(column, "whole number"));
        return number(column);
    }

private:
    std::string wrong_type(int column, const char* wanted) const {
        return std::string("column ") + sqlite3_column_name(handle_, column) + " holds no " +
               wanted;
    }

    SqliteStore& store_;
    sqlite3_stmt*& handle_;  ///< the store keeps it
    int bound_ = 0;
};

SqliteStore::Descriptor::~Descriptor() {
    if (fd >= 0) ::close(fd);
}

SqliteStore::SqliteStore(const std::filesystem::path& file, Access access,
                         const std::optional<Owner>& owner)
    : name_(file.string()) {
    struct stat status {};
    if (access == Access::read_write) {
        // SQLite would make the file readable for others. O_NONBLOCK: of a FIFO too.
        file_.fd = ::open(name_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
        if (file_.fd < 0 || ::fstat(file_.fd, &status) != 0)
            throw StoreError(name_ + ": " + std::strerror(errno));
        check_file(name_, status);
        try {
            lock_file(file_.fd, name_ + ": the contents");
        } catch (const std::runtime_error& error) {
            throw StoreError(std::string(error.what()) + "; stop it first, or name another");
        }
    } else {
        if (::stat(name_.c_str(), &status) != 0)
            throw StoreError(name_ + ": " + std::strerror(errno));
        check_file(name_, status);
    }
    const std::string uri = access == Access::read_only ? immutable_uri() : "";
    const int flags = (access == Access::read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE) |
                      (uri.empty() ? 0 : SQLITE_OPEN_URI);
    if (sqlite3_open_v2(uri.empty() ? name_.c_str() : uri.c_str(), &database_,
                        flags | SQLITE_OPEN_NOMUTEX, nullptr) != SQLITE_OK) {
        const std::string why = database_ ? sqlite3_errmsg(database_) : "out of memory";
        sqlite3_close(database_);
        throw StoreError(name_ + ": " + why);
    }
    try {
        open(access, owner);
        if (access == Access::read_write) {
            version_ = data_version();
            size_ = 1;  // looked at from now on
            check_place();
            patience_ = patience_of_a_change;
        }
    } catch (...) {
        for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
        sqlite3_close(database_);
        throw;
    }
}

/// A name by which SQLite can read a database in a folder that may not be written, if it has no
/// log. By its usual name SQLite would have to make files beside it. Empty: the usual name can be
/// used.
std::string SqliteStore::immutable_uri() const {
    const auto path = std::filesystem::weakly_canonical(name_).string();
    struct stat log {};
    if (::stat((path + "-wal").c_str(), &log) == 0 && log.st_size != 0) return "";
    if (::access(std::filesystem::path(path).parent_path().c_str(), W_OK) == 0) return "";
    std::string uri = "file:";
    for (const char c : path) {
        char escaped[4];
        std::snprintf(escaped, sizeof escaped, "%%%02x", static_cast<unsigned char>(c));
        uri += escaped;
    }
    return uri + "?immutable=1";
}

void SqliteStore::open(Access access, const std::optional<Owner>& owner) {
    std::string schema;
    try {
        patience_ = patience_at_the_start;
        sqlite3_busy_timeout(database_, patience_);
        execute("PRAGMA trusted_schema=OFF");
        std::int64_t tables, id;
        {
            Statement count(*this, "SELECT count(*) FROM sqlite_schema");
            count.next();
            tables = count.number(0);
        }
        {
            Statement header(*this, "PRAGMA application_id");
            header.next();
            id = header.number(0);
        }
        const bool fresh = tables == 0 && access == Access::read_write && owner;
        if (!fresh && id != application_id)
            throw StoreError(name_ + ": not a state file of mirrornic");
        if (access == Access::read_write) {
            execute("PRAGMA journal_mode=WAL");
            execute("PRAGMA synchronous=FULL");
        }
        if (fresh) {
            transaction([&] {
                execute(create_schema);
                execute(("PRAGMA application_id=" + std::to_string(application_id)).c_str());
                set_note("schema", schema_version);
                set_note("account", owner->account_id);
                set_note("region", owner->region);
            });
        }
        schema = note("schema").value_or("none");
        if (schema != schema_version && schema != "1")
            throw StoreError(name_ + ": has schema version " + schema +
                             ", this program knows versions 1 to " + schema_version +
                             "; use the program that made it, or a later one");
        owner_ = {note("account").value_or(""), note("region").value_or("")};
    } catch (const StoreError&) {
        throw;
    } catch (const StoreUnavailable& error) {
        throw StoreError(error.what());
    } catch (const std::exception& error) {
        throw StoreError(std::string(error.what()) +
                         "; restore the file from a backup (mirrornic backup), or name another");
    }
    if (owner && owner->account_id != owner_.account_id)
        throw StoreError(name_ + ": belongs to account " + owner_.account_id + ", not to " +
                         owner->account_id + "; give --account " + owner_.account_id +
                         " or another --state");
    if (owner && owner->region != owner_.region)
        throw StoreError(name_ + ": belongs to region " + owner_.region + ", not to " +
                         owner->region + "; give --region " + owner_.region +
                         " or another --state");
    if (access == Access::read_only || schema == schema_version) return;
    try {
        transaction([&] {
            execute(upgrade_from_1);
            set_note("schema", schema_version);
        });
    } catch (const std::exception& error) {
        throw StoreError(std::string(error.what()) + "; the file of schema version " + schema +
                         " could not be upgraded, and is as it was");
    }
}

SqliteStore::~SqliteStore() {
    sqlite3_busy_timeout(database_, 0);
    for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
    sqlite3_close(database_);
}

void SqliteStore::fail(int code) const {
    fail({code, sqlite3_system_errno(database_), sqlite3_errmsg(database_)});
}

void SqliteStore::fail(const Failure& failure) const {
    std::string message = name_ + ": " + failure.words;
    switch (failure.code & 0xff) {
        case SQLITE_FULL:
        case SQLITE_NOMEM:
            throw StoreUnavailable(message);
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
            throw StoreUnavailable(message + " by another program");
        case SQLITE_IOERR:
        case SQLITE_CANTOPEN:
            if (failure.error == 0) break;
            message += std::string(" (") + std::strerror(failure.error) + ")";
            // These too mean that there is no room: a limit, a quota, or all descriptors are in
            // use.
            for (const int error : {EFBIG, EDQUOT, ENOSPC, EMFILE, ENFILE, ENOMEM})
                if (failure.error == error) throw StoreUnavailable(message);
    }
    throw std::runtime_error(message);
}

void SqliteStore::execute(const char* sql) {
    if (const int code = sqlite3_exec(database_, sql, nullptr, nullptr, nullptr); code != SQLITE_OK)
        fail(code);
}

/// Checks that the file and its log still have their names and begin as they must. What is written
/// to a file that has lost its name would be lost when the process ends. @throws StoreUnavailable.
void SqliteStore::check_place() {
    if (file_.fd < 0) return;
    struct statx mine {
    }, there{};
    if (!place_of(file_.fd, "", AT_EMPTY_PATH, mine) ||
        !place_of(AT_FDCWD, name_.c_str(), 0, there) || !same(mine, there))
        throw StoreUnavailable(
            name_ +
            ": the file was deleted or replaced while it is served; move it back "
            "to its place, or restart with a backup");
    const char* log = sqlite3_filename_wal(sqlite3_db_filename(database_, "main"));
    const bool found = place_of(AT_FDCWD, log, 0, there);
    if (found && log_ == 0) log_ = there.stx_ino;
    if (log_ != 0 && (!found || log_ != there.stx_ino))
        throw StoreUnavailable(std::string(log) +
                               ": the file's log was deleted or replaced while it is served; stop "
                               "the service, which writes what the log holds into the file, and "
                               "start it again");
    if (size_ == 0) return;
    char magic[16];
    if (std::int64_t(mine.stx_size) < size_ || !read_at(file_.fd, magic, sizeof magic, 0) ||
        std::memcmp(magic, "SQLite format 3", sizeof magic) != 0)
        throw StoreUnavailable(name_ +
                               ": the file was cut or overwritten while it is served; stop "
                               "the service, and restore the file from a backup");
    size_ = std::int64_t(mine.stx_size);
    if (found) check_log(log);
}

/// Checks that the log ends as its index says. The log has the last changes until SQLite writes
/// them into the file. If it is shorter or ends in another way, these changes and the next ones
/// would be lost when the process ends. @throws StoreUnavailable.
void SqliteStore::check_log(const char* log) {
    const auto open = [](Descriptor& file, const std::string& name) {
        if (file.fd < 0) file.fd = ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
        return file.fd >= 0;
    };
    if (index_file_.fd < 0) {
        const std::string name = log, base = name.substr(0, name.size() - std::strlen("-wal"));
        if (!open(log_file_, name) || !open(index_file_, base + "-shm")) {
            if (errno == ENOENT) return;
            throw StoreUnavailable(name + ": " + std::strerror(errno));
        }
    }
    // Another program may be writing at this moment, so a difference is looked at again.
    constexpr int tries = 3;
    for (int i = 0; i < tries; ++i) {
        IndexHeader header;
        if (read_at(index_file_.fd, &header, sizeof header, 0) && agrees(log_file_.fd, header))
            return;
    }
    throw StoreUnavailable(std::string(log) +
                           ": the file's log was cut or overwritten while it is served; what "
                           "was changed last may be lost: stop the service, look at what it "
                           "holds when it is started again, or restore a backup");
}

/// A number that changes when another program has written to the database.
std::int64_t SqliteStore::data_version() {
    Statement pragma(*this, "PRAGMA data_version");
    pragma.next();
    return pragma.number(0);
}

/// Whether the file has exactly the account's objects and tokens.
bool SqliteStore::holds(const Account& account) {
    std::size_t objects = 0, tokens = 0;
    Statement rows(*this, "SELECT kind, id, sequence, body FROM objects");
    while (rows.next()) {
        const auto object = account.object(rows.text(1));
        if (!object || std::int64_t(object->index()) != rows.number(0) ||
            std::visit([](const auto& each) { return std::int64_t(each.sequence); }, *object) !=
                rows.number(2) ||
            body_text(*object) != rows.text(3))
            return false;
        ++objects;
    }
    if (objects != account.targets().size() + account.filters().size() + account.rules().size() +
                       account.sessions().size())
        return false;
    Statement given(*this, "SELECT action, token, parameters, reply, seconds FROM tokens");
    while (given.next()) {
        const auto at = account.tokens().find({given.text(0), given.text(1)});
        if (at == account.tokens().end() || at->second.parameters != given.text(2) ||
            at->second.reply != given.text(3) || stored_seconds(at->second.time) != given.number(4))
            return false;
        ++tokens;
    }
    return tokens == account.tokens().size();
}

void SqliteStore::look(const Account& account) {
    check_place();
    sqlite3_busy_timeout(database_, 0);
    const std::int64_t version = data_version();
    if (version != version_) {
        foreign_ = !holds(account);
        version_ = version;
    }
    if (foreign_) fail_foreign();
}

void SqliteStore::fail_foreign() const {
    throw StoreUnavailable(name_ +
                           ": another program has changed what the file holds while it is "
                           "served; restart the service, which reads the file again");
}

void SqliteStore::transaction(const std::function<void()>& write) {
    check_place();
    if (foreign_) fail_foreign();
    sqlite3_busy_timeout(database_, std::exchange(patient_, false) ? patience_ : 0);
    const auto roll_back = [this] {
        if (!sqlite3_get_autocommit(database_))
            sqlite3_exec(database_, "ROLLBACK", nullptr, nullptr, nullptr);
    };
    Statement(*this, "BEGIN IMMEDIATE").next();
    try {
        write();
    } catch (...) {
        roll_back();
        throw;
    }
    Failure failure;
    {
        Statement commit(*this, "COMMIT");
        errno = 0;
        failure.code = commit.step();
        failure.error = errno;  // SQLite keeps none of a COMMIT
        patient_ = failure.code == SQLITE_DONE;
        if (patient_) return;
        failure.words = sqlite3_errmsg(database_);
    }
    roll_back();
    if ((failure.code & 0xff) == SQLITE_IOERR) {
        // The log may hold the whole change at its end. SQLite has rolled it back here, but after a
        // power cut it would be found and taken. So another change is written in its place.
        sqlite3_exec(database_,
                     "INSERT INTO meta VALUES ('failed commits', 1) ON CONFLICT (key) DO UPDATE "
                     "SET value = value + 1",
                     nullptr, nullptr, nullptr);
    }
    fail(failure);
}

Account SqliteStore::load() {
    Change all;
    std::string what;
    try {
        // A transaction, so that both tables are read as of one moment.
        execute("BEGIN");
        const std::unique_ptr<SqliteStore, void (*)(SqliteStore*)> ended(
            this, [](SqliteStore* store) {
                sqlite3_exec(store->database_, "COMMIT", nullptr, nullptr, nullptr);
            });
        std::unordered_set<std::string> ids;
        Statement objects(*this, "SELECT kind, id, sequence, body FROM objects ORDER BY sequence");
        Sequence last = 0;
        while (objects.next()) {
            what = "an object is damaged: ";
            const auto id = objects.stored_text(1);
            what = "object " + shown(id) + " is damaged: ";
            const auto sequence = objects.stored_number(2);
            if (sequence <= 0 || sequence > last_sequence)
                throw std::runtime_error("its sequence " + std::to_string(sequence) +
                                         " is not from 1 to " + std::to_string(last_sequence));
            if (Sequence(sequence) == last)
                throw std::runtime_error("its sequence " + std::to_string(sequence) +
                                         " is another object's too");
            if (!ids.insert(id).second) throw std::runtime_error("there are two of this id");
            last = Sequence(sequence);
            all.put.push_back(
                read_object(objects.stored_number(0), id, last, objects.stored_text(3)));
        }
        what.clear();
        Statement tokens(*this, "SELECT action, token, parameters, reply, seconds FROM tokens");
        while (tokens.next()) {
            what = "a client token is damaged: ";
            const auto token = tokens.stored_text(1);
            what = "client token " + shown(token) + " is damaged: ";
            const auto seconds = tokens.stored_number(4);
            if (seconds < 0 || seconds > last_second)
                throw std::runtime_error("its time " + std::to_string(seconds) +
                                         " is not in seconds since 1970");
            all.tokens_put.push_back(
                {tokens.stored_text(0), token, tokens.stored_text(2), tokens.stored_text(3),
                 std::chrono::system_clock::time_point(std::chrono::seconds(seconds))});
            check_token(all.tokens_put.back());
        }
        what = "object ";
        Account account;
        account.apply(all);
        check_account(account);
        return account;
    } catch (const std::exception& error) {
        if (what.empty()) throw;  // SQLite's words, with the file's name
        throw StoreError(name_ + ": " + what + error.what() +
                         "; restore the file from a backup (mirrornic backup)");
    }
}

void SqliteStore::write(const Change& change) {
    for (const auto& each : change.erased)
        (Statement(*this, "DELETE FROM objects WHERE sequence = ?") << std::int64_t(each.sequence))
            .next();
    for (const auto& object : change.put)
        std::visit(
            [&](const auto& each) {
                (Statement(*this, "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)")
                 << std::int64_t(each.sequence) << each.id << std::int64_t(object.index())
                 << body_text(object))
                    .next();
            },
            object);
    for (const auto& [action, token] : change.tokens_erased)
        (Statement(*this, "DELETE FROM tokens WHERE action = ? AND token = ?") << action << token)
            .next();
    for (const auto& record : change.tokens_put)
        (Statement(*this, "INSERT OR REPLACE INTO tokens VALUES (?, ?, ?, ?, ?)")
         << record.action << record.token << record.parameters << record.reply
         << stored_seconds(record.time))
            .next();
}

void SqliteStore::commit(const std::vector<Change>& changes) {
    transaction([&] {
        for (const Change& change : changes) write(change);
    });
}

void SqliteStore::commit(const Change& change, const std::string& key, const std::string& value) {
    transaction([&] {
        write(change);
        set_note(key, value);
    });
}

void SqliteStore::probe() {
    patient_ = false;
    transaction([&] { set_note("probe", "1"); });
}

std::optional<std::string> SqliteStore::note(const std::string& key) {
    Statement select(*this, "SELECT value FROM meta WHERE key = ?");
    select << key;
    if (!select.next()) return std::nullopt;
    return select.text(0);
}

void SqliteStore::set_note(const std::string& key, const std::string& value) {
    (Statement(*this, "INSERT OR REPLACE INTO meta VALUES (?, ?)") << key << value).next();
}

void back_up(const std::filesystem::path& from, const std::filesystem::path& to, bool replace) {
    namespace fs = std::filesystem;
    SqliteStore source(from, SqliteStore::Access::read_only);
    const std::string name = to.string();
    const auto fail = [&](const std::string& why) { throw StoreError(name + ": " + why); };
    struct stat ours {
    }, there{};
    if (::stat(from.c_str(), &ours) != 0)
        throw StoreError(from.string() + ": " + std::strerror(errno));
    for (const char* companion : companions) {
        struct stat theirs {};
        if (::stat((fs::canonical(from).string() + companion).c_str(), &theirs) == 0 &&
            ::stat(name.c_str(), &there) == 0 && same(theirs, there))
            fail("belongs to " + from.string() + "; name another file");
    }
    SqliteStore::Descriptor old;
    if (::stat(name.c_str(), &there) == 0) {
        if (same(ours, there)) fail("is " + from.string() + " itself; name another file");
        if (!replace) fail("is there already; name another file, or give --force to replace it");
        check_file(name, there);
        old.fd = ::open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (old.fd < 0) fail(std::strerror(errno));
        try {
            lock_file(old.fd, name + ": the contents");
        } catch (const std::runtime_error& error) {
            throw StoreError(std::string(error.what()) + "; stop it first, or name another file");
        }
    }
    const fs::path place = fs::weakly_canonical(fs::absolute(to));
    for (const char* companion : {"-wal", "-journal"})  // a reader may have left an empty one
        if (::stat((place.string() + companion).c_str(), &there) == 0 && there.st_size != 0)
            throw StoreError(
                place.string() + companion +
                ": was left by another state file of this name, and would be taken for "
                "the backup's; remove it, or name another file");

    // The copy is made under another name, and renamed when it is complete.
    std::string temporary = place.string() + ".XXXXXX";
    const int made = ::mkostemp(temporary.data(), O_CLOEXEC);  // mode 0600
    if (made < 0) fail(std::strerror(errno));
    ::close(made);
    sqlite3* copy = nullptr;
    try {
        const auto check = [&](int code) {
            if (code != SQLITE_OK && code != SQLITE_DONE)
                fail(copy ? sqlite3_errmsg(copy) : sqlite3_errstr(code));
        };
        check(sqlite3_open_v2(temporary.c_str(), &copy, SQLITE_OPEN_READWRITE, nullptr));
        sqlite3_backup* backup = sqlite3_backup_init(copy, "main", source.database_, "main");
        if (!backup) check(sqlite3_errcode(copy));
        const int stepped = sqlite3_backup_step(backup, -1);
        sqlite3_backup_finish(backup);
        if (stepped == SQLITE_DONE)
            // One file, which can be read where nothing can be written.
            check(sqlite3_exec(copy, "PRAGMA journal_mode=DELETE", nullptr, nullptr, nullptr));
        else
            fail(sqlite3_errstr(stepped));
        check(sqlite3_close(copy));
        copy = nullptr;
        const auto sync = [&](const fs::path& path) {
            SqliteStore::Descriptor file;
            file.fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
            if (file.fd < 0 || ::fsync(file.fd) != 0)
                throw StoreError(path.string() + ": " + std::strerror(errno));
        };
        sync(temporary);
        const auto moved = ::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, place.c_str(),
                                       replace ? 0u : unsigned(RENAME_NOREPLACE));
        if (moved != 0 && (errno != EINVAL || ::rename(temporary.c_str(), place.c_str()) != 0))
            fail(std::strerror(errno));
        sync(place.parent_path());
    } catch (...) {
        sqlite3_close(copy);
        ::unlink(temporary.c_str());
        ::unlink((temporary + "-journal").c_str());
        throw;
    }
}

}  // namespace mirrornic
