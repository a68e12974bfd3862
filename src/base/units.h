// Bytes and durations as people write them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace quipu {

std::string format_bytes(uint64_t bytes);     // binary units: "1.5 GiB", "512 KiB", "17 B"
std::string format_bytes_up(uint64_t bytes);  // the same, rounded up: whoever gives as much gives enough

// Go's Duration.String(): "1.5s", "43.18ms", "1m30s", "0s".
std::string format_duration_ns(int64_t ns);

// A duration as Go writes it: numbers with a unit each (ns, us, µs, ms, s, m, h), a sign before them; "0"
// alone needs no unit. Errors are in Go's words, which clients of Ollama know.
Result<int64_t> parse_duration_ns(std::string_view text);

// "17", "2 GiB", "512KiB", "1.5GB" (KB, MB, GB, TB are decimal).
Result<uint64_t> parse_bytes(std::string_view text);

// So many bytes, or a part of a whole that is known later.
struct ByteShare {
  uint64_t bytes = 0;
  double percent = 0;  // not 0: of the whole, in place of bytes

  uint64_t of(uint64_t whole) const;
  bool is_zero() const { return bytes == 0 && percent <= 0; }
};
// A size as above, or "60%": more than 0 and at most 100.
Result<ByteShare> parse_byte_share(std::string_view text);

}  // namespace quipu
