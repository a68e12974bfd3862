// Times as they stand in answers.
//
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <string>

namespace quipu::server {

// RFC 3339, the fraction without zeros at its end: "2026-11-23T22:40:08.6564Z".
std::string utc_time(int64_t unix_ns);
std::string local_time(int64_t unix_ns);  // with the local offset
int64_t now_unix_ns();

}  // namespace quipu::server
