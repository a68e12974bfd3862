// Settings that make no sense: findings of `quipu doctor` and /api/doctor.
//
// Threads: it reads the environment.
#pragma once

#include <vector>

#include "doctor/findings.h"
#include "server/config.h"

namespace quipu::server {

// What a server with this config passes over. One finding, if all is well.
// QUIPU_THREADS and QUIPU_ISA are left to doctor::examine_processor().
std::vector<doctor::Finding> examine_settings(const Config& config);

}  // namespace quipu::server
