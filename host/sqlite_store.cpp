// SPDX-License-Identifier: Apache-2.0
#include "sqlite_store.hpp"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "json_text.hpp"

namespace mirrornic {
namespace {

constexpr const char* schema_version = "2";
constexpr int application_id = 0x6d6e6963;  // "mnic", in the file's header
constexpr int busy_milliseconds = 5000;     // a reader of the file may hold it that long

constexpr const char* schema =
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE objects (sequence INTEGER PRIMARY KEY, id TEXT NOT NULL, kind INTEGER NOT NULL,"
    " body TEXT NOT NULL);"
    "CREATE TABLE tokens (action TEXT NOT NULL, token TEXT NOT NULL, parameters TEXT NOT NULL,"
    " reply TEXT NOT NULL, seconds INTEGER NOT NULL, PRIMARY KEY (action, token)) WITHOUT ROWID;";

// --- Bodies --------------------------------------------------------------------------------------

template <class T>
void set(Json& body, const char* name, const std::optional<T>& value) {
    if (value) body[name] = *value;
}

void set(Json& body, const char* name, const std::optional<PortRange>& range) {
    if (range) body[name] = {range->from, range->to};
}

template <class T>
void get(std::optional<T>& value, const Json& body, const char* name) {
    if (body.contains(name)) value = body[name].get<T>();
}

void get(std::optional<PortRange>& range, const Json& body, const char* name) {
    if (body.contains(name))
        range =
            PortRange{body[name].at(0).get<std::uint16_t>(), body[name].at(1).get<std::uint16_t>()};
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

void read_body(TrafficMirrorTarget& target, const Json& body) {
    target.type = TargetType(body.at("type").get<int>());
    target.address = body.at("address");
    target.owner_id = body.at("owner");
}

void read_body(TrafficMirrorFilter& filter, const Json& body) {
    filter.amazon_dns = body.at("amazon_dns");
}

void read_body(TrafficMirrorFilterRule& rule, const Json& body) {
    rule.filter_id = body.at("filter");
    rule.direction = body.at("egress") ? Direction::egress : Direction::ingress;
    rule.number = body.at("number");
    rule.accept = body.at("accept");
    rule.source = Cidr::parse(body.at("source"));
    rule.destination = Cidr::parse(body.at("destination"));
    get(rule.protocol, body, "protocol");
    get(rule.source_ports, body, "source_ports");
    get(rule.destination_ports, body, "destination_ports");
}

void read_body(TrafficMirrorSession& session, const Json& body) {
    session.interface_id = body.at("interface");
    session.target_id = body.at("target");
    session.filter_id = body.at("filter");
    session.owner_id = body.at("owner");
    session.number = body.at("number");
    session.vni = body.at("vni");
    get(session.packet_length, body, "packet_length");
}

template <class T>
Object read_object(const std::string& id, Sequence sequence, const Json& body) {
    T object;
    object.id = id;
    object.sequence = sequence;
    read_body(object, body);
    get(object.description, body, "description");
    object.tags = body.value("tags", Tags{});
    return object;
}

Object read_object(Kind kind, const std::string& id, Sequence sequence, const Json& body) {
    switch (kind) {
        case Kind::target:
            return read_object<TrafficMirrorTarget>(id, sequence, body);
        case Kind::filter:
            return read_object<TrafficMirrorFilter>(id, sequence, body);
        case Kind::rule:
            return read_object<TrafficMirrorFilterRule>(id, sequence, body);
        case Kind::session:
            return read_object<TrafficMirrorSession>(id, sequence, body);
    }
    throw std::runtime_error("object " + id + " is of unknown kind " + std::to_string(int(kind)));
}

}  // namespace

/// One use of a prepared statement: values in order, then run() or next().
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
    /// The next row; false: there is none.
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

private:
    SqliteStore& store_;
    sqlite3_stmt*& handle_;  ///< the store keeps it
    int bound_ = 0;
};

SqliteStore::SqliteStore(const std::filesystem::path& file, Access access,
                         const std::optional<Owner>& owner)
    : name_(file.string()) {
    if (access == Access::read_write) {  // SQLite would make the file readable for others
        const int made = ::open(name_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (made < 0) throw StoreError(name_ + ": " + std::strerror(errno));
        ::close(made);
    }
    const int flags = access == Access::read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
    if (sqlite3_open_v2(name_.c_str(), &database_, flags | SQLITE_OPEN_NOMUTEX, nullptr) !=
        SQLITE_OK) {
        const std::string why = database_ ? sqlite3_errmsg(database_) : "out of memory";
        sqlite3_close(database_);
        throw StoreError(name_ + ": " + why);
    }
    try {
        open(access, owner);
    } catch (...) {
        for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
        sqlite3_close(database_);
        throw;
    }
}

void SqliteStore::open(Access access, const std::optional<Owner>& owner) {
    try {
        sqlite3_busy_timeout(database_, busy_milliseconds);
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
                execute(schema);
                execute(("PRAGMA application_id=" + std::to_string(application_id)).c_str());
                set_note("schema", schema_version);
                set_note("account", owner->account_id);
                set_note("region", owner->region);
            });
        }
        if (const auto schema = note("schema"); schema != schema_version)
            throw StoreError(name_ + ": has schema version " + schema.value_or("none") +
                             ", this program knows version " + schema_version);
        owner_ = {note("account").value_or(""), note("region").value_or("")};
    } catch (const StoreError&) {
        throw;
    } catch (const std::exception& error) {
        throw StoreError(error.what());
    }
    if (owner && owner->account_id != owner_.account_id)
        throw StoreError(name_ + ": belongs to account " + owner_.account_id + ", not to " +
                         owner->account_id + "; give --account " + owner_.account_id +
                         " or another --state");
    if (owner && owner->region != owner_.region)
        throw StoreError(name_ + ": belongs to region " + owner_.region + ", not to " +
                         owner->region + "; give --region " + owner_.region +
                         " or another --state");
}

SqliteStore::~SqliteStore() {
    for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
    sqlite3_close(database_);
}

void SqliteStore::fail(int code) const { fail(code, sqlite3_errmsg(database_)); }

void SqliteStore::fail(int code, const std::string& why) const {
    const std::string message = name_ + ": " + why;
    switch (code & 0xff) {
        case SQLITE_FULL:
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
        case SQLITE_NOMEM:
            throw StoreUnavailable(message);
        default:
            throw std::runtime_error(message);
    }
}

void SqliteStore::execute(const char* sql) {
    if (const int code = sqlite3_exec(database_, sql, nullptr, nullptr, nullptr); code != SQLITE_OK)
        fail(code);
}

void SqliteStore::transaction(const std::function<void()>& write) {
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
    std::string message;
    int code;
    {
        Statement commit(*this, "COMMIT");
        code = commit.step();
        if (code == SQLITE_DONE) return;
        message = sqlite3_errmsg(database_);
    }
    roll_back();
    if ((code & 0xff) == SQLITE_IOERR) {
        // The log may end with all of it: taken back for us, but not for who opens the file after a
        // power cut. Something else is written in its place.
        sqlite3_exec(database_,
                     "INSERT INTO meta VALUES ('failed commits', 1) ON CONFLICT (key) DO UPDATE "
                     "SET value = value + 1",
                     nullptr, nullptr, nullptr);
    }
    fail(code, message);
}

Account SqliteStore::load() {
    Change all;
    // One snapshot of both tables.
    execute("BEGIN");
    const std::unique_ptr<SqliteStore, void (*)(SqliteStore*)> ended(this, [](SqliteStore* store) {
        sqlite3_exec(store->database_, "COMMIT", nullptr, nullptr, nullptr);
    });
    Statement objects(*this, "SELECT kind, id, sequence, body FROM objects ORDER BY sequence");
    while (objects.next()) {
        const std::string id = objects.text(1);
        try {
            all.put.push_back(read_object(Kind(objects.number(0)), id, Sequence(objects.number(2)),
                                          Json::parse(objects.text(3))));
        } catch (const std::exception& error) {
            throw StoreError(name_ + ": object " + id + " is damaged: " + error.what());
        }
    }
    Statement tokens(*this, "SELECT action, token, parameters, reply, seconds FROM tokens");
    while (tokens.next())
        all.tokens_put.push_back(
            {tokens.text(0), tokens.text(1), tokens.text(2), tokens.text(3),
             std::chrono::system_clock::time_point(std::chrono::seconds(tokens.number(4)))});
    Account account;
    account.apply(all);
    return account;
}

void SqliteStore::write(const Change& change) {
    for (const auto& each : change.erased)
        (Statement(*this, "DELETE FROM objects WHERE sequence = ?") << std::int64_t(each.sequence))
            .next();
    for (const auto& object : change.put)
        std::visit(
            [&](const auto& each) {
                Json body = body_of(each);
                if (!each.tags.empty()) body["tags"] = each.tags;
                (Statement(*this, "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)")
                 << std::int64_t(each.sequence) << each.id << std::int64_t(object.index())
                 << to_text(body))
                    .next();
            },
            object);
    for (const auto& [action, token] : change.tokens_erased)
        (Statement(*this, "DELETE FROM tokens WHERE action = ? AND token = ?") << action << token)
            .next();
    for (const auto& record : change.tokens_put)
        (Statement(*this, "INSERT OR REPLACE INTO tokens VALUES (?, ?, ?, ?, ?)")
         << record.action << record.token << record.parameters << record.reply
         << std::int64_t(
                std::chrono::duration_cast<std::chrono::seconds>(record.time.time_since_epoch())
                    .count()))
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

std::optional<std::string> SqliteStore::note(const std::string& key) {
    Statement select(*this, "SELECT value FROM meta WHERE key = ?");
    select << key;
    if (!select.next()) return std::nullopt;
    return select.text(0);
}

void SqliteStore::set_note(const std::string& key, const std::string& value) {
    (Statement(*this, "INSERT OR REPLACE INTO meta VALUES (?, ?)") << key << value).next();
}

}  // namespace mirrornic
