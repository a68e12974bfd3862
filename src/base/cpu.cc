#include "base/cpu.h"

#include "base/environment.h"

namespace quipu {

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return "scalar";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
  }
  return "unknown";
}

Isa best_isa() {
#if defined(__x86_64__)
  __builtin_cpu_init();  // reads cpuid and XCR0
  const bool avx2 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512vnni");
  if (avx512) return Isa::kAvx512;
  if (avx2) return Isa::kAvx2;
#endif
  return Isa::kScalar;
}

Result<Isa> choose_isa() {
  const Isa best = best_isa();
  const auto variable = environment("QUIPU_ISA");
  if (!variable) return best;
  const std::string& wanted = variable->value;
  for (Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512}) {
    if (wanted != isa_name(isa)) continue;
    if (isa > best)
      return error(Code::kUnsupported, "QUIPU_ISA={} is not available on this processor; the best is {}",
                   wanted, isa_name(best));
    return isa;
  }
  return error(Code::kInvalidArgument, "QUIPU_ISA={}: it must be scalar, avx2 or avx512", wanted);
}

}  // namespace quipu
