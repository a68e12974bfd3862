#include "kv/layout.h"

#include <optional>

#include "base/checked.h"

namespace quipu::kv {

namespace {

constexpr size_t kPadding = 32;      // head sizes, see kernels/attention.h
constexpr size_t kPageBytes = 4096;  // blocks are committed and given back by pages

std::optional<size_t> checked_product(std::optional<size_t> a, std::optional<size_t> b) {
  return a && b ? checked_mul(*a, *b) : std::nullopt;
}

std::optional<size_t> head_bytes(int padded, kernels::KvType type) {
  // 32 tokens of padded / 32 groups.
  return checked_mul(static_cast<size_t>(padded), static_cast<size_t>(kernels::kv_bytes_per_32(type)));
}

}  // namespace

int rotation_of_k(int head_dim, kernels::KvType type) {
  if (!kernels::kv_is_quantised(type) || head_dim < 1 || head_dim % 64 != 0) return 0;
  return head_dim & -head_dim;  // the largest power of two that divides it
}

int rotation_of_v(int head_dim, kernels::KvType type) {
  return type == kernels::KvType::kQ4_0 && head_dim > 0 && head_dim % 64 == 0 ? 64 : 0;
}

KvLayout::KvLayout(const GroupShape& shape) : shape_(shape) {
  if (shape.n_layers < 1 || shape.n_kv_heads < 1 || shape.head_dim_k < 1 || shape.head_dim_v < 1) return;
  const auto padded_k = checked_cast<int>(round_up(static_cast<size_t>(shape.head_dim_k), kPadding));
  const auto padded_v = checked_cast<int>(round_up(static_cast<size_t>(shape.head_dim_v), kPadding));
  if (!padded_k || !padded_v) return;
  const auto k = head_bytes(*padded_k, shape.type_k), v = head_bytes(*padded_v, shape.type_v);
  const auto head = k && v ? checked_add(*k, *v) : std::nullopt;
  const auto layer = checked_product(head, static_cast<size_t>(shape.n_kv_heads));
  const auto all = checked_product(layer, static_cast<size_t>(shape.n_layers));
  const auto block = all ? checked_round_up(*all, kPageBytes) : std::nullopt;
  if (!block) return;
  padded_k_ = *padded_k;
  padded_v_ = *padded_v;
  k_bytes_ = *k;
  v_bytes_ = *v;
  layer_bytes_ = *layer;
  block_bytes_ = *block;
}

int64_t KvLayout::first_needed(int64_t n_stored) const {
  if (shape_.window <= 0) return 0;
  const int64_t begin = n_stored / kernels::kBlockTokens * kernels::kBlockTokens;
  return begin > shape_.window ? begin - shape_.window : 0;
}

int64_t KvLayout::n_blocks(int64_t n_tokens) const {
  if (n_tokens <= 0) return 0;
  return (n_tokens - 1) / kernels::kBlockTokens + 1 - first_needed(n_tokens) / kernels::kBlockTokens;
}

kernels::AttentionShape KvLayout::layer_shape(int layer) const {
  kernels::AttentionShape s;
  s.n_kv_heads = shape_.n_kv_heads;
  s.head_dim_k = padded_k_;
  s.head_dim_v = padded_v_;
  s.type_k = shape_.type_k;
  s.type_v = shape_.type_v;
  s.window = shape_.window;
  s.k_offset = static_cast<size_t>(layer) * layer_bytes_;
  s.v_offset = s.k_offset + k_bytes_;
  s.k_head_bytes = s.v_head_bytes = k_bytes_ + v_bytes_;
  return s;
}

}  // namespace quipu::kv
