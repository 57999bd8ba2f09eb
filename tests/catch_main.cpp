// SPDX-License-Identifier: Apache-2.0
// Entry of the test binaries; those with a simulated board are entered through SystemC's main.
// A name that is no test's fails, and so does a test that checked nothing: but those with a board,
// whose rig compares everything and fails a run without a copy.
#define CATCH_CONFIG_RUNNER
#include <csignal>
#include <cstdio>

#include "catch.hpp"

namespace {

#if CATCH_VERSION_MAJOR < 3
using Listener = Catch::TestEventListenerBase;
#else
using Listener = Catch::EventListenerBase;
#endif

bool checked_nothing = false;

struct Checks : Listener {
    using Listener::Listener;
    void testCaseEnded(const Catch::TestCaseStats& stats) override {
        if (stats.totals.assertions.total() > 0) return;
        std::fprintf(stderr, "a test checked nothing: %s\n", stats.testInfo.name.c_str());
        checked_nothing = true;
    }
};
#ifndef ENTERED_BY_SYSTEMC
CATCH_REGISTER_LISTENER(Checks)
#endif

int run(int argc, char* argv[]) {
    std::signal(SIGPIPE,
                SIG_IGN);  // as the command does: a reader that goes away is an error of a write
    Catch::Session session;
#if CATCH_VERSION_MAJOR < \
    3  // later ones fail by themselves when a name on the command line is no test's
    session.configData().warnings = Catch::WarnAbout::NoTests;
#endif
    const int status = session.run(argc, argv);
    return status == 0 && checked_nothing ? 1 : status;
}

}  // namespace

#ifdef ENTERED_BY_SYSTEMC
extern "C" int sc_main(int argc, char* argv[]) { return run(argc, argv); }
#else
int main(int argc, char* argv[]) { return run(argc, argv); }
#endif
