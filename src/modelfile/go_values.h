// Numbers and booleans from text, by the rules of Go's strconv, which Modelfiles are read by.
//
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace quipu::modelfile {

// Decimal, with an optional sign, within 64 bits.
std::optional<int64_t> parse_go_int(std::string_view text);

// Decimal or hexadecimal floating point; digits may be grouped by '_'. What is too large is nothing, what is
// too small is 0. Unlike Go's, not infinity or NaN, which no option can be.
std::optional<float> parse_go_float(std::string_view text);

// 1 t T TRUE true True 0 f F FALSE false False
std::optional<bool> parse_go_bool(std::string_view text);

// A semantic version behind a "v": MAJOR[.MINOR[.PATCH[-PRERELEASE][+BUILD]]].
bool is_go_semver(std::string_view text);

}  // namespace quipu::modelfile
