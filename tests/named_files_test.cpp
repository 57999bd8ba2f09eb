// SPDX-License-Identifier: Apache-2.0
#include "host/base/named_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <stdexcept>

#include "catch.hpp"
#include "folder.hpp"

using namespace mirrornic;
using Use = NamedFile::Use;
using test::Folder;

namespace {

std::string complaint(const std::vector<NamedFile>& files) {
    try {
        check_files_apart(files);
    } catch (const std::invalid_argument& error) {
        return error.what();
    }
    return "";
}

/// What is said of two outputs, and of an input and an output either way round.
bool one_file(const std::string& first, const std::string& second) {
    const bool outputs = !complaint({{"--out", first, Use::output_stream},
                                     {"--forward", second, Use::output_stream}})
                              .empty();
    const bool input_first =
        !complaint({{"--config", first, Use::input}, {"--out", second, Use::output}}).empty();
    const bool output_first =
        !complaint({{"--out", first, Use::output}, {"--config", second, Use::input}}).empty();
    CHECK(outputs == input_first);
    CHECK(outputs == output_first);
    return outputs;
}

/// A folder with a file, a folder beside it, and links.
struct Files : Folder {
    Files() {
        std::ofstream(*this / "there") << "x";
        std::ofstream(*this / "other") << "x";
        REQUIRE(mkdir((*this / "sub").c_str(), 0700) == 0);
        REQUIRE(mkfifo((*this / "fifo").c_str(), 0600) == 0);
        REQUIRE(link((*this / "there").c_str(), (*this / "hard").c_str()) == 0);
        const std::pair<const char*, const char*> links[] = {
            {"there", "symbolic"},     {"symbolic", "twice"}, {"none", "dangling"},
            {"dangling", "dangling2"}, {"sub", "folder"},     {"sub/none", "deep"},
            {"circle", "circle"}};
        for (const auto& [target, name] : links)
            REQUIRE(symlink(target, (*this / name).c_str()) == 0);
        REQUIRE(symlink((*this / "none").c_str(), (*this / "absolute").c_str()) == 0);
    }
    std::string name(const std::string& name) const { return path.string() + "/" + name; }
};

/// A standard stream that is another file, for as long as this lives.
class Redirect {
public:
    Redirect(int stream, const std::string& path)
        : stream_(stream), before_(::dup(stream)), file_(::open(path.c_str(), O_RDWR)) {
        REQUIRE(file_ >= 0);
        ::dup2(file_, stream_);
    }
    ~Redirect() {
        ::dup2(before_, stream_);
        ::close(before_);
        ::close(file_);
    }
    Redirect(const Redirect&) = delete;

private:
    int stream_, before_, file_;
};

}  // namespace

TEST_CASE("two names of one file are found whatever they are, and whether or not it is there") {
    const Files files;
    const char* const same[][2] = {{"there", "there"},
                                   {"there", "./there"},
                                   {"there", "sub/../there"},
                                   {"there", "folder/../there"},
                                   {"there", "symbolic"},
                                   {"there", "twice"},
                                   {"there", "hard"},
                                   {"hard", "symbolic"},
                                   {"there", "there/"},
                                   {"none", "none"},
                                   {"none", "./none"},
                                   {"none", "sub/../none"},
                                   {"none", ".//none"},
                                   {"none", "none/"},
                                   {"none", "dangling"},
                                   {"none", "dangling2"},
                                   {"none", "absolute"},
                                   {"dangling", "absolute"},
                                   {"sub/none", "folder/none"},
                                   {"sub/none", "deep"},
                                   {"fifo", "fifo"},
                                   {"fifo", "./fifo"}};
    const char* const different[][2] = {{"there", "other"},         {"there", "none"},
                                        {"none", "none2"},          {"none", "sub/none"},
                                        {"there", "dangling"},      {"there", "sub/there"},
                                        {"no/folder", "no/folder"},  // which cannot be opened
                                        {"none", "circle"},         {"fifo", "there"}};
    for (const auto& pair : same) {
        INFO(pair[0] << " and " << pair[1]);
        CHECK(one_file(files.name(pair[0]), files.name(pair[1])));
        CHECK(one_file(files.name(pair[1]), files.name(pair[0])));
    }
    for (const auto& pair : different) {
        INFO(pair[0] << " and " << pair[1]);
        CHECK_FALSE(one_file(files.name(pair[0]), files.name(pair[1])));
        CHECK_FALSE(one_file(files.name(pair[1]), files.name(pair[0])));
    }
}

TEST_CASE("a name without a folder is beside one with it") {
    const Files files;
    const int before = ::open(".", O_RDONLY);
    REQUIRE(::chdir(files.path.c_str()) == 0);
    const bool there = one_file("there", files.name("there")),
               none = one_file("none", files.name("none")), folder = one_file("none", "./none");
    REQUIRE(::fchdir(before) == 0);
    ::close(before);
    CHECK(there);
    CHECK(none);
    CHECK(folder);
}

TEST_CASE("character devices, and files that are only read, may be named twice") {
    const Files files;
    CHECK_FALSE(one_file("/dev/null", "/dev/null"));
    CHECK_FALSE(one_file("/dev/full", "/dev/full"));
    CHECK(complaint({{"--config", files.name("there"), Use::input},
                     {"--in", files.name("hard"), Use::input_stream},
                     {"--tls-cert", files.name("there"), Use::input}}) == "");
}

TEST_CASE("a database counts with the files that SQLite keeps beside it, under each of its names") {
    const Files files;
    for (const char* state : {"there", "symbolic", "twice", "none", "dangling", "dangling2"}) {
        const std::string own = std::string(state)[0] == 'n' || state[0] == 'd' ? "none" : "there";
        for (const char* end : {"", "-wal", "-shm", "-journal"}) {
            for (const std::string& name : {std::string(state), own}) {
                INFO(state << ", " << name << end);
                CHECK_FALSE(complaint({{"--out", files.name(name + end), Use::output},
                                       {"--state", files.name(state), Use::database}})
                                .empty());
            }
        }
        CHECK(complaint({{"--out", files.name("other"), Use::output},
                         {"--state", files.name(state), Use::database}}) == "");
    }
    CHECK_FALSE(complaint({{"--state", files.name("there"), Use::database},
                           {"--config", files.name("hard"), Use::input}})
                    .empty());
}

TEST_CASE("the message names the file as it was given, and both options") {
    const Files files;
    CHECK(complaint({{"--out", files.name("there"), Use::output},
                     {"--state", files.name("there"), Use::database}}) ==
          files.name("there") + " is named for --out and for --state; name two files");
    CHECK(complaint({{"--in", files.name("there"), Use::input},
                     {"--stats", files.name("hard"), Use::output}}) ==
          files.name("there") + " is named for --in and as " + files.name("hard") +
              " for --stats; name two files");
    CHECK(complaint({{"--out", files.name("none-wal"), Use::output},
                     {"--state", files.name("none"), Use::database}}) ==
          files.name("none-wal") +
              " is named for --out and for --state's database; name two files");
}

TEST_CASE("the name - is a file's where an option takes no stream") {
    const Files files;
    const int before = ::open(".", O_RDONLY);
    REQUIRE(::chdir(files.path.c_str()) == 0);
    const auto twice = complaint({{"--config", "-", Use::input}, {"--stats", "-", Use::output}});
    std::string apart = complaint({{"--state", "-", Use::database},
                                   {"--in", "-", Use::input_stream},
                                   {"--out", "-", Use::output_stream}});
    REQUIRE(::fchdir(before) == 0);
    ::close(before);
    CHECK(twice == "- is named for --config and for --stats; name two files");
    CHECK(apart == "");
}

TEST_CASE("standard streams are the files that they were directed to") {
    const Files files;
    const NamedFile in{"--in", "-", Use::input_stream}, out{"--out", "-", Use::output_stream};
    std::string with_itself, with_file, with_device, read, with_other, as_input, messages,
        not_messages;
    bool writes = false, writes_too = false, writes_not = true, null = true;
    {
        const Redirect output(STDOUT_FILENO, files.name("there"));
        const Redirect input(STDIN_FILENO, files.name("other"));
        with_itself = complaint({out, {"--decisions", "-", Use::output_stream}});
        with_file = complaint({out, {"--decisions", files.name("hard"), Use::output}});
        with_device = complaint({out, {"--decisions", "/dev/stdout", Use::output}});
        with_other = complaint({out, {"--decisions", files.name("none"), Use::output}});
        as_input = complaint({out, {"--config", files.name("there"), Use::input}});
        read = complaint({in, {"--out", files.name("other"), Use::output}});
        writes = writes_standard_output({out});
        writes_too = writes_standard_output({{"--out", files.name("hard"), Use::output}});
        writes_not = writes_standard_output(
            {{"--out", files.name("other"), Use::output}, {"--in", "-", Use::input_stream}});
    }
    {
        const Redirect output(STDOUT_FILENO, "/dev/null");
        null = writes_standard_output({{"--out", "/dev/null", Use::output}});
    }
    {
        const Redirect error(STDERR_FILENO, files.name("there"));
        messages = complaint({{"--out", files.name("hard"), Use::output}});
        not_messages = complaint({{"--out", files.name("other"), Use::output}});
    }
    CHECK(with_itself == "standard output is named for --out and for --decisions; name two files");
    CHECK_FALSE(with_file.empty());
    CHECK_FALSE(with_device.empty());
    CHECK(with_other == "");
    CHECK_FALSE(as_input.empty());
    CHECK_FALSE(read.empty());
    CHECK(writes);
    CHECK(writes_too);
    CHECK_FALSE(writes_not);
    CHECK_FALSE(null);
    CHECK_FALSE(messages.empty());
    CHECK(not_messages == "");
}
