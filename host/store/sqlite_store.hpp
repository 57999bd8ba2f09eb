// SPDX-License-Identifier: Apache-2.0
/// A store in an SQLite file. A change is on stable storage when commit() returns (S8).
///
/// One process at a time may write the file: it holds a lock (flock) on the file itself, so another
/// name of the file does not help. Others may read meanwhile. A program that writes without asking
/// for that lock is found out: before each change and once a second SQLite's files are compared
/// with what SQLite knows of them. Once a second, if another program has written, the objects are
/// compared with those of the account. When something is wrong no change is taken any more, since
/// it could be lost.
///
/// While the file is served, a change waits for another program's SQLite lock for 0.1 s at most,
/// and after that not at all until a change has succeeded.
///
/// Tables: `objects` (sequence, id, kind, body), in which new rows come last, so that a create
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

    /// Opens the file; with read_write it is made if it does not exist (mode 0600), and a file of
    /// an earlier schema is brought to the present one.
    /// @param owner to whom the file must belong; a new file belongs to them from then on. Nothing,
    /// with read_only: it may belong to anybody.
    /// @throws StoreError: the file belongs to another account or region, has an unknown schema, is
    /// damaged, does not exist, or is in use; the message says by whom.
    SqliteStore(const std::filesystem::path& file, Access access,
                const std::optional<Owner>& owner = {});
    ~SqliteStore() override;
    SqliteStore(const SqliteStore&) = delete;
    SqliteStore& operator=(const SqliteStore&) = delete;

    /// @throws StoreError when an object could not have been made by a request; it names object and
    /// member.
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
        int code = 0, error = 0;  ///< SQLite's code; errno, or 0
        std::string words;        ///< SQLite's message
    };
    /// A file descriptor. It must be closed after SQLite's own: closing any descriptor of a file
    /// ends all POSIX locks that the process has on that file, and so SQLite's.
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
    Descriptor file_;                   ///< has the lock, with read_write
    Descriptor log_file_, index_file_;  ///< SQLite's log and its index, once they are known
    unsigned long long log_ = 0;        ///< the log's inode
    std::int64_t size_ = 0;             ///< the file has at least so many bytes; 0: not open
    std::int64_t version_ = 0;          ///< SQLite's data_version: changes when others write
    bool foreign_ = false;              ///< others have changed what is stored
    bool patient_ = true;               ///< the last change succeeded, so a lock is waited for
    int patience_ = 0;                  ///< how long a lock is waited for, in milliseconds
    sqlite3* database_ = nullptr;
    std::map<std::string, sqlite3_stmt*> statements_;  ///< by their text, prepared once
    Owner owner_;
};

/// Copies a state file, as it is at one moment, into one new file (mode 0600), which is complete or
/// does not exist. It works while a process serves the file, and after one was killed.
/// @param replace whether `to` may exist already
/// @throws StoreError
void back_up(const std::filesystem::path& from, const std::filesystem::path& to, bool replace);

}  // namespace mirrornic
