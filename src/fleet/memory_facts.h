// Numbers out of what runners say of their memory: the memory object, and the plan of one that does not fit.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "fleet/fleet.h"

namespace quipu::fleet {

// A number somewhere inside; 0 where it is missing, negative or no whole number.
int64_t number_at(const Json& object, std::initializer_list<const char*> path);

// What a runner holds, as far as is known: measured, planned, or else the size of its files.
uint64_t held_bytes(const ModelRef& model, const Json& memory);

// Whether the plan of a refusal would not fit if no other model were loaded: no reason to unload anything.
bool exceeds_budget(const Json& plan);

// By how much the plan of a refusal needs more than is free.
uint64_t missing_bytes(const Json& plan);

}  // namespace quipu::fleet
