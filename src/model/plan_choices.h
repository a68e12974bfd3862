// What a plan of a model file could be changed to (memory/alternatives.h): the types of KV cache there are,
// and the coarser files of the same model that this build could run.
//
// Threads: pure functions.
#pragma once

#include "gguf/file.h"
#include "memory/alternatives.h"
#include "quant/mix.h"

namespace quipu {

// Of a file's header; its tensors may claim anything.
WeightCounts count_weights(const gguf::File& file);

// Types of the KV cache to choose between, from precise to small: those that docs/kv-cache.md recommends.
std::vector<memory::Choices::Kv> kv_choices();

memory::Choices plan_choices(const gguf::File& file);

}  // namespace quipu
