// SPDX-License-Identifier: Apache-2.0
/// What a process that ends by _exit has counted is written all the same (./dev coverage).
extern "C" {
void __gcov_dump();
[[noreturn]] void __real__exit(int status);

[[noreturn]] void __wrap__exit(int status) {
    __gcov_dump();
    __real__exit(status);
}
}
