// An open-addressing index from keys to numbered items that lie elsewhere: 4 bytes per slot.
//
// A slot holds the item's number + 1 in its low bits and part of the key's hash in the rest, so that most
// slots of other keys are passed over without looking at their item. Threads: immutable after the last
// insert; share freely.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

namespace quipu {

// Keyed, because the keys come from files and prompts: whoever writes them cannot choose colliding ones.
class KeyedHash {
 public:
  explicit KeyedHash(uint64_t key) : key_(key | 1) {}

  uint64_t operator()(uint64_t number) const { return fold(number ^ key_, kOdd ^ key_); }

  uint64_t operator()(std::string_view text) const {
    uint64_t h = fold(text.size() ^ key_, kOdd);
    while (text.size() > 8) {
      h = fold(h ^ load(text.data(), 8), kOdd ^ key_);
      text.remove_prefix(8);
    }
    return fold(h ^ load(text.data(), text.size()), kOdd ^ key_);
  }

 private:
  static constexpr uint64_t kOdd = 0x9E3779B97F4A7C15;  // 2^64 / golden ratio: bits without a pattern

  static uint64_t fold(uint64_t a, uint64_t b) {
    const auto product = static_cast<unsigned __int128>(a) * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  }
  static uint64_t load(const char* p, size_t n) {
    uint64_t v = 0;
    if (n > 0) std::memcpy(&v, p, n);
    return v;
  }

  uint64_t key_;
};

class HashIndex {
 public:
  // n_items: more are never inserted, and no item's number reaches it. Below 2^31.
  explicit HashIndex(uint32_t n_items = 0)
      : number_mask_(static_cast<uint32_t>((uint64_t{1} << std::bit_width(n_items)) - 1)),
        // At most 3/4 full: chains stay short, and half of the time the next power of two is not needed.
        slots_(n_slots(n_items)) {}

  // What an index for n_items (below 2^62) takes.
  static uint64_t memory_bytes_for(uint64_t n_items) { return n_slots(n_items) * sizeof(uint32_t); }

  // The item for which `same(item)` holds, among those inserted with this hash.
  template <class Same>
  std::optional<uint32_t> find(uint64_t hash, Same&& same) const {
    const uint32_t slot = slots_[probe(hash, same)];
    if (slot == 0) return std::nullopt;
    return (slot & number_mask_) - 1;
  }

  // Adds `item`; if one that is the same was there already, that one is returned and nothing changes.
  template <class Same>
  std::optional<uint32_t> insert(uint64_t hash, uint32_t item, Same&& same) {
    uint32_t& slot = slots_[probe(hash, same)];
    if (slot != 0) return (slot & number_mask_) - 1;
    slot = (item + 1) | tag(hash);
    return std::nullopt;
  }

  size_t memory_bytes() const { return slots_.size() * sizeof(uint32_t); }

 private:
  static uint64_t n_slots(uint64_t n_items) {
    return std::bit_ceil(std::max<uint64_t>(4, n_items + n_items / 3 + 1));
  }
  uint32_t tag(uint64_t hash) const { return static_cast<uint32_t>(hash >> 32) & ~number_mask_; }

  // The slot with the item, or the empty one where it would go.
  template <class Same>
  size_t probe(uint64_t hash, Same&& same) const {
    const size_t mask = slots_.size() - 1;
    size_t at = hash & mask;
    while (slots_[at] != 0) {
      if ((slots_[at] & ~number_mask_) == tag(hash) && same((slots_[at] & number_mask_) - 1)) break;
      at = (at + 1) & mask;
    }
    return at;
  }

  uint32_t number_mask_;
  std::vector<uint32_t> slots_;
};

}  // namespace quipu
