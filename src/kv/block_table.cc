#include "kv/block_table.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "base/checked.h"
#include "kernels/attention.h"

namespace quipu::kv {

BlockTable::BlockTable(BlockTable&& other) noexcept
    : pool_(other.pool_),
      ids_(std::exchange(other.ids_, {})),
      pointers_(std::exchange(other.pointers_, {})),
      n_dropped_(std::exchange(other.n_dropped_, 0)) {}

BlockTable& BlockTable::operator=(BlockTable&& other) noexcept {
  if (this == &other) return *this;
  truncate(0);
  pool_ = other.pool_;
  ids_ = std::exchange(other.ids_, {});
  pointers_ = std::exchange(other.pointers_, {});
  n_dropped_ = std::exchange(other.n_dropped_, 0);
  return *this;
}

Result<void> BlockTable::reserve(int64_t n_tokens) {
  if (n_tokens <= capacity_tokens()) return {};
  const size_t before = ids_.size();
  // Not via n_tokens + 31, which could overflow.
  const int64_t needed = (n_tokens - 1) / kernels::kBlockTokens + 1;
  if (needed > static_cast<int64_t>(pool_->capacity()))
    return error(Code::kOutOfMemory, "{} tokens need {} blocks of KV cache; there are {} in all", n_tokens,
                 needed, pool_->capacity());
  try {
    const size_t room =
        std::max(static_cast<size_t>(needed), 2 * before);  // a decoding sequence comes back for more
    if (ids_.capacity() < static_cast<size_t>(needed)) ids_.reserve(room);
    if (pointers_.capacity() < static_cast<size_t>(needed)) pointers_.reserve(room);
  } catch (const std::bad_alloc&) {
    return error(Code::kOutOfMemory, "no memory for a table of {} KV blocks", needed);
  }
  while (static_cast<int64_t>(ids_.size()) < needed) {
    Result<BlockId> id = pool_->allocate();
    if (!id) {
      truncate(static_cast<int64_t>(before) * kernels::kBlockTokens);
      return std::unexpected(std::move(id).error());
    }
    ids_.push_back(*id);
    pointers_.push_back(pool_->data(*id));
  }
  return {};
}

void BlockTable::truncate(int64_t n_tokens) {
  const int64_t kept = n_tokens <= 0 ? 0 : (n_tokens - 1) / kernels::kBlockTokens + 1;
  while (static_cast<int64_t>(ids_.size()) > kept) {
    if (n_held() > 0)
      pool_->release(ids_.back());
    else
      --n_dropped_;
    ids_.pop_back();
    pointers_.pop_back();
  }
}

void BlockTable::drop_before(int64_t position) {
  const int64_t end = std::min(position / kernels::kBlockTokens, static_cast<int64_t>(ids_.size()));
  for (; n_dropped_ < end; ++n_dropped_) {
    const auto i = static_cast<size_t>(n_dropped_);
    pool_->release(ids_[i]);
    ids_[i] = kNoBlock;
    pointers_[i] = nullptr;
  }
}

void BlockTable::begin_at(int64_t block) {
  drop_before(block * kernels::kBlockTokens);
  for (; static_cast<int64_t>(ids_.size()) < block; ++n_dropped_) {
    ids_.push_back(kNoBlock);
    pointers_.push_back(nullptr);
  }
}

void BlockTable::share(int64_t at, BlockId id) {
  const auto i = static_cast<size_t>(at);
  pool_->retain(id);
  if (i == ids_.size()) {
    ids_.push_back(id);
    pointers_.push_back(pool_->data(id));
    return;
  }
  pool_->release(ids_[i]);
  ids_[i] = id;
  pointers_[i] = pool_->data(id);
}

Result<void> BlockTable::make_writable(int64_t position) {
  if (!is_shared(position)) return {};
  const auto at = static_cast<size_t>(position / kernels::kBlockTokens);
  const BlockId old = ids_[at];
  QUIPU_ASSIGN(const BlockId id, pool_->allocate());
  std::memcpy(pool_->data(id), pool_->data(old), pool_->block_bytes());
  pool_->release(old);
  ids_[at] = id;
  pointers_[at] = pool_->data(id);
  return {};
}

bool BlockTable::is_shared(int64_t position) const {
  if (position < n_dropped_ * kernels::kBlockTokens || position >= capacity_tokens()) return false;
  return pool_->references(ids_[static_cast<size_t>(position / kernels::kBlockTokens)]) > 1;
}

int64_t BlockTable::capacity_tokens() const {
  return static_cast<int64_t>(ids_.size()) * kernels::kBlockTokens;
}

}  // namespace quipu::kv
