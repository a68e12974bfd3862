#include "model/plan_choices.h"

#include <algorithm>

#include "base/checked.h"
#include "kernels/kv_type.h"
#include "model/model.h"

namespace quipu {

WeightCounts count_weights(const gguf::File& file) {
  WeightCounts c;
  uint64_t tensor_bytes = 0;
  for (const gguf::Tensor& t : file.tensors()) {
    const int64_t n = t.n_elements();
    int64_t* kind = &c.n_other;
    if (t.n_dims < 2)
      kind = &c.n_vector;
    else if (t.name == "token_embd.weight")
      kind = &c.n_embedding;
    else if (t.name == "output.weight")
      kind = &c.n_output;
    else if (t.name.find("attn_v.") != t.name.npos || t.name.find("ffn_down") != t.name.npos)
      kind = &c.n_value_down;
    *kind = checked_add(*kind, n).value_or(INT64_MAX);
    if (t.n_dims >= 2 && t.shape[0] % 256 != 0) c.rows_of_256 = false;
    tensor_bytes += t.data.size();
  }
  const uint64_t all = file.mapped_bytes();
  c.header_bytes = all - std::min(all, tensor_bytes);
  return c;
}

std::vector<memory::Choices::Kv> kv_choices() {
  using kernels::KvType;
  std::vector<memory::Choices::Kv> out;
  const auto add = [&](const char* name, KvType k, KvType v) {
    out.push_back({name, kernels::kv_bytes_per_32(k), kernels::kv_bytes_per_32(v)});
  };
  add("f16", KvType::kF16, KvType::kF16);
  add("q8_0", KvType::kQ8_0, KvType::kQ8_0);
  add("q8_0:q4_0", KvType::kQ8_0, KvType::kQ4_0);
  add("q4_0", KvType::kQ4_0, KvType::kQ4_0);
  return out;
}

memory::Choices plan_choices(const gguf::File& file) {
  memory::Choices out;
  out.kv = kv_choices();
  const WeightCounts counts = count_weights(file);
  // What saves next to nothing is no advice.
  const uint64_t most = file.mapped_bytes() / 100 * 97;
  const std::string own = quantization_name(file);
  for (const Quantization& q : quantizations()) {
    if (q.name == own || !q.computable() || (q.needs_256() && !counts.rows_of_256)) continue;
    if (const uint64_t bytes = estimated_bytes(counts, q); bytes < most) out.files.push_back({q.name, bytes});
  }
  return out;
}

}  // namespace quipu
