#include "gguf/random_blocks.h"

#include <cstring>

#include "quant/codec.h"

namespace quipu::gguf {

namespace {

// Standard deviations of integers that are equally probable: 16 levels, 64 levels, 256 levels.
constexpr float kSpread4 = 4.61f, kSpread6 = 18.47f, kSpread8 = 73.9f;

uint64_t mixed(uint64_t x) {  // splitmix64
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return x ^ x >> 31;
}

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() { return mixed(state_++); }
  void bytes(std::byte* p, size_t n) {
    for (; n >= 8; p += 8, n -= 8) {
      const uint64_t v = next();
      std::memcpy(p, &v, 8);
    }
    const uint64_t v = next();
    std::memcpy(p, &v, n);
  }
  // Evenly distributed, mean 0, standard deviation 1.
  float value() { return (static_cast<float>(next() >> 40) * 0x1p-24f - 0.5f) * 3.4641016f; }

 private:
  uint64_t state_;
};

void put_half(std::byte* p, float v) {
  const uint16_t h = float_to_half(v);
  std::memcpy(p, &h, sizeof h);
}

// d * scale * q - dmin * min with scale = min in every group and dmin = 7.5 d: symmetric around 0.
void fill_q4_k(std::byte* b, Random& r, float spread) {
  r.bytes(b + 16, 128);
  std::byte* packed = b + 4;
  std::memset(packed, 0, 12);
  const uint64_t bits = r.next();
  for (size_t g = 0; g < 8; ++g) {
    const auto s = static_cast<unsigned>(24 + (bits >> (8 * g)) % 17);  // 24..40, 32 on average
    if (g < 4) {
      packed[g] |= static_cast<std::byte>(s);
      packed[g + 4] |= static_cast<std::byte>(s);
    } else {
      packed[g + 4] = static_cast<std::byte>((s & 15) | (s & 15) << 4);
      packed[g - 4] |= static_cast<std::byte>((s >> 4) << 6);
      packed[g] |= static_cast<std::byte>((s >> 4) << 6);
    }
  }
  const float d = spread / (32 * kSpread4);
  put_half(b, d);
  put_half(b + 2, 7.5f * d);
}

void fill_q6_k(std::byte* b, Random& r, float spread) {
  r.bytes(b, 192);
  const uint64_t bits = r.next();
  for (size_t g = 0; g < 16; ++g) b[192 + g] = static_cast<std::byte>(56 + (bits >> (4 * g)) % 16);
  put_half(b + 208, spread / (64 * kSpread6));
}

void fill_block(TensorType type, std::byte* b, Random& r, float spread) {
  switch (type) {
    case TensorType::kF32: {
      const float v = r.value() * spread;
      std::memcpy(b, &v, sizeof v);
      break;
    }
    case TensorType::kF16:
      put_half(b, r.value() * spread);
      break;
    case TensorType::kBF16: {
      const uint16_t v = float_to_bf16(r.value() * spread);
      std::memcpy(b, &v, sizeof v);
      break;
    }
    case TensorType::kQ4_0:
      put_half(b, spread / kSpread4);
      r.bytes(b + 2, 16);
      break;
    case TensorType::kQ4_1:
      put_half(b, spread / kSpread4);
      put_half(b + 2, -7.5f * spread / kSpread4);
      r.bytes(b + 4, 16);
      break;
    case TensorType::kQ8_0:
      put_half(b, spread / kSpread8);
      r.bytes(b + 2, 32);
      break;
    case TensorType::kQ4_K:
      fill_q4_k(b, r, spread);
      break;
    case TensorType::kQ6_K:
      fill_q6_k(b, r, spread);
      break;
  }
}

}  // namespace

void RandomBlocks::fill(uint64_t offset, std::span<std::byte> piece) const {
  const auto block = static_cast<size_t>(type_info(type_)->block_bytes);
  uint64_t number = offset / block;
  for (size_t at = 0; at + block <= piece.size(); at += block, ++number) {
    Random r(mixed(seed_ ^ mixed(number)));
    fill_block(type_, piece.data() + at, r, spread_);
  }
}

}  // namespace quipu::gguf
