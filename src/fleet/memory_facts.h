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

// What a runner is charged as it is loaded, by its memory object and its context; 0 where it has not said.
uint64_t charged_bytes(const Json& memory, int64_t num_ctx);

// Whether the plan of a refusal would not fit if nothing else were in this machine: no reason to unload
// anything.
bool exceeds_machine(const Json& plan);

}  // namespace quipu::fleet
