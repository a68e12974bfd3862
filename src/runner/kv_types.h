// The names of KV cache types: "f16", "f32", or one for K and one for V, "f16:f32".
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "model/model.h"

namespace quipu::runner {

// Types that are known but not there yet are kUnsupported, everything else kInvalidArgument.
Result<KvTypes> parse_kv_types(std::string_view text);

std::string kv_types_name(KvTypes types);  // always both: "f16:f16"

}  // namespace quipu::runner
