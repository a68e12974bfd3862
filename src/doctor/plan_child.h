// A plan made by a process of its own, `quipu plan`: a file that shrinks while it is mapped ends that one.
//
// Threads: any; it waits.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"

namespace quipu::doctor {

// The one object that `quipu ARGUMENTS` prints, or why there is none. `args`: the program's name first.
// kUnsupported: what it says; kIo: it was not done in time.
Result<nlohmann::ordered_json> plan_in_child(const std::vector<std::string>& args,
                                             std::chrono::milliseconds patience);

}  // namespace quipu::doctor
