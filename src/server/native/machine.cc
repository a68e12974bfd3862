#include "server/native/machine.h"

#include <fstream>
#include <string>

#include "runner/memory_report.h"
#include "server/service.h"

namespace quipu::server::native {

Json machine_json(Service& service) { return runner::machine_json(service.fleet().budget()); }

uint64_t own_memory() {
  std::ifstream in("/proc/self/smaps_rollup");
  std::string word;
  uint64_t kib = 0;
  while (in >> word)
    if (word == "Pss:" && in >> kib) return kib * 1024;
  return 0;
}

}  // namespace quipu::server::native
