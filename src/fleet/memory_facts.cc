#include "fleet/memory_facts.h"

#include <sys/stat.h>

#include <algorithm>

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

bool exceeds_budget(const Json& plan) {
  const auto machine = plan.find("machine");
  return machine != plan.end() && number_at(plan, {"charge"}) > number_at(*machine, {"budget"});
}

uint64_t missing_bytes(const Json& plan) {
  const int64_t charge = number_at(plan, {"charge"}), free = number_at(plan, {"machine", "free"});
  return static_cast<uint64_t>(charge - std::min(charge, free));
}

}  // namespace quipu::fleet
