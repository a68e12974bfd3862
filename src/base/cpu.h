// What this processor can do, and which instruction set the kernels use.
#pragma once

#include <string>

#include "base/result.h"

namespace quipu {

// Kernels exist once per instruction set. kAvx2: AVX2, FMA, F16C. kAvx512: F, BW, DQ, VL and VNNI on top.
enum class Isa { kScalar, kAvx2, kAvx512 };

const char* isa_name(Isa isa);  // "scalar", "avx2", "avx512": the values of QUIPU_ISA

// The best instruction set of this processor (and of the operating system: AVX state must be enabled in
// XCR0).
Isa best_isa();

// best_isa(), or what QUIPU_ISA asks for. An unknown name, or one this processor lacks, is an error naming
// it.
Result<Isa> choose_isa();

}  // namespace quipu
