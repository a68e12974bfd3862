// The names of KV cache types.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "model/model.h"

namespace quipu::runner {

// "q8_0", or for K and V "q8_0:q4_0". Else kInvalidArgument.
Result<KvTypes> parse_kv_types(std::string_view text);

std::string kv_types_name(KvTypes types);  // always both: "f16:f16"

}  // namespace quipu::runner
