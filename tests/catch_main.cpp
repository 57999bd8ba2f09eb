// SPDX-License-Identifier: Apache-2.0
// Entry of the test binaries; those with a simulated board are entered through SystemC's main.
#define CATCH_CONFIG_RUNNER
#include "catch.hpp"

#ifdef ENTERED_BY_SYSTEMC
extern "C" int sc_main(int argc, char* argv[]) { return Catch::Session().run(argc, argv); }
#else
int main(int argc, char* argv[]) { return Catch::Session().run(argc, argv); }
#endif
