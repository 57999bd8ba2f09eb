// SPDX-License-Identifier: Apache-2.0
// Entry of the test binaries; those with a simulated board are entered through SystemC's main.
// A name that is no test's fails, and so does a test, or a section of one, that checked nothing:
// but those with a board, whose rig compares everything and fails a run without a copy.
#define CATCH_CONFIG_RUNNER
#include "catch.hpp"

namespace {

int run(int argc, char* argv[]) {
    Catch::Session session;
    unsigned warnings = session.configData().warnings;
#if CATCH_VERSION_MAJOR < 3
    warnings |= Catch::WarnAbout::NoTests;  // later ones fail by themselves
#endif
#ifndef ENTERED_BY_SYSTEMC
    warnings |= Catch::WarnAbout::NoAssertions;
#endif
    session.configData().warnings = static_cast<Catch::WarnAbout::What>(warnings);
    return session.run(argc, argv);
}

}  // namespace

#ifdef ENTERED_BY_SYSTEMC
extern "C" int sc_main(int argc, char* argv[]) { return run(argc, argv); }
#else
int main(int argc, char* argv[]) { return run(argc, argv); }
#endif
