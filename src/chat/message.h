// One message of a conversation, and what a request says of thinking, for the templates of both languages.
//
// Threads: plain data.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>

namespace quipu {

struct Message {
  std::string role = {};
  std::string content = {};
  std::string thinking = {};
  size_t n_images = 0;
  // A list of {"id", "function": {"index", "name", "arguments": {...}}}; null: none.
  nlohmann::ordered_json tool_calls = nullptr;
  std::string tool_name = {};     // of a tool's answer: which tool
  std::string tool_call_id = {};  // and which call of it
};

// A request's "think": not given, false, true, or a level ("low", "medium", "high", "max").
struct Think {
  bool given = false;
  bool on = false;
  std::string level;  // empty: none was named

  static Think absent() { return {}; }
  static Think off() { return {true, false, {}}; }
  static Think yes() { return {true, true, {}}; }
  static Think at(std::string level) { return {true, true, std::move(level)}; }
};

}  // namespace quipu
