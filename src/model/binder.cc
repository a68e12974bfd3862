#include "model/binder.h"

#include <array>

#include "quant/codec.h"

namespace quipu {

namespace {

std::string shape_text(std::span<const int64_t> shape) {
  std::string s;
  for (int64_t n : shape) s += (s.empty() ? "" : " x ") + std::to_string(n);
  return s;
}

}  // namespace

Result<const gguf::Tensor*> Binder::find(const std::string& name, std::span<const int64_t> shape) const {
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
  return t;
}

Result<kernels::Weights> Binder::matrix(const std::string& name, int64_t n_cols, int64_t n_rows) const {
  const std::array<int64_t, 2> shape = {n_cols, n_rows};
  QUIPU_ASSIGN(const gguf::Tensor* t, find(name, shape));
  return kernels::Weights{t->data.data(), t->type, n_rows, n_cols};
}

Result<FloatVector> Binder::vector(const std::string& name, int64_t n) const {
  const std::array<int64_t, 1> shape = {n};
  QUIPU_ASSIGN(const gguf::Tensor* t, find(name, shape));
  const auto address = reinterpret_cast<uintptr_t>(t->data.data());
  if (t->type == TensorType::kF32 && address % alignof(float) == 0)
    return FloatVector(std::span(reinterpret_cast<const float*>(t->data.data()), static_cast<size_t>(n)));
  std::vector<float> copy(static_cast<size_t>(n));
  decode_row(t->type, t->data.data(), copy.data(), n);
  return FloatVector(std::move(copy));
}

Result<FloatVector> Binder::optional_vector(const std::string& name, int64_t n) const {
  if (!has(name)) return FloatVector();
  return vector(name, n);
}

kernels::Weights slice_rows(const kernels::Weights& w, int64_t first, int64_t n) {
  const uint64_t bytes =
      row_bytes(w.type, w.n_cols).value_or(0);  // the tensor's size was checked when it was read
  return {w.data + static_cast<uint64_t>(first) * bytes, w.type, n, w.n_cols};
}

}  // namespace quipu
