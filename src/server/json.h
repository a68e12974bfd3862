// JSON of the interface: keys stay in the order in which they were set, and quipu::go_json() writes it.
#pragma once

#include <nlohmann/json.hpp>

#include "base/go_json.h"

namespace quipu::server {

using Json = nlohmann::ordered_json;

}  // namespace quipu::server
