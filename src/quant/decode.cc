// Decoding: one function a format, bit-exact with the reference. Products and sums are rounded one by one, as
// written.
#include <cstring>

#include "quant/block_layout.h"
#include "quant/codec.h"

namespace quipu {

namespace {

uint16_t load16(const uint8_t* p) {
  uint16_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

void decode_q4_0(const uint8_t* b, float* y) {
  const float d = half_to_float(load16(b));
  for (int j = 0; j < 16; ++j) {
    y[j] = static_cast<float>((b[2 + j] & 15) - 8) * d;
    y[j + 16] = static_cast<float>((b[2 + j] >> 4) - 8) * d;
  }
}

void decode_q4_1(const uint8_t* b, float* y) {
  const float d = half_to_float(load16(b)), m = half_to_float(load16(b + 2));
  for (int j = 0; j < 16; ++j) {
    y[j] = static_cast<float>(b[4 + j] & 15) * d + m;
    y[j + 16] = static_cast<float>(b[4 + j] >> 4) * d + m;
  }
}

void decode_q8_0(const uint8_t* b, float* y) {
  const float d = half_to_float(load16(b));
  for (int j = 0; j < 32; ++j) y[j] = static_cast<float>(static_cast<int8_t>(b[2 + j])) * d;
}

void decode_q4_k(const uint8_t* b, float* y) {
  const float d = half_to_float(load16(b)), dmin = half_to_float(load16(b + 2));
  for (int g = 0; g < 8; ++g) {
    const ScaleMin s = q4_k_scale(b + 4, g);
    const float scale = d * static_cast<float>(s.scale), min = dmin * static_cast<float>(s.min);
    const uint8_t* q = b + 16 + 32 * (g / 2);
    for (int l = 0; l < 32; ++l)
      y[32 * g + l] = scale * static_cast<float>(g % 2 ? q[l] >> 4 : q[l] & 15) - min;
  }
}

void decode_q6_k(const uint8_t* b, float* y) {
  const float d = half_to_float(load16(b + 208));
  for (int e = 0; e < 256; ++e) {
    const int half = e / 128, k = e % 128 / 32, l = e % 32;
    const uint8_t low = b[64 * half + l + 32 * (k & 1)];
    const int q = ((k < 2 ? low & 15 : low >> 4) | ((b[128 + 32 * half + l] >> (2 * k) & 3) << 4)) - 32;
    y[e] = d * static_cast<float>(static_cast<int8_t>(b[192 + e / 16])) * static_cast<float>(q);
  }
}

}  // namespace

void decode_row(TensorType type, const std::byte* src, float* dst, int64_t n) {
  if (n == 0) return;  // the pointers may be null then
  const auto* p = reinterpret_cast<const uint8_t*>(src);
  const auto blocks = [&](int elems, int bytes, void (*decode)(const uint8_t*, float*)) {
    for (int64_t i = 0; i < n / elems; ++i) decode(p + i * bytes, dst + i * elems);
  };
  switch (type) {
    case TensorType::kF32:
      std::memcpy(dst, src, static_cast<size_t>(n) * sizeof(float));
      break;
    case TensorType::kF16:
      for (int64_t i = 0; i < n; ++i) dst[i] = half_to_float(load16(p + 2 * i));
      break;
    case TensorType::kBF16:
      for (int64_t i = 0; i < n; ++i) dst[i] = bf16_to_float(load16(p + 2 * i));
      break;
    case TensorType::kQ4_0:
      blocks(32, 18, decode_q4_0);
      break;
    case TensorType::kQ4_1:
      blocks(32, 20, decode_q4_1);
      break;
    case TensorType::kQ8_0:
      blocks(32, 34, decode_q8_0);
      break;
    case TensorType::kQ4_K:
      blocks(256, 144, decode_q4_k);
      break;
    case TensorType::kQ6_K:
      blocks(256, 210, decode_q6_k);
      break;
  }
}

}  // namespace quipu
