// Finds a model's tensors by name and checks type and shape, so that a forward pass never meets a surprise.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "gguf/file.h"
#include "kernels/matmul.h"

namespace quipu {

// A vector of float32 (norm weights, biases): the file's own bytes where they are aligned float32, else a
// decoded copy.
class FloatVector {
 public:
  FloatVector() = default;
  explicit FloatVector(std::span<const float> mapped) : view_(mapped) {}
  explicit FloatVector(std::vector<float> owned) : owned_(std::move(owned)), view_(owned_) {}
  FloatVector(FloatVector&&) noexcept = default;
  FloatVector& operator=(FloatVector&&) noexcept = default;
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
  Result<kernels::Weights> matrix(const std::string& name, int64_t n_cols, int64_t n_rows) const;
  Result<FloatVector> vector(const std::string& name, int64_t n) const;
  // Empty if the file has no such tensor.
  Result<FloatVector> optional_vector(const std::string& name, int64_t n) const;

 private:
  Result<const gguf::Tensor*> find(const std::string& name, std::span<const int64_t> shape) const;
  const gguf::File& file_;
};

// Rows [first, first + n) of a matrix.
kernels::Weights slice_rows(const kernels::Weights& w, int64_t first, int64_t n);

}  // namespace quipu
