#include "kernels/avx2/panel.h"
#include "kernels/matmul_float.h"

namespace quipu::kernels::avx2 {

namespace {

constexpr bool kPairStart = true;

#include "kernels/quantise.inc.h"

}  // namespace

const MatmulTable kMatmul = {
    quantise_32,
    quantise_256,
    {decode_f32, decode_f16, decode_bf16, rows_or_scalar<decode_q4_0, kFormatQ4_0>,
     rows_or_scalar<decode_q4_1, kFormatQ4_1>, rows_or_scalar<decode_q8_0, kFormatQ8_0>,
     rows_or_scalar<decode_q4_k, kFormatQ4_K>, rows_or_scalar<decode_q6_k, kFormatQ6_K>},
    {batch_f32, batch_f16, batch_bf16, rows_or_scalar<panel_rows<Kernel32<kFormatQ4_0>>, kFormatQ4_0>,
     rows_or_scalar<panel_rows<Kernel32<kFormatQ4_1>>, kFormatQ4_1>,
     rows_or_scalar<panel_rows<Kernel32<kFormatQ8_0>>, kFormatQ8_0>,
     rows_or_scalar<panel_rows<KernelQ4K>, kFormatQ4_K>, rows_or_scalar<panel_rows<KernelQ6K>, kFormatQ6_K>},
    dot_f32};

}  // namespace quipu::kernels::avx2
