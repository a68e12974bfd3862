// The small text files in which the kernel says numbers. What is odd in them is nothing, never an error.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace quipu {

// Its text, of which a MiB at most; empty where there is none.
std::string slurp(const std::string& path);

// The number that text begins with, white space aside. Nothing: it begins with none ("max"). One that is too
// large for 64 bits is the largest there is.
std::optional<uint64_t> leading_number(std::string_view text);

// Of lines "KEY value" (memory.stat) or "KEY value kB" (/proc/meminfo), in bytes.
std::optional<uint64_t> number_of_key(std::string_view text, std::string_view key);

}  // namespace quipu
