// The body of attention.cc of the vector instruction sets: included once by each, after its float_vector.h
// and attention_rows.inc.h, inside its namespace's unnamed namespace.
//
// Queries go through in register tiles of Q <= kTileQueries. Per tile and block of 32 tokens:
//   scores   s[Q][32] = packed q [head_dim][Q] x K [head_dim][32]      lanes are tokens
//   softmax  running maximum, factor c, p, running sum                 lanes are tokens, then queries
//   values   o[Q][32] = o * c + p [Q][32] x V [32][32], per 32 dimensions   lanes are dimensions
// The state of a register tile is contiguous: m[kN], l[kN], o[head_dim / 32][Q][32].

constexpr float kFloatMax = 0x1.fffffep127f;

// Register tiles of a query tile: as few as possible, sizes differing by at most one.
struct Tiling {
  int n_queries, n_tiles;
  QUIPU_INLINE explicit Tiling(int n) : n_queries(n), n_tiles((n + kTileQueries - 1) / kTileQueries) {}
  QUIPU_INLINE int begin(int tile) const {
    return static_cast<int>(static_cast<int64_t>(n_queries) * tile / n_tiles);
  }
};

template <int Q>
constexpr int tile_vectors() {
  return Q <= kWideQueries ? kRowVectors : kTileVectors;
}

// Scores outside the floats (queries of huge values only) are brought back to the largest float, NaN to the
// smallest, so that no difference of two scores is NaN.
template <int Q, class B, bool kPrefetch>
void scores(const float* packed, const std::byte* k, int head_dim, const std::byte* next, float* s) {
  constexpr int kV = tile_vectors<Q>();
  for (int column = 0; column < kColumns; column += kV * kN) {
    F acc[Q][kV];
#pragma GCC unroll 16
    for (int q = 0; q < Q; ++q)
#pragma GCC unroll 16
      for (int v = 0; v < kV; ++v) acc[q][v] = zero();
    for (int d = 0; d < head_dim; d += kColumns) {
      const float* const a = packed + static_cast<ptrdiff_t>(d) * Q;
      const ptrdiff_t group = static_cast<ptrdiff_t>(d / kColumns) * B::kGroupBytes;
      const auto address = [a](int i, int q) { return a + static_cast<ptrdiff_t>(i) * Q + q; };
      multiply<Q, kV, B, true, kPrefetch>(acc, k + group, column, next + group, address);
    }
#pragma GCC unroll 16
    for (int q = 0; q < Q; ++q)
#pragma GCC unroll 16
      for (int v = 0; v < kV; ++v)
        store(s + q * kColumns + column + v * kN, min(max(acc[q][v], all(-kFloatMax)), all(kFloatMax)));
  }
}

template <int Q, class B, bool kPrefetch>
void values(const float* p, const float* c, const std::byte* v0, int head_dim, const std::byte* next,
            float* o) {
  constexpr int kV = tile_vectors<Q>();
  for (int d = 0; d < head_dim; d += kColumns) {
    for (int column = 0; column < kColumns; column += kV * kN) {
      F acc[Q][kV];
#pragma GCC unroll 16
      for (int q = 0; q < Q; ++q) {
        const F factor = broadcast(c + q);
#pragma GCC unroll 16
        for (int v = 0; v < kV; ++v) acc[q][v] = mul(load(o + q * kColumns + column + v * kN), factor);
      }
      const auto address = [p](int j, int q) { return p + q * kColumns + j; };
      multiply<Q, kV, B, false, kPrefetch>(acc, v0, column, next, address);
#pragma GCC unroll 16
      for (int q = 0; q < Q; ++q)
#pragma GCC unroll 16
        for (int v = 0; v < kV; ++v) store(o + q * kColumns + column + v * kN, acc[q][v]);
    }
    v0 += B::kGroupBytes;
    next += B::kGroupBytes;
    o += Q * kColumns;
  }
}

// s becomes p; c gets the factors of the old state. A query that sees nothing of the block has s = -infinity
// everywhere: its m stays and c is 1 (or 0 with l = 0, o = 0 if it has seen nothing yet), p is 0.
template <int Q>
void softmax(float* s, float* c, float* m, float* l) {
  F rows[Q];
#pragma GCC unroll 16
  for (int q = 0; q < Q; ++q) {
    F x[kRowVectors];
    for (int v = 0; v < kRowVectors; ++v) x[v] = load(s + q * kColumns + v * kN);
    rows[q] = fold_32(x, Max{});
  }
  const F old = load(m);
  const F now = max(old, reduce_rows<Q>(rows, Max{}));
  const F factor = exp(sub(old, now));
  store(m, now);
  store(c, factor);
#pragma GCC unroll 16
  for (int q = 0; q < Q; ++q) {
    const F base = broadcast(m + q);
    F x[kRowVectors];
    for (int v = 0; v < kRowVectors; ++v) {
      x[v] = exp(sub(load(s + q * kColumns + v * kN), base));
      store(s + q * kColumns + v * kN, x[v]);
    }
    rows[q] = fold_32(x, Add{});
  }
  store(l, fma(load(l), factor, reduce_rows<Q>(rows, Add{})));
}

using ScoresFn = void (*)(const float*, const std::byte*, int, const std::byte*, float*);
using SoftmaxFn = void (*)(float*, float*, float*, float*);
using ValuesFn = void (*)(const float*, const float*, const std::byte*, int, const std::byte*, float*);

struct Step {
  ScoresFn scores = nullptr;
  SoftmaxFn softmax = nullptr;
  ValuesFn values = nullptr;
};

// K and V as they are in memory now: in the cache's type with the next block prefetched, or already widened
// to float.
struct Source {
  KvType k, v;
  bool prefetch;
};

// From this many register tiles on, a block is widened to float once for all of them: then no tile is smaller
// than this.
constexpr int kWidenTiles = 3;
constexpr int kLeastWidened = (kTileQueries * (kWidenTiles - 1) + 1) / kWidenTiles;

template <int Q>
ScoresFn scores_of(KvType t) {
  switch (t) {
    case KvType::kF16:
      return scores<Q, Rows<KvType::kF16>, true>;
    case KvType::kF32:
      return scores<Q, Rows<KvType::kF32>, true>;
    case KvType::kBf16:
      return scores<Q, Rows<KvType::kBf16>, true>;
    case KvType::kQ8_0:
      return scores<Q, Rows<KvType::kQ8_0>, true>;
    case KvType::kQ4_0:
      break;
  }
  return scores<Q, Rows<KvType::kQ4_0>, true>;
}

template <int Q>
ValuesFn values_of(KvType t) {
  switch (t) {
    case KvType::kF16:
      return values<Q, Rows<KvType::kF16>, true>;
    case KvType::kF32:
      return values<Q, Rows<KvType::kF32>, true>;
    case KvType::kBf16:
      return values<Q, Rows<KvType::kBf16>, true>;
    case KvType::kQ8_0:
      return values<Q, Rows<KvType::kQ8_0>, true>;
    case KvType::kQ4_0:
      break;
  }
  return values<Q, Rows<KvType::kQ4_0>, true>;
}

template <int Q>
Step choose_step(const Source& from) {
  if constexpr (Q >= kLeastWidened) {
    if (!from.prefetch) return {scores<Q, Float, false>, softmax<Q>, values<Q, Float, false>};
  }
  return {scores_of<Q>(from.k), softmax<Q>, values_of<Q>(from.v)};
}

Step step_of(int n_queries, const Source& from) {
  switch (n_queries) {
    case 1:
      return choose_step<1>(from);
    case 2:
      return choose_step<2>(from);
    case 3:
      return choose_step<3>(from);
    case 4:
      return choose_step<4>(from);
    case 5:
      return choose_step<5>(from);
    case 6:
      return choose_step<6>(from);
    default:
      break;
  }
  if constexpr (kTileQueries == 12) {
    switch (n_queries) {
      case 7:
        return choose_step<7>(from);
      case 8:
        return choose_step<8>(from);
      case 9:
        return choose_step<9>(from);
      case 10:
        return choose_step<10>(from);
      case 11:
        return choose_step<11>(from);
      case 12:
        return choose_step<12>(from);
      default:
        break;
    }
  }
  __builtin_unreachable();
}

void pack(const QueryTile& t, const float* q, int64_t ldq, float* packed) {
  const Tiling tiling(t.n_queries);
  for (int tile = 0; tile < tiling.n_tiles; ++tile) {
    const int first = tiling.begin(tile), n = tiling.begin(tile + 1) - first;
    float* to = packed + static_cast<int64_t>(first) * t.head_dim_k;
    for (int i = 0; i < n; ++i) {
      const float* from =
          q + (first + i) / t.group * ldq + static_cast<int64_t>((first + i) % t.group) * t.head_dim_k;
      for (int d = 0; d < t.head_dim_k; ++d) to[static_cast<int64_t>(d) * n + i] = from[d];
    }
  }
}

void clear(const QueryTile& t, const TileState& s) {
  const Tiling tiling(t.n_queries);
  for (int tile = 0; tile < tiling.n_tiles; ++tile) {
    store(s.m + tile * kN, all(-__builtin_inff()));
    store(s.l + tile * kN, zero());
  }
  const int64_t n = static_cast<int64_t>(t.n_queries) * t.head_dim_v;
  for (int64_t i = 0; i < n; i += kN) store(s.o + i, zero());
}

// s = -infinity outside [first, end) of each query's row.
void mask(const QueryTile& t, int64_t block, int first_query, int n, float* s) {
  const int64_t token0 = block * kColumns;
  for (int i = 0; i < n; ++i) {
    const int64_t position = t.position0 + (first_query + i) / t.group;
    int64_t end = position + 1 - token0;
    int64_t first = t.window > 0 ? position + 1 - t.window - token0 : 0;
    end = end < 0 ? 0 : end > kColumns ? kColumns : end;
    first = first < 0 ? 0 : first > kColumns ? kColumns : first;
    for (int v = 0; v < kRowVectors; ++v) {
      float* at = s + i * kColumns + v * kN;
      store(at, keep_lanes(load(at), v * kN, static_cast<int>(first), static_cast<int>(end)));
    }
  }
}

void attend(const QueryTile& t, const float* packed, int64_t begin, int64_t end, const TileState& s,
            float* work) {
  const Tiling tiling(t.n_queries);
  const bool widened = tiling.n_tiles >= kWidenTiles;
  const Source source = {t.type_k, t.type_v, !widened};
  const int small = t.n_queries / tiling.n_tiles;
  const Step steps[2] = {step_of(small, source),
                         step_of(t.n_queries % tiling.n_tiles != 0 ? small + 1 : small, source)};
  const int64_t k_elems = static_cast<int64_t>(kColumns) * t.head_dim_k;
  const int64_t v_elems = static_cast<int64_t>(kColumns) * t.head_dim_v;
  float* const k_wide = work;
  float* const v_wide = k_wide + k_elems;
  float* const p = v_wide + v_elems;
  float* const c = p + kTileQueries * kColumns;

  for (int64_t block = begin; block < end; ++block) {
    const int64_t following = block + 1 < end ? block + 1 : block;
    const std::byte* k = t.blocks[block] + t.k_offset;
    const std::byte* v = t.blocks[block] + t.v_offset;
    const std::byte* const k_next = t.blocks[following] + t.k_offset;
    const std::byte* const v_next = t.blocks[following] + t.v_offset;
    if (widened) {
      widen<true>(k, t.type_k, t.head_dim_k, k_wide);
      widen<false>(v, t.type_v, t.head_dim_v, v_wide);
      k = reinterpret_cast<const std::byte*>(k_wide);
      v = reinterpret_cast<const std::byte*>(v_wide);
    }
    const int64_t token0 = block * kColumns, token1 = token0 + kColumns - 1;
    for (int tile = 0; tile < tiling.n_tiles; ++tile) {
      const int first = tiling.begin(tile), n = tiling.begin(tile + 1) - first;
      const int64_t row0 = t.position0 + first / t.group, row1 = t.position0 + (first + n - 1) / t.group;
      if (token0 > row1 || (t.window > 0 && token1 <= row0 - t.window)) continue;
      const Step& step = steps[n != small];
      step.scores(packed + static_cast<int64_t>(first) * t.head_dim_k, k, t.head_dim_k, k_next, p);
      if (token1 > row0 || (t.window > 0 && token0 <= row1 - t.window)) mask(t, block, first, n, p);
      step.softmax(p, c, s.m + tile * kN, s.l + tile * kN);
      step.values(p, c, v, t.head_dim_v, v_next, s.o + static_cast<int64_t>(first) * t.head_dim_v);
    }
  }
}

void merge(const QueryTile& t, const TileState& sum, const TileState& part) {
  const Tiling tiling(t.n_queries);
  float a[kN], b[kN];
  for (int tile = 0; tile < tiling.n_tiles; ++tile) {
    const int first = tiling.begin(tile), n = tiling.begin(tile + 1) - first;
    float* m = sum.m + tile * kN;
    float* l = sum.l + tile * kN;
    const F old = load(m), other = load(part.m + tile * kN);
    const F now = max(old, other);
    const F fa = exp(sub(old, now)), fb = exp(sub(other, now));
    store(m, now);
    store(l, fma(load(l), fa, mul(load(part.l + tile * kN), fb)));
    store(a, fa);
    store(b, fb);
    const int64_t offset = static_cast<int64_t>(first) * t.head_dim_v;
    for (int d = 0; d < t.head_dim_v; d += kColumns) {
      for (int q = 0; q < n; ++q) {
        const int64_t at = offset + static_cast<int64_t>(d) * n + q * kColumns;
        for (int v = 0; v < kColumns; v += kN)
          store(sum.o + at + v, fma(load(sum.o + at + v), all(a[q]), mul(load(part.o + at + v), all(b[q]))));
      }
    }
  }
}

// Adding +0 makes the sign of a zero independent of which masked tokens were passed on the way.
void finish(const QueryTile& t, const TileState& s, float* out, int64_t ldo) {
  const Tiling tiling(t.n_queries);
  for (int tile = 0; tile < tiling.n_tiles; ++tile) {
    const int first = tiling.begin(tile), n = tiling.begin(tile + 1) - first;
    for (int q = 0; q < n; ++q) {
      const float* from = s.o + static_cast<int64_t>(first) * t.head_dim_v + q * kColumns;
      float* to =
          out + (first + q) / t.group * ldo + static_cast<int64_t>((first + q) % t.group) * t.head_dim_v;
      const F l = broadcast(s.l + tile * kN + q);
      for (int d = 0; d < t.head_dim_v; d += kColumns, from += n * kColumns)
        for (int v = 0; v < kColumns; v += kN) store(to + d + v, add(div(load(from + v), l), zero()));
    }
  }
}
