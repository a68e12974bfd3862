#include "kv/block_pool.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <new>

#include "base/checked.h"

namespace quipu::kv {

// Blocks [0, opened) have been writable at some time: the range grows at its end only, so that it stays one
// mapping beside the reserved rest.
struct BlockPool::Impl {
  struct Block {
    uint32_t references = 0;
    bool committed = false;
  };

  memory::Ledger* ledger = nullptr;
  std::byte* base = nullptr;
  size_t block_bytes = 0;
  size_t stride = 0;  // block_bytes in whole pages
  uint32_t capacity = 0;
  std::vector<Block> blocks;      // the opened ones
  std::vector<BlockId> free_ids;  // opened and without references; a heap by comes_later()
  uint32_t in_use = 0;
  uint32_t committed = 0;

  std::byte* at(BlockId id) const { return base + id * stride; }

  // Blocks that have their pages first, then low numbers.
  auto comes_later() const {
    return [this](BlockId a, BlockId b) {
      return blocks[a].committed != blocks[b].committed ? blocks[b].committed : a > b;
    };
  }
};

namespace {

Error no_memory(int error_number, size_t bytes) {
  return {Code::kOutOfMemory,
          fmt::format("the system has no {} bytes for another block of the KV cache: {}", bytes,
                      std::strerror(error_number)),
          {}};
}

// Gives every page of the range memory, or says that there is none, instead of being killed at the first
// write.
int populate(std::byte* at, size_t bytes) {
#ifdef MADV_POPULATE_WRITE
  if (madvise(at, bytes, MADV_POPULATE_WRITE) == 0) return 0;
  if (errno != EINVAL) return errno;
#endif
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));  // an old kernel: touch them
  for (size_t i = 0; i < bytes; i += page) reinterpret_cast<volatile char*>(at)[i] = 0;
  return 0;
}

}  // namespace

BlockPool::BlockPool(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

BlockPool::~BlockPool() {
  impl_->ledger->subtract(memory::Category::kKv, static_cast<uint64_t>(impl_->committed) * impl_->stride);
  munmap(impl_->base, impl_->capacity * impl_->stride);
}

Result<std::unique_ptr<BlockPool>> BlockPool::create(size_t block_bytes, uint32_t capacity,
                                                     memory::Ledger& ledger) {
  if (block_bytes == 0 || capacity == 0)
    return error(Code::kInvalidArgument, "a KV cache of {} blocks of {} bytes is not possible", capacity,
                 block_bytes);
  const auto stride = checked_round_up(block_bytes, static_cast<size_t>(sysconf(_SC_PAGESIZE)));
  const auto bytes = stride ? checked_mul(*stride, static_cast<size_t>(capacity)) : std::nullopt;
  if (!bytes || !checked_cast<ptrdiff_t>(*bytes))
    return error(Code::kOutOfMemory, "a KV cache of {} blocks of {} bytes is larger than the address space",
                 capacity, block_bytes);
  void* base = mmap(nullptr, *bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED)
    return error(Code::kOutOfMemory, "cannot reserve {} bytes of addresses for the KV cache: {}", *bytes,
                 std::strerror(errno));
  auto impl = std::make_unique<Impl>();
  impl->ledger = &ledger;
  impl->base = static_cast<std::byte*>(base);
  impl->block_bytes = block_bytes;
  impl->stride = *stride;
  impl->capacity = capacity;
  return std::unique_ptr<BlockPool>(new BlockPool(std::move(impl)));
}

Result<BlockId> BlockPool::allocate() {
  Impl& p = *impl_;
  if (p.free_ids.empty()) {
    const BlockId id = static_cast<BlockId>(p.blocks.size());
    if (id == p.capacity)
      return error(Code::kOutOfMemory, "all {} blocks of the KV cache are in use", p.capacity);
    try {
      // Both at once, so that release() never has to allocate.
      if (p.free_ids.capacity() < p.blocks.size() + 1) p.free_ids.reserve(2 * p.blocks.size() + 16);
      p.blocks.reserve(p.free_ids.capacity());
    } catch (const std::bad_alloc&) {
      return std::unexpected(no_memory(ENOMEM, p.stride));
    }
    if (mprotect(p.at(id), p.stride, PROT_READ | PROT_WRITE) != 0)
      return std::unexpected(no_memory(errno, p.stride));
    p.blocks.emplace_back();
    p.free_ids.push_back(id);  // the only element
  }
  std::pop_heap(p.free_ids.begin(), p.free_ids.end(), p.comes_later());
  const BlockId id = p.free_ids.back();
  Impl::Block& block = p.blocks[id];
  if (block.committed) {
    std::memset(p.at(id), 0, p.stride);
  } else {
    if (const int failed = populate(p.at(id), p.stride); failed != 0) {
      madvise(p.at(id), p.stride, MADV_DONTNEED);  // what it got before it failed
      std::push_heap(p.free_ids.begin(), p.free_ids.end(), p.comes_later());
      return std::unexpected(no_memory(failed, p.stride));
    }
    block.committed = true;
    ++p.committed;
    p.ledger->add(memory::Category::kKv, p.stride);
  }
  p.free_ids.pop_back();
  block.references = 1;
  ++p.in_use;
  return id;
}

void BlockPool::retain(BlockId id) {
  assert(references(id) > 0);
  ++impl_->blocks[id].references;
}

void BlockPool::release(BlockId id) {
  Impl& p = *impl_;
  assert(references(id) > 0);
  if (--p.blocks[id].references > 0) return;
  --p.in_use;
  p.free_ids.push_back(id);
  std::push_heap(p.free_ids.begin(), p.free_ids.end(), p.comes_later());
}

uint32_t BlockPool::references(BlockId id) const {
  return id < impl_->blocks.size() ? impl_->blocks[id].references : 0;
}

std::byte* BlockPool::data(BlockId id) { return impl_->at(id); }

size_t BlockPool::trim() {
  Impl& p = *impl_;
  uint32_t returned = 0;
  for (size_t begin = 0; begin < p.blocks.size();) {
    const auto idle = [&](size_t id) { return p.blocks[id].references == 0 && p.blocks[id].committed; };
    size_t end = begin;
    while (end < p.blocks.size() && idle(end)) ++end;
    if (end == begin) {
      ++begin;
      continue;
    }
    // Neighbours in one call.
    if (madvise(p.at(static_cast<BlockId>(begin)), (end - begin) * p.stride, MADV_DONTNEED) == 0) {
      for (size_t id = begin; id < end; ++id) p.blocks[id].committed = false;
      returned += static_cast<uint32_t>(end - begin);
    }
    begin = end;
  }
  std::make_heap(p.free_ids.begin(), p.free_ids.end(), p.comes_later());
  p.committed -= returned;
  p.ledger->subtract(memory::Category::kKv, static_cast<uint64_t>(returned) * p.stride);
  return returned * p.stride;
}

size_t BlockPool::block_bytes() const { return impl_->block_bytes; }
uint32_t BlockPool::capacity() const { return impl_->capacity; }
uint32_t BlockPool::in_use() const { return impl_->in_use; }
uint32_t BlockPool::committed() const { return impl_->committed; }

}  // namespace quipu::kv
