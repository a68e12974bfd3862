#include "kernels/attention_impl.h"
#include "kernels/avx2/float_vector.h"

namespace quipu::kernels::avx2 {

namespace {

#include "kernels/attention_rows.inc.h"
// In this order.
#include "kernels/attention_simd.inc.h"
#include "kernels/store_kv_simd.inc.h"

}  // namespace

const AttentionTable kAttention = {pack, clear, attend, merge, finish, store_k, store_v};

}  // namespace quipu::kernels::avx2
