#include "server/native/machine.h"

#include "base/kernel_file.h"
#include "runner/memory_report.h"
#include "server/service.h"

namespace quipu::server::native {

Json machine_json(Service& service) { return runner::machine_json(service.fleet().budget()); }

uint64_t own_memory() { return number_of_key(slurp("/proc/self/smaps_rollup"), "Pss:").value_or(0); }

}  // namespace quipu::server::native
