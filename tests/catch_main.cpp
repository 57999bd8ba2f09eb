// SPDX-License-Identifier: Apache-2.0
// Entry of the test binaries; those with a simulated board are entered through SystemC's main.
#define CATCH_CONFIG_RUNNER
#include "catch.hpp"

namespace {

int run(int argc, char* argv[]) {
    Catch::Session session;
#if CATCH_VERSION_MAJOR < \
    3  // later ones fail by themselves when a name on the command line is no test's
    session.configData().warnings = Catch::WarnAbout::NoTests;
#endif
    return session.run(argc, argv);
}

}  // namespace

#ifdef ENTERED_BY_SYSTEMC
extern "C" int sc_main(int argc, char* argv[]) { return run(argc, argv); }
#else
int main(int argc, char* argv[]) { return run(argc, argv); }
#endif
