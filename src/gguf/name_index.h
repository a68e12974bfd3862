// Finds records by name, and names that occur twice. Sorted rather than hashed: a file can be made so that
// all its names collide in a hash function that is known, but not so that sorting takes more than n log n
// steps.
//
// Threads: immutable after construction.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace quipu::gguf {

// `Name` maps a record to its std::string_view; the records must outlive the index and stay where they are.
template <class Record, auto Name>
class NameIndex {
 public:
  NameIndex() = default;
  explicit NameIndex(std::span<const Record> records) : records_(records), order_(records.size()) {
    for (uint32_t i = 0; i < order_.size(); ++i) order_[i] = i;
    std::sort(order_.begin(), order_.end(), [this](uint32_t a, uint32_t b) {
      const int c = name(a).compare(name(b));
      return c != 0 ? c < 0 : a < b;
    });
  }

  const Record* find(std::string_view wanted) const {
    const auto it = std::lower_bound(order_.begin(), order_.end(), wanted,
                                     [this](uint32_t i, std::string_view w) { return name(i) < w; });
    return it == order_.end() || name(*it) != wanted ? nullptr : &records_[*it];
  }

  std::optional<std::string_view> first_duplicate() const {
    for (size_t i = 1; i < order_.size(); ++i)
      if (name(order_[i]) == name(order_[i - 1])) return name(order_[i]);
    return std::nullopt;
  }

 private:
  std::string_view name(uint32_t i) const { return Name(records_[i]); }

  std::span<const Record> records_;
  std::vector<uint32_t> order_;
};

}  // namespace quipu::gguf
