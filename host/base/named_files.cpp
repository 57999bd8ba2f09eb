// SPDX-License-Identifier: Apache-2.0
#include "host/base/named_files.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <stdexcept>

namespace mirrornic {
namespace {

using Use = NamedFile::Use;

constexpr int most_links = 40;  // symbolic links that lead to one another; the kernel's limit

/// Two names with equal identities name one file.
struct Identity {
    dev_t device = 0;
    ino_t inode = 0;
    std::string name;  ///< if there is no file yet: device and inode are its folder's
    mode_t type = 0;   ///< the bits of S_IFMT; 0: no such file
    bool operator==(const Identity& other) const {
        return device == other.device && inode == other.inode && name == other.name;
    }
};

std::string folder_of(const std::string& path) {
    const auto slash = path.rfind('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

std::string last_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

std::optional<std::string> link_target(const std::string& path) {
    char target[PATH_MAX];
    const ssize_t size = ::readlink(path.c_str(), target, sizeof target);
    if (size <= 0 || size == sizeof target) return {};
    const std::string text(target, static_cast<std::size_t>(size));
    return text[0] == '/' ? text : folder_of(path) + "/" + text;
}

std::string without_slashes(std::string path) {
    while (path.size() > 1 && path.back() == '/') path.pop_back();
    return path;
}

/// Nothing: there can be no such file, because its folder does not exist.
std::optional<Identity> identity_of(std::string path) {
    struct stat status {};
    for (int links = 0; links < most_links; ++links) {
        path = without_slashes(path);
        if (::stat(path.c_str(), &status) == 0)
            return Identity{status.st_dev, status.st_ino, "", status.st_mode & S_IFMT};
        const auto target = link_target(path);  // of a link to what is not there yet
        if (!target) break;
        path = *target;
    }
    if (::stat(folder_of(path).c_str(), &status) != 0) return {};
    return Identity{status.st_dev, status.st_ino, last_name(path), 0};
}

std::optional<Identity> identity_of(int descriptor) {
    struct stat status {};
    if (::fstat(descriptor, &status) != 0) return {};
    return Identity{status.st_dev, status.st_ino, "", status.st_mode & S_IFMT};
}

bool writes(Use use) { return use != Use::input && use != Use::input_stream; }

/// The descriptor that the name stands for, or -1.
int stream_of(const NamedFile& file) {
    if (file.path != "-") return -1;
    if (file.use == Use::input_stream) return STDIN_FILENO;
    return file.use == Use::output_stream ? STDOUT_FILENO : -1;
}

std::string shown(const NamedFile& file) {
    const int stream = stream_of(file);
    return stream < 0 ? file.path : stream == STDIN_FILENO ? "standard input" : "standard output";
}

struct Compared {
    const NamedFile* option;
    std::string path;  ///< for messages
    std::optional<Identity> identity;
    bool companion = false;  ///< a file that SQLite keeps beside the database
};

/// All names of a database: the one given, and those to which symbolic links lead. SQLite keeps its
/// files beside the last one.
std::vector<std::string> names_of(std::string path) {
    std::vector<std::string> names{path};
    for (int links = 0; links < most_links; ++links) {
        const auto target = link_target(path);
        if (!target) break;
        names.push_back(path = *target);
    }
    return names;
}

std::vector<Compared> compared_of(const std::vector<NamedFile>& files) {
    std::vector<Compared> all;
    for (const NamedFile& file : files) {
        const int stream = stream_of(file);
        all.push_back(
            {&file, shown(file), stream < 0 ? identity_of(file.path) : identity_of(stream)});
        if (file.use != Use::database) continue;
        for (const std::string& name : names_of(file.path))
            for (const char* end : {"-wal", "-shm", "-journal"})
                all.push_back({&file, name + end, identity_of(name + end), true});
    }
    return all;
}

bool damages(const Compared& a, const Compared& b) {
    if (a.option == b.option) return false;
    if (!writes(a.option->use) && !writes(b.option->use)) return false;
    const int stream = stream_of(*a.option);
    if (stream == STDOUT_FILENO && stream == stream_of(*b.option)) return true;
    if (!a.identity || !b.identity || !(*a.identity == *b.identity)) return false;
    if (a.identity->type == S_IFCHR) return false;
    // A socket may be both an input and an output: what is read from it is not what was written to
    // it.
    return a.identity->type != S_IFSOCK || (writes(a.option->use) && writes(b.option->use));
}

}  // namespace

void check_files_apart(const std::vector<NamedFile>& files) {
    const std::vector<Compared> all = compared_of(files);
    for (std::size_t i = 0; i < all.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) {
            const Compared &first = all[j], &second = all[i];
            if (!damages(first, second)) continue;
            std::string message = first.path + " is named for " + first.option->option +
                                  (first.companion ? "'s database" : "") + " and ";
            if (second.path != first.path) message += "as " + second.path + " ";
            message += "for " + second.option->option + (second.companion ? "'s database" : "");
            throw std::invalid_argument(message + "; name two files");
        }
    }
    const auto messages = identity_of(STDERR_FILENO);
    for (const Compared& file : all) {
        if (!writes(file.option->use) || stream_of(*file.option) >= 0 || !messages ||
            !file.identity || !(*file.identity == *messages) || messages->type == S_IFCHR)
            continue;
        throw std::invalid_argument(file.path + " is named for " + file.option->option +
                                    " and standard error goes there; name two files");
    }
}

void add_file(std::vector<NamedFile>& files, const std::string& option,
              const std::optional<std::string>& path, Use use) {
    if (path) files.push_back({option, *path, use});
}

bool writes_standard_output(const std::vector<NamedFile>& files) {
    const auto standard = identity_of(STDOUT_FILENO);
    for (const NamedFile& file : files) {
        if (!writes(file.use)) continue;
        if (stream_of(file) == STDOUT_FILENO) return true;
        const auto identity = identity_of(file.path);
        if (standard && identity && *standard == *identity && identity->type != S_IFCHR)
            return true;
    }
    return false;
}

}  // namespace mirrornic
