// Which loaded model has to go when another needs its place.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <string>

namespace quipu::fleet {

struct Candidate {
  std::chrono::nanoseconds keep_alive{};  // negative: for ever
  std::string model_path;
  bool idle = false;
};

// Index of the one: those with the shortest keep-alive first (for ever is the longest), then by path; the
// first that is idle, or if none is just the first. Nothing: there are none.
std::optional<size_t> choose_victim(std::span<const Candidate> candidates);

}  // namespace quipu::fleet
