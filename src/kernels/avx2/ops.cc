#include "kernels/avx2/float_vector.h"
#include "kernels/ops_impl.h"

namespace quipu::kernels::avx2 {

namespace {

#include "kernels/ops_simd.inc.h"

}  // namespace

const OpsTable kOps = {rms_norm, swiglu, add, add_scaled, scale, rope_neighbours};

}  // namespace quipu::kernels::avx2
