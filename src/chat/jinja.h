// A Jinja interpreter for chat templates: Python's Jinja2 3.1 as Hugging Face transformers sets it up
// (trim_blocks, lstrip_blocks, loop controls, generation blocks, tojson, raise_exception, strftime_now).
// Templates come with model files, so they are hostile: steps, recursion depth and output size are bounded.
//
// Threads: a Template is immutable after parse(); render() may run from several threads.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace quipu::jinja {

struct Limits {
  uint64_t max_steps = 100'000'000;  // evaluated nodes
  int max_depth = 200;               // nesting of expressions and blocks in the source
  int max_render_depth = 2'000;      // evaluations within each other; the native stack may end it sooner
  uint64_t max_output_bytes = 64ull << 20;  // text produced, and any single string or list built on the way
  uint64_t max_template_bytes = 4ull << 20;
};

class Template {
 public:
  static Result<Template> parse(std::string_view source, const Limits& limits = {});

  // context: an object; key order matters for tojson. now_unix: the time that strftime_now sees, local civil
  // seconds. A message raised by the template itself (raise_exception) is the error's message, unchanged,
  // with Code::kInvalidArgument; everything else is kCorrupt with the line number.
  // stop (may be empty) is asked now and then: true ends the rendering, with kCorrupt as past a limit.
  Result<std::string> render(const nlohmann::ordered_json& context, int64_t now_unix,
                             const std::function<bool()>& stop = {}) const;

  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;
  ~Template();

 private:
  struct Impl;
  explicit Template(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace quipu::jinja
