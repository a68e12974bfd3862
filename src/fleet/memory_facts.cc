#include "fleet/memory_facts.h"

#include <sys/stat.h>

#include <algorithm>

#include "base/checked.h"

namespace quipu::fleet {
namespace {

uint64_t file_bytes(const std::string& path) {
  struct stat facts{};
  return ::stat(path.c_str(), &facts) == 0 ? static_cast<uint64_t>(facts.st_size) : 0;
}

}  // namespace

int64_t number_at(const Json& object, std::initializer_list<const char*> path) {
  const Json* at = &object;
  for (const char* key : path) {
    if (!at->is_object()) return 0;
    const auto it = at->find(key);
    if (it == at->end()) return 0;
    at = &*it;
  }
  return at->is_number_integer() ? std::max<int64_t>(at->get<int64_t>(), 0) : 0;
}

uint64_t held_bytes(const ModelRef& model, const Json& memory) {
  for (const char* kind : {"measured", "planned"})
    if (const int64_t bytes = number_at(memory, {"total", kind}); bytes > 0)
      return static_cast<uint64_t>(bytes);
  uint64_t bytes = file_bytes(model.model_path);
  for (const std::string& path : model.projector_paths) bytes += file_bytes(path);
  return bytes;
}

uint64_t charged_bytes(const Json& memory, int64_t num_ctx) {
  constexpr int64_t kUseful = 2048, kBlock = 32;
  const int64_t total = number_at(memory, {"total", "planned"}), kv = number_at(memory, {"kv", "planned"});
  const int64_t tokens = (std::clamp<int64_t>(num_ctx, 0, kUseful) + kBlock - 1) / kBlock * kBlock;
  const auto one = checked_mul(tokens, number_at(memory, {"kv", "bytes_per_token"}));
  return static_cast<uint64_t>(total - std::min(kv, total)) +
         static_cast<uint64_t>(std::max(kv, one.value_or(INT64_MAX)));
}

bool exceeds_machine(const Json& plan) {
  const int64_t machine = number_at(plan, {"machine", "total"});
  return machine > 0 && number_at(plan, {"memory", "total", "planned"}) > machine;
}

}  // namespace quipu::fleet
