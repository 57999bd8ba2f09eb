// SPDX-License-Identifier: Apache-2.0
/// The account in an SQLite file: a change is on stable storage when commit() returns (S8).
/// One process at a time writes it, whatever name it is opened by: it holds a lock (flock) on the
/// file itself. Others may read beside it. What writes it all the same, without asking for that
/// lock, is found out: before each change and once a second SQLite's files are compared with what
/// SQLite knows of them, and once a second the objects with those of the account when another
/// program has written. Then no change is taken, which a kill could lose.
///
/// Nobody waits long for another program's lock while the file is served: at most 0.1 s, and not
/// at all after that until a change succeeds.
///
/// Tables: `objects` (sequence, id, kind, body), where new ones stand at the end, so that a create
/// writes one page; `tokens` (action, token, parameters, reply, seconds); `meta` (key, value) with
/// the schema's version, account and region. A body is JSON.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "host/account/store.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace mirrornic {

class SqliteStore : public Store {
public:
    using Owner = StoreOwner;
    enum class Access { read_only, read_write };

    /// Opens the file, or makes it (mode 0600). @param owner what the file must belong to, and
    /// belongs to once it is made; read-only without one: any.
    /// For writing, a file of an earlier schema is brought to today's.
    /// @throws StoreError: another account, region or schema, damaged, not there, in use (by whom).
    SqliteStore(const std::filesystem::path& file, Access access,
                const std::optional<Owner>& owner = {});
    ~SqliteStore() override;
    SqliteStore(const SqliteStore&) = delete;
    SqliteStore& operator=(const SqliteStore&) = delete;

    /// @throws StoreError that names the object and member that no request would have made.
    Account load() override;
    void commit(const std::vector<Change>& changes) override;
    void probe() override;
    void look(const Account& account) override;

    std::optional<std::string> note(const std::string& key) override;
    void commit(const Change& change, const std::string& key, const std::string& value) override;

    const Owner& owner() const { return owner_; }

private:
    friend void back_up(const std::filesystem::path& from, const std::filesystem::path& to,
                        bool replace);
    class Statement;
    struct Failure {
        int code = 0, error = 0;  ///< SQLite's; errno, or 0
        std::string words;        ///< SQLite's
    };
    /// Closed after SQLite's: closing any descriptor of a file ends the locks that the process has
    /// on it (POSIX), SQLite's among them.
    struct Descriptor {
        int fd = -1;
        ~Descriptor();
    };
    std::string immutable_uri() const;
    void check_place();
    void check_log(const char* log);
    bool holds(const Account& account);
    std::int64_t data_version();
    void open(Access access, const std::optional<Owner>& owner);
    void execute(const char* sql);
    void write(const Change& change);
    void set_note(const std::string& key, const std::string& value);
    void transaction(const std::function<void()>& write);
    [[noreturn]] void fail(int code) const;
    [[noreturn]] void fail_foreign() const;
    [[noreturn]] void fail(const Failure& failure) const;

    std::string name_;
    Descriptor file_;                   ///< with the lock, when it may be written
    Descriptor log_file_, index_file_;  ///< SQLite's log and its index, once they are known
    unsigned long long log_ = 0;        ///< the log's inode
    std::int64_t size_ = 0;             ///< of the file, at least; 0 before it is opened
    std::int64_t version_ = 0;          ///< SQLite's number of what others have written
    bool foreign_ = false;              ///< others have changed what is stored
    bool patient_ = true;               ///< no lock of another program has been waited for
    int patience_ = 0;                  ///< milliseconds
    sqlite3* database_ = nullptr;
    std::map<std::string, sqlite3_stmt*> statements_;  ///< by their text, prepared once
    Owner owner_;
};

/// Copies a state file as it is at one moment, beside a process that serves it or after one that
/// was killed, into one new file (mode 0600) that is whole or not there.
/// @param replace whether `to` may be there already
/// @throws StoreError
void back_up(const std::filesystem::path& from, const std::filesystem::path& to, bool replace);

}  // namespace mirrornic
