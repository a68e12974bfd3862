// Finds a model's tensors by name and checks type and shape, so that a forward pass never meets a surprise.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "gguf/file.h"
#include "kernels/matmul.h"

namespace quipu {

// A vector of float32 (norm weights, biases): the file's own bytes where they are aligned float32, else a
// decoded copy. Of a file without its data (a header is enough for a plan) only the size is known; data() is
// null.
class FloatVector {
 public:
  FloatVector() = default;
  explicit FloatVector(std::span<const float> mapped) : view_(mapped) {}
  explicit FloatVector(std::vector<float> owned) : owned_(std::move(owned)), view_(owned_) {}
  FloatVector(FloatVector&&) noexcept = default;
  FloatVector& operator=(FloatVector&&) noexcept = default;
  FloatVector slice(size_t first, size_t n) const {  // a copy
    if (data() == nullptr) return FloatVector(std::span<const float>(data(), n));
    return FloatVector(std::vector<float>(data() + first, data() + first + n));
  }
  const float* data() const { return view_.data(); }
  size_t size() const { return view_.size(); }
  bool empty() const { return view_.empty(); }
  std::span<const float> span() const { return view_; }

 private:
  std::vector<float> owned_;
  std::span<const float> view_;
};

class Binder {
 public:
  explicit Binder(const gguf::File& file) : file_(file) {}

  bool has(std::string_view name) const { return file_.tensor(name) != nullptr; }

  // A matrix of n_rows outputs and n_cols inputs. Missing, of another shape or of a type that cannot be
  // computed: an error that names the tensor and says what was expected.
  Result<kernels::Weights> matrix(const std::string& name, int64_t n_cols, int64_t n_rows);
  Result<FloatVector> vector(const std::string& name, int64_t n);
  // Empty if the file has no such tensor.
  Result<FloatVector> optional_vector(const std::string& name, int64_t n);

  // Some tensor that was asked for has no data: the file's header was opened alone.
  bool data_missing() const { return data_missing_; }

  // Looks at the tensors that nobody asked for. Layers beyond the last and tensors that would change the
  // result are errors; newer files carry others, which are left alone with a warning.
  Result<void> check_unused(int64_t n_layers) const;

 private:
  Result<const gguf::Tensor*> find(const std::string& name, std::span<const int64_t> shape);
  const gguf::File& file_;
  std::set<std::string_view> used_;
  bool data_missing_ = false;
};

// Rows [first, first + n) of a matrix.
kernels::Weights slice_rows(const kernels::Weights& w, int64_t first, int64_t n);

}  // namespace quipu
