#include "kernels/attention.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "base/checked.h"
#include "kernels/attention_impl.h"
#include "kernels/dispatch.h"

namespace quipu::kernels {

namespace {

// Queries of a tile. Many, so that reading a block and widening it costs little per query (192 * 32 scores
// against 32 * head_dim conversions); few enough that packed queries and state (2 * 192 * 128 floats = 196
// KB) stay in L2. A multiple of both register tiles (6 and 12).
constexpr int kTileQueries = 192;

// A unit of more than 1/kShares of a thread's work is cut into parts if it can be.
constexpr int64_t kShares = 4;

// What reading a token costs, in queries' work on it.
constexpr int64_t kReadCost = 8;

// Items beyond this number are not sorted: with so many, the order decides little.
constexpr int kSortItems = 128;

constexpr int64_t kPartBlocks = kPartTokens / kBlockTokens;

const AttentionTable& table() {
  switch (active_isa()) {
    case Isa::kAvx512:
      return avx512::kAttention;
    case Isa::kAvx2:
      return avx2::kAttention;
    case Isa::kScalar:
      break;
  }
  return scalar::kAttention;
}

// The queries of one tile of rows for one KV head, and what of the cache they see.
struct Unit {
  int seq = 0;
  int kv_head = 0;
  int64_t row_begin = 0;  // within the sequence
  int64_t n_rows = 0;
  int64_t block_begin = 0, block_end = 0;
  int64_t cost = 0;
  bool split = false;
  // Split units, this round: where the sum is (or the first part, which becomes the sum), the part after it,
  // and how many items have still to come.
  float* sum = nullptr;
  float* rest = nullptr;
  int rest_count = 0;
  bool complete = false;
  int pending = 0;

  int64_t part_begin() const { return block_begin / kPartBlocks; }
  int64_t part_end() const { return ceil_div(block_end, kPartBlocks); }
};

// A whole unit (state == nullptr), or one part of a unit into a state of its own.
struct Item {
  int unit = 0;
  int64_t part = 0;
  float* state = nullptr;
  int64_t cost = 0;
};

int group_of(const AttentionShape& s) { return s.n_heads / s.n_kv_heads; }
int64_t tile_rows(const AttentionShape& s) { return std::max(1, kTileQueries / group_of(s)); }

// Floats of a state of n queries, in whole cache lines.
size_t state_floats(const AttentionShape& s, int64_t n_queries) {
  return static_cast<size_t>(round_up<int64_t>(2 * stat_floats(n_queries) + n_queries * s.head_dim_v, 16));
}

TileState state_at(float* at, int64_t n_queries) {
  return {at, at + stat_floats(n_queries), at + 2 * stat_floats(n_queries)};
}

// How the scratch is divided; all sizes in bytes are multiples of 64.
struct Scratch {
  size_t max_units, units_bytes, items_bytes;
  int64_t max_queries;  // of a tile
  size_t packed_floats, state_floats, work_floats, worker_floats;
  size_t slot_floats;  // for the states of parts

  Scratch(const AttentionShape& s, int64_t max_rows, int n_threads) {
    const int group = group_of(s);
    max_queries = std::min(tile_rows(s), max_rows) * group;
    max_units = static_cast<size_t>(max_rows) * static_cast<size_t>(s.n_kv_heads);
    units_bytes = round_up<size_t>(max_units * sizeof(Unit), 64);
    packed_floats = static_cast<size_t>(max_queries) * static_cast<size_t>(s.head_dim_k);
    state_floats = kernels::state_floats(s, max_queries);
    work_floats = round_up<size_t>(static_cast<size_t>(32 * (s.head_dim_k + s.head_dim_v) + kWorkFloats), 16);
    worker_floats = packed_floats + 2 * state_floats + work_floats;
    // Two parts per thread of the largest tile, or sixteen of a decode row: enough to even out the last ones
    // of a round.
    const size_t threads = static_cast<size_t>(n_threads);
    slot_floats = std::max(2 * threads * state_floats, 16 * threads * kernels::state_floats(s, group));
    const size_t max_parts = slot_floats / kernels::state_floats(s, group);
    items_bytes = round_up<size_t>((max_units + max_parts) * sizeof(Item), 64);
  }
  size_t bytes(int n_threads) const {
    return units_bytes + items_bytes +
           (worker_floats * static_cast<size_t>(n_threads) + slot_floats) * sizeof(float);
  }
};

int64_t total_rows(std::span<const AttentionSeq> seqs) {
  int64_t n = 0;
  for (const AttentionSeq& s : seqs) n += std::max<int64_t>(0, s.n_rows);
  return n;
}

class Attention {
 public:
  Attention(ThreadPool& pool, const AttentionShape& shape, std::span<const AttentionSeq> seqs, const float* q,
            int64_t ldq, float* out, int64_t ldo, std::byte* scratch)
      : pool_(pool),
        shape_(shape),
        seqs_(seqs),
        q_(q),
        ldq_(ldq),
        out_(out),
        ldo_(ldo),
        layout_(shape, total_rows(seqs), pool.size()),
        table_(table()) {
    units_ = reinterpret_cast<Unit*>(scratch);
    items_ = reinterpret_cast<Item*>(scratch + layout_.units_bytes);
    workers_ = reinterpret_cast<float*>(scratch + layout_.units_bytes + layout_.items_bytes);
    slots_ = workers_ + layout_.worker_floats * static_cast<size_t>(pool.size());
  }

  void run() {
    list_units();
    for (int i = 0; i < n_units_; ++i)
      if (!units_[i].split) add_item({i, 0, nullptr, units_[i].cost});
    Place next;
    do {
      next = add_parts(next);
      run_items();
      carry_over(next);
      n_items_ = 0;
    } while (next.unit < n_units_);
  }

 private:
  // Where the parts of split units go on.
  struct Place {
    int unit = 0;
    int64_t part = -1;  // -1: the unit's first
  };

  QueryTile tile_of(const Unit& u) const {
    const size_t head = static_cast<size_t>(u.kv_head);
    QueryTile t;
    t.blocks = seqs_[static_cast<size_t>(u.seq)].blocks;
    t.k_offset = shape_.k_offset + head * shape_.k_head_bytes;
    t.v_offset = shape_.v_offset + head * shape_.v_head_bytes;
    t.head_dim_k = shape_.head_dim_k;
    t.head_dim_v = shape_.head_dim_v;
    t.type_k = shape_.type_k;
    t.type_v = shape_.type_v;
    t.group = group_of(shape_);
    t.n_queries = static_cast<int>(u.n_rows) * t.group;
    t.position0 = seqs_[static_cast<size_t>(u.seq)].position0 + u.row_begin;
    t.window = shape_.window;
    return t;
  }

  int64_t first_row(const Unit& u) const { return seqs_[static_cast<size_t>(u.seq)].row0 + u.row_begin; }

  void list_units() {
    const int64_t rows = tile_rows(shape_);
    int64_t total = 0;
    for (size_t s = 0; s < seqs_.size(); ++s) {
      const AttentionSeq& seq = seqs_[s];
      for (int64_t row = 0; row < seq.n_rows; row += rows) {
        Unit u;
        u.seq = static_cast<int>(s);
        u.row_begin = row;
        u.n_rows = std::min(rows, seq.n_rows - row);
        const int64_t first = seq.position0 + row, last = first + u.n_rows - 1;
        const int64_t seen_from = shape_.window > 0 ? std::max<int64_t>(0, first + 1 - shape_.window) : 0;
        u.block_begin = seen_from / kBlockTokens;
        u.block_end = last / kBlockTokens + 1;
        const int64_t seen = (first + last) / 2 + 1 - seen_from;
        u.cost = (u.n_rows * group_of(shape_) + kReadCost) * (seen + kBlockTokens);
        for (u.kv_head = 0; u.kv_head < shape_.n_kv_heads; ++u.kv_head) {
          units_[n_units_++] = u;
          total += u.cost;
        }
      }
    }
    const int threads = pool_.active();
    if (threads == 1) return;
    for (int i = 0; i < n_units_; ++i) {
      Unit& u = units_[i];
      u.split = u.part_end() - u.part_begin() > 1 && u.cost > total / (kShares * threads);
    }
  }

  void add_item(const Item& item) { items_[n_items_++] = item; }

  // As many parts as there is room for their states.
  Place add_parts(Place at) {
    const float* const end = slots_ + layout_.slot_floats;
    float* free = slots_;
    for (; at.unit < n_units_; ++at.unit, at.part = -1) {
      Unit& u = units_[at.unit];
      if (!u.split) continue;
      const size_t size = state_floats(shape_, u.n_rows * group_of(shape_));
      const bool fresh = at.part < 0;
      if (fresh) at.part = u.part_begin();
      u.sum = u.rest = free;
      u.rest_count = u.pending = 0;
      u.complete = false;
      if (!fresh) free = u.rest = u.sum + size;  // carry_over() has put the sum there
      for (; at.part < u.part_end(); ++at.part) {
        if (static_cast<size_t>(end - free) < size) {
          if (fresh && u.pending == 0) at.part = -1;
          return at;
        }
        add_item({at.unit, at.part, free, u.cost / (u.part_end() - u.part_begin())});
        if (!fresh || u.pending > 0) ++u.rest_count;
        if (fresh && u.pending == 0) u.rest = free + size;
        ++u.pending;
        free += size;
      }
      u.complete = true;
    }
    return at;
  }

  // The sum of a unit that goes on in the next round moves to the beginning of the slots.
  void carry_over(const Place& next) {
    if (next.unit >= n_units_ || next.part < 0) return;
    const Unit& u = units_[next.unit];
    std::memmove(slots_, u.sum, state_floats(shape_, u.n_rows * group_of(shape_)) * sizeof(float));
  }

  void run_items() {
    // Long items first, so that the threads end together.
    if (n_items_ <= kSortItems)
      std::sort(items_, items_ + n_items_, [](const Item& a, const Item& b) { return a.cost > b.cost; });
    pool_.run(n_items_, [this](int i, int worker) {
      const Item& item = items_[i];
      float* area = workers_ + layout_.worker_floats * static_cast<size_t>(worker);
      if (item.state == nullptr)
        whole_unit(units_[item.unit], area);
      else
        one_part(units_[item.unit], item, area);
    });
  }

  void attend_part(const Unit& u, const QueryTile& t, int64_t part, const float* packed,
                   const TileState& state, float* work) {
    table_.clear(t, state);
    table_.attend(t, packed, std::max(u.block_begin, part * kPartBlocks),
                  std::min(u.block_end, (part + 1) * kPartBlocks), state, work);
  }

  void whole_unit(const Unit& u, float* area) {
    const QueryTile t = tile_of(u);
    float* const packed = area;
    float* const sum_at = packed + layout_.packed_floats;
    float* const work = sum_at + 2 * layout_.state_floats;
    const TileState sum = state_at(sum_at, t.n_queries);
    const TileState part = state_at(sum_at + layout_.state_floats, t.n_queries);
    table_.pack(t, q_ + first_row(u) * ldq_ + query_offset(u, t.head_dim_k), ldq_, packed);
    for (int64_t p = u.part_begin(); p < u.part_end(); ++p) {
      const bool first = p == u.part_begin();
      attend_part(u, t, p, packed, first ? sum : part, work);
      if (!first) table_.merge(t, sum, part);
    }
    finish(u, t, sum);
  }

  void one_part(Unit& u, const Item& item, float* area) {
    const QueryTile t = tile_of(u);
    float* const packed = area;
    float* const work = packed + layout_.packed_floats + 2 * layout_.state_floats;
    table_.pack(t, q_ + first_row(u) * ldq_ + query_offset(u, t.head_dim_k), ldq_, packed);
    attend_part(u, t, item.part, packed, state_at(item.state, t.n_queries), work);
    // Whoever is last merges the round's parts, in their order.
    if (std::atomic_ref<int>(u.pending).fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    const TileState sum = state_at(u.sum, t.n_queries);
    const size_t size = state_floats(shape_, t.n_queries);
    for (int i = 0; i < u.rest_count; ++i)
      table_.merge(t, sum, state_at(u.rest + size * static_cast<size_t>(i), t.n_queries));
    if (u.complete) finish(u, t, sum);
  }

  int64_t query_offset(const Unit& u, int head_dim) const {
    return static_cast<int64_t>(u.kv_head) * group_of(shape_) * head_dim;
  }

  void finish(const Unit& u, const QueryTile& t, const TileState& sum) {
    table_.finish(t, sum, out_ + first_row(u) * ldo_ + query_offset(u, t.head_dim_v), ldo_);
  }

  ThreadPool& pool_;
  const AttentionShape& shape_;
  std::span<const AttentionSeq> seqs_;
  const float* q_;
  int64_t ldq_;
  float* out_;
  int64_t ldo_;
  Scratch layout_;
  const AttentionTable& table_;
  Unit* units_ = nullptr;
  Item* items_ = nullptr;
  float* workers_ = nullptr;
  float* slots_ = nullptr;
  int n_units_ = 0;
  int n_items_ = 0;
};

}  // namespace

size_t attention_scratch_bytes(const AttentionShape& shape, int64_t max_rows, int n_threads) {
  return Scratch(shape, std::max<int64_t>(1, max_rows), n_threads).bytes(n_threads);
}

void attention(ThreadPool& pool, const AttentionShape& shape, std::span<const AttentionSeq> seqs,
               const float* q, int64_t ldq, float* out, int64_t ldo, std::byte* scratch) {
  if (total_rows(seqs) == 0) return;
  Attention(pool, shape, seqs, q, ldq, out, ldo, scratch).run();
}

void store_kv(ThreadPool& pool, const AttentionShape& shape, const AttentionSeq& seq, const float* k,
              int64_t ldk, const float* v, int64_t ldv) {
  if (seq.n_rows <= 0) return;
  const AttentionTable& isa = table();
  const int64_t first_block = seq.position0 / kBlockTokens;
  const int64_t n_blocks = (seq.position0 + seq.n_rows - 1) / kBlockTokens + 1 - first_block;
  const auto store = [&](int part, int) {
    const int64_t block = first_block + part / shape.n_kv_heads;
    const int head = part % shape.n_kv_heads;
    const int64_t begin = std::max(seq.position0, block * kBlockTokens);
    const int64_t end = std::min(seq.position0 + seq.n_rows, (block + 1) * kBlockTokens);
    const int64_t row = begin - seq.position0;
    const int lane = static_cast<int>(begin - block * kBlockTokens), n = static_cast<int>(end - begin);
    // The caller owns the blocks; AttentionSeq points to them as the readers see them.
    std::byte* data = const_cast<std::byte*>(seq.blocks[block]);
    const size_t h = static_cast<size_t>(head);
    isa.store_k(data + shape.k_offset + h * shape.k_head_bytes, shape.type_k,
                k + row * ldk + static_cast<int64_t>(head) * shape.head_dim_k, ldk, shape.head_dim_k, lane,
                n);
    isa.store_v(data + shape.v_offset + h * shape.v_head_bytes, shape.type_v,
                v + row * ldv + static_cast<int64_t>(head) * shape.head_dim_v, ldv, shape.head_dim_v, lane,
                n);
  };
  const int n_parts = static_cast<int>(n_blocks) * shape.n_kv_heads;
  if (seq.n_rows < kBlockTokens) {  // less work than waking the threads
    for (int i = 0; i < n_parts; ++i) store(i, 0);
  } else {
    pool.run(n_parts, store);
  }
}

}  // namespace quipu::kernels
