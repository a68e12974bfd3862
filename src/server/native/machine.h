// What this server says of memory beyond one model: its own, and the machine's.
//
// Threads: any.
#pragma once

#include <cstdint>

#include "server/json.h"

namespace quipu::server {

class Service;

namespace native {

// {"total","available","budget","admitted","free","terms"}
Json machine_json(Service& service);

// PSS of this process alone, in bytes; 0 where the system does not say.
uint64_t own_memory();

}  // namespace native
}  // namespace quipu::server
