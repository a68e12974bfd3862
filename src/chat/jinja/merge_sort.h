// A stable sort that holds whatever the comparison says: templates compare values that have no order among
// them (NaN).
//
// Threads: pure functions.
#pragma once

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <vector>

namespace quipu::jinja {

// The order of n things, as their indices. `less` compares two indices; it may throw.
template <class Less>
std::vector<size_t> merge_sorted(size_t n, Less&& less) {
  std::vector<size_t> order(n), merged(n);
  std::iota(order.begin(), order.end(), size_t{0});
  for (size_t width = 1; width < n; width *= 2) {
    for (size_t first = 0; first < n; first += 2 * width) {
      const size_t middle = std::min(first + width, n), last = std::min(first + 2 * width, n);
      size_t a = first, b = middle;
      for (size_t i = first; i < last; ++i) {
        const bool from_b = a == middle || (b < last && less(order[b], order[a]));
        merged[i] = order[from_b ? b++ : a++];
      }
    }
    order.swap(merged);
  }
  return order;
}

}  // namespace quipu::jinja
