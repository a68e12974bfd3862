#include "model/binder.h"

#include <array>
#include <charconv>

#include "base/log.h"
#include "gguf/cursor.h"
#include "quant/codec.h"

namespace quipu {

namespace {

std::string shape_text(std::span<const int64_t> shape) {
  std::string s;
  for (int64_t n : shape) s += (s.empty() ? "" : " x ") + std::to_string(n);
  return s;
}

// N of "blk.N.anything".
std::optional<int64_t> layer_of(std::string_view name) {
  constexpr std::string_view kPrefix = "blk.";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  int64_t n = 0;
  const auto end = std::from_chars(name.data(), name.data() + name.size(), n);
  if (end.ec != std::errc{} || end.ptr == name.data() + name.size() || *end.ptr != '.') return std::nullopt;
  return n;
}

}  // namespace

Result<const gguf::Tensor*> Binder::find(const std::string& name, std::span<const int64_t> shape) {
  const gguf::Tensor* t = file_.tensor(name);
  if (t == nullptr) return error(Code::kCorrupt, "the file has no tensor '{}'", name);
  std::array<int64_t, 4> want = {1, 1, 1, 1};
  for (size_t i = 0; i < shape.size(); ++i) want[i] = shape[i];
  if (t->shape != want)
    return error(Code::kCorrupt, "tensor '{}' has the shape {}; {} was expected", name, shape_text(t->shape),
                 shape_text(want));
  const TypeInfo* info = type_info(t->type);
  if (info == nullptr || !info->computable)
    return error(Code::kUnsupported,
                 "tensor '{}' is quantised as {}, which is not supported yet (these are: {})", name,
                 info == nullptr ? "an unknown type" : info->name, computable_types());
  used_.insert(t->name);
  if (t->data.empty() && t->n_elements() > 0) data_missing_ = true;
  return t;
}

Result<kernels::Weights> Binder::matrix(const std::string& name, int64_t n_cols, int64_t n_rows) {
  const std::array<int64_t, 2> shape = {n_cols, n_rows};
  QUIPU_ASSIGN(const gguf::Tensor* t, find(name, shape));
  return kernels::Weights{t->data.data(), t->type, n_rows, n_cols};
}

Result<FloatVector> Binder::vector(const std::string& name, int64_t n) {
  const std::array<int64_t, 1> shape = {n};
  QUIPU_ASSIGN(const gguf::Tensor* t, find(name, shape));
  if (t->data.empty())
    return FloatVector(std::span<const float>(static_cast<const float*>(nullptr), static_cast<size_t>(n)));
  const auto address = reinterpret_cast<uintptr_t>(t->data.data());
  if (t->type == TensorType::kF32 && address % alignof(float) == 0)
    return FloatVector(std::span(reinterpret_cast<const float*>(t->data.data()), static_cast<size_t>(n)));
  std::vector<float> copy(static_cast<size_t>(n));
  decode_row(t->type, t->data.data(), copy.data(), n);
  return FloatVector(std::move(copy));
}

Result<FloatVector> Binder::optional_vector(const std::string& name, int64_t n) {
  if (!has(name)) return FloatVector();
  return vector(name, n);
}

Result<void> Binder::check_unused(int64_t n_layers) const {
  std::string_view first;
  size_t n_unused = 0;
  for (const gguf::Tensor& t : file_.tensors()) {
    if (used_.contains(t.name)) continue;
    if (const auto layer = layer_of(t.name); layer && *layer >= n_layers)
      return error(Code::kCorrupt,
                   "tensor '{}' is of layer {}, but the file says that it has {} layers (block_count)",
                   gguf::shown(t.name), *layer, n_layers);
    if (t.name.ends_with(".scale"))  // a factor of a whole matrix
      return error(Code::kUnsupported, "weights with a separate scale are not supported yet (tensor '{}')",
                   gguf::shown(t.name));
    if (n_unused++ == 0) first = t.name;
  }
  if (n_unused > 0)
    spdlog::warn("{}: {} tensors are not used, the first is '{}'", file_.path(), n_unused,
                 gguf::shown(first));
  return {};
}

kernels::Weights slice_rows(const kernels::Weights& w, int64_t first, int64_t n) {
  const uint64_t bytes =
      row_bytes(w.type, w.n_cols).value_or(0);  // the tensor's size was checked when it was read
  return {w.data + static_cast<uint64_t>(first) * bytes, w.type, n, w.n_cols};
}

}  // namespace quipu
