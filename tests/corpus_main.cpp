// SPDX-License-Identifier: Apache-2.0
/// Gives each file of a folder to a fuzzer's entry, where libFuzzer is not at hand: what was once
/// found stays found.
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <vector>

using Callback = int (*)(const std::uint8_t*, std::size_t);

// What libFuzzer has under this name; a target that SystemC enters calls it.
extern "C" int LLVMFuzzerRunDriver(int* argc, char*** argv, Callback callback) {
    std::size_t count = 0;
    for (int i = 1; i < *argc; ++i)
        for (const auto& entry : std::filesystem::directory_iterator((*argv)[i])) {
            std::ifstream in(entry.path(), std::ios::binary);
            const std::vector<char> bytes(std::istreambuf_iterator<char>(in), {});
            std::cout << entry.path().string() << std::endl;  // the last one is the one that fails
            callback(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
            ++count;
        }
    std::cout << count << " inputs\n";
    return count == 0 ? 1 : 0;
}

#ifndef ENTERED_BY_SYSTEMC
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int main(int argc, char* argv[]) {
    return LLVMFuzzerRunDriver(&argc, &argv, LLVMFuzzerTestOneInput);
}
#endif
