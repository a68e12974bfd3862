#include "memory/plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/checked.h"
#include "base/units.h"

namespace quipu::memory {

namespace {

constexpr int64_t kBlockTokens = 32;      // as kernels/attention.h
constexpr uint64_t kHuge = 1ull << 63;    // "fits nowhere"
constexpr int64_t kUsefulContext = 2048;  // a load must leave room for one sequence of this length
// Program, libraries, heap and stacks of a runner apart from the tokenizer's tables: measured as the PSS of a
// runner less everything on the ledger, for any model on Debian 12. Below a server, which has the program's
// and the libraries' pages too, 4.5 to 6.5 MiB; alone, where no other process has them, up to 10.3 MiB, of
// which up to 4 are the program's text in huge pages. Between the two, so that both are within 4 MiB of it.
constexpr uint64_t kRuntimeBytes = 7ull << 20;

uint64_t add(uint64_t a, uint64_t b) { return std::min(checked_add(a, b).value_or(kHuge), kHuge); }
uint64_t mul(uint64_t a, uint64_t b) { return std::min(checked_mul(a, b).value_or(kHuge), kHuge); }
uint64_t mul(int64_t a, uint64_t b) { return mul(static_cast<uint64_t>(std::max<int64_t>(a, 0)), b); }

// One block of a group: 32 tokens of every layer and head, K and V, in whole pages, as they are committed.
uint64_t block_bytes(const KvGroup& g, const RuntimeOptions& o) {
  const uint64_t k = mul(g.head_dim_k, static_cast<uint64_t>(o.k_bytes_per_32));
  const uint64_t v = mul(g.head_dim_v, static_cast<uint64_t>(o.v_bytes_per_32));
  const uint64_t bytes = mul(g.n_layers, mul(g.n_kv_heads, add(k, v)));
  return std::min(checked_round_up<uint64_t>(bytes, 4096).value_or(kHuge), kHuge);
}

uint64_t blocks_for(int64_t n_tokens) {
  const int64_t n = std::max<int64_t>(n_tokens, 0);
  return static_cast<uint64_t>(n / kBlockTokens + (n % kBlockTokens != 0));
}

// Blocks a sequence of n tokens holds in a group: a windowed one keeps its window and the block it is
// writing.
uint64_t blocks(const KvGroupPlan& g, int64_t n_tokens) {
  const int64_t most = g.window > 0 ? checked_add(g.window, kBlockTokens).value_or(n_tokens) : n_tokens;
  return blocks_for(std::min(n_tokens, most));
}

// What windowed groups take beyond that while the rows of a batch are written: none of them looks back
// farther than its window, but the first and the last of them have different ones.
uint64_t batch_bytes(const MemoryPlan& p, int64_t n_sequences, int64_t n_tokens) {
  const uint64_t rows = add(p.batch_blocks, mul(n_sequences - 1, 1));
  uint64_t sum = 0;
  for (const KvGroupPlan& g : p.kv_groups) {
    const uint64_t beyond = mul(n_sequences, blocks_for(n_tokens) - blocks(g, n_tokens));
    sum = add(sum, mul(std::min(beyond, rows), g.block_bytes));
  }
  return sum;
}

uint64_t kv_bytes(const MemoryPlan& p, int64_t n_tokens) {
  uint64_t sum = 0;
  for (const KvGroupPlan& g : p.kv_groups) sum = add(sum, mul(blocks(g, n_tokens), g.block_bytes));
  return sum;
}

// "80.0 KiB a token", "96.0 KiB a token, 16.0 KiB beyond 512"
std::string growth(const MemoryPlan& p) {
  int64_t widest = 0;
  uint64_t beyond = 0;
  for (const KvGroupPlan& g : p.kv_groups) {
    widest = std::max(widest, g.window);
    if (g.window == 0) beyond = add(beyond, g.block_bytes / kBlockTokens);
  }
  const std::string first = format_bytes(p.kv_bytes_per_token) + " a token";
  return widest == 0 ? first : fmt::format("{}, {} beyond {}", first, format_bytes(beyond), widest);
}

std::string sequences(int64_t n) { return fmt::format("{} sequence{}", n, n == 1 ? "" : "s"); }

// Tokens of one sequence that a budget holds beside everything that is not KV.
uint64_t room_for_tokens(const MemoryPlan& p, uint64_t budget) {
  const uint64_t fixed = p.fixed();
  return static_cast<uint64_t>(p.tokens_within(budget > fixed ? budget - fixed : 0));
}

}  // namespace

uint64_t MemoryPlan::total() const {
  uint64_t sum = 0;
  for (const PlanLine& l : lines) sum = add(sum, l.bytes);
  return sum;
}

uint64_t MemoryPlan::fixed() const {
  const uint64_t all = total();
  return all - std::min(bytes(Category::kKv), all);
}

uint64_t MemoryPlan::bytes(Category c) const {
  uint64_t sum = 0;
  for (const PlanLine& l : lines)
    if (l.category == c) sum = add(sum, l.bytes);
  return sum;
}

uint64_t MemoryPlan::kv_of_sequence(int64_t n_tokens) const {
  return add(kv_bytes(*this, n_tokens), batch_bytes(*this, 1, n_tokens));
}

int64_t MemoryPlan::tokens_within(uint64_t bytes) const {
  constexpr int64_t kMostBlocks = INT64_MAX / kBlockTokens;
  int64_t low = 0, high = kMostBlocks;  // blocks: low fits
  if (kv_of_sequence(high * kBlockTokens) <= bytes) return high * kBlockTokens;
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    (kv_of_sequence(middle * kBlockTokens) <= bytes ? low : high) = middle;
  }
  return low * kBlockTokens;
}

MemoryPlan plan(const ModelShape& shape, const RuntimeOptions& o) {
  MemoryPlan p;
  p.batch_blocks = blocks_for(shape.max_rows);
  for (const KvGroup& g : shape.groups) {
    p.kv_groups.push_back({block_bytes(g, o), g.window});
    p.kv_block_bytes = add(p.kv_block_bytes, p.kv_groups.back().block_bytes);
  }
  p.kv_bytes_per_token = p.kv_block_bytes / kBlockTokens;
  p.kv_ceiling = add(mul(o.n_parallel, kv_bytes(p, o.n_ctx)), batch_bytes(p, o.n_parallel, o.n_ctx));

  const bool has_windows =
      std::any_of(shape.groups.begin(), shape.groups.end(), [](const KvGroup& g) { return g.window > 0; });
  p.lines.push_back({Category::kWeights, shape.weights_bytes, "the model file, mapped read-only"});
  if (shape.projector_bytes != 0)
    p.lines.push_back({Category::kProjector, shape.projector_bytes, "the projector file, mapped read-only"});
  p.lines.push_back(
      {Category::kKv, kv_bytes(p, o.tokens_in_use),
       fmt::format("{} tokens in use x {} B, by {} tokens{}", o.tokens_in_use, p.kv_bytes_per_token,
                   kBlockTokens, has_windows ? "; windowed layers less" : "")});
  p.lines.push_back({Category::kWorkspace, shape.workspace_bytes,
                     fmt::format("prefill chunks of {} rows, {} thread{}; not the context", shape.max_rows,
                                 shape.n_threads, shape.n_threads == 1 ? "" : "s")});
  // A row of logits and an embedding's sum for each sequence, and one list of candidates (id and logit) in
  // which the sampler works.
  const uint64_t of_each = add(mul(shape.n_vocab, 4), mul(shape.n_embd, 8));
  p.lines.push_back({Category::kOutput, add(mul(o.n_parallel, of_each), mul(shape.n_vocab, 8)),
                     fmt::format("{} x ({} logits x 4 B + {} x 8 B) + {} x 8 B", o.n_parallel, shape.n_vocab,
                                 shape.n_embd, shape.n_vocab)});
  p.lines.push_back({Category::kRuntime, add(kRuntimeBytes, shape.tokenizer_bytes),
                     fmt::format("program and heap {}, tokenizer {}", format_bytes(kRuntimeBytes),
                                 format_bytes(shape.tokenizer_bytes))});
  return p;
}

int64_t first_tokens(const RuntimeOptions& o) { return std::clamp<int64_t>(o.n_ctx, 0, kUsefulContext); }

uint64_t charge(const MemoryPlan& p, const RuntimeOptions& o) {
  const uint64_t one = std::min(p.kv_of_sequence(first_tokens(o)), p.kv_ceiling);
  return add(p.fixed(), std::max(p.bytes(Category::kKv), one));
}

Fit fits(const MemoryPlan& p, const RuntimeOptions& o, uint64_t budget) {
  if (charge(p, o) > budget) return Fit::kNo;
  return add(p.fixed(), p.kv_ceiling) > budget ? Fit::kTight : Fit::kYes;
}

const char* fit_name(Fit f) { return f == Fit::kYes ? "yes" : f == Fit::kTight ? "tight" : "no"; }

namespace {

// Where no setting makes it fit.
std::string what_it_takes(uint64_t needed, const Machine& machine) {
  if (machine.limit && *machine.limit < needed && needed <= machine.capacity())
    return fmt::format("raise QUIPU_MEMORY to {}, or take a smaller model", format_bytes_up(needed));
  const uint64_t free = machine.free();
  return fmt::format("free {} more, or take a smaller model",
                     format_bytes_up(needed - std::min(needed, free)));
}

}  // namespace

std::string refusal(const MemoryPlan& p, const RuntimeOptions& o, const Machine& machine,
                    const std::string& advice) {
  const uint64_t needed = charge(p, o);
  const uint64_t fixed = p.fixed();
  std::string parts;
  for (int i = 0; i < kCategories; ++i) {
    const auto c = static_cast<Category>(i);
    const uint64_t bytes = c == Category::kKv ? needed - fixed : p.bytes(c);
    if (bytes > 0)
      parts += fmt::format("{}{} {}", parts.empty() ? "" : ", ", category_name(c), format_bytes(bytes));
  }
  return fmt::format("model needs {} ({}), {} are free: {}", format_bytes(needed), parts,
                     format_bytes(machine.free()), !advice.empty() ? advice : what_it_takes(needed, machine));
}

namespace {

// Of a plan whose ceiling does not fit. What is there is shared by all sequences.
std::string what_is_tight(const MemoryPlan& p, const RuntimeOptions& o, uint64_t budget) {
  const uint64_t tokens = room_for_tokens(p, budget);
  if (tokens < static_cast<uint64_t>(std::max<int64_t>(o.n_ctx, 0)))
    return fmt::format("no sequence can grow to {} tokens: {} are what fits", o.n_ctx, tokens);
  return fmt::format("not all {} can grow to {} tokens: {} in all are what fits", sequences(o.n_parallel),
                     o.n_ctx, tokens);
}

}  // namespace

std::string category_lines(const std::vector<PlanLine>& lines, const MeasuredBytes* measured) {
  std::string out;
  uint64_t total = 0;
  const auto line = [&](const char* name, uint64_t planned, std::optional<uint64_t> found,
                        const std::string& how) {
    out += fmt::format("  {:<10} {:>10}", name, format_bytes(planned));
    if (measured != nullptr) out += fmt::format(" {:>10}", found ? format_bytes(*found) : "");
    if (!how.empty()) out += "   " + how;
    out += '\n';
  };
  if (measured != nullptr) out += fmt::format("  {:<10} {:>10} {:>10}\n", "", "planned", "measured");
  for (const PlanLine& l : lines) {
    line(category_name(l.category), l.bytes,
         measured != nullptr ? measured->of[static_cast<size_t>(l.category)] : std::nullopt, l.formula);
    total = add(total, l.bytes);
  }
  line("total", total, measured != nullptr ? measured->total : std::nullopt, "");
  return out;
}

std::string growth_line(const MemoryPlan& p, const RuntimeOptions& o) {
  return fmt::format("KV grows by {}, up to {} ({} of {} tokens).\n", growth(p), format_bytes(p.kv_ceiling),
                     sequences(o.n_parallel), o.n_ctx);
}

std::string plan_lines(const MemoryPlan& p, const RuntimeOptions& o, const MeasuredBytes* measured) {
  return category_lines(p.lines, measured) + growth_line(p, o);
}

std::string verdict(const MemoryPlan& p, const RuntimeOptions& o, uint64_t free) {
  std::string out = fmt::format("Charged {}: the total with a KV cache of {} tokens.\n",
                                format_bytes(charge(p, o)), first_tokens(o));
  switch (fits(p, o, free)) {
    case Fit::kYes:
      return out + fmt::format("Fits: {} are free.\n", format_bytes(free));
    case Fit::kTight:
      return out + fmt::format("Tight: it loads into the {} that are free, but\n{}.\n", format_bytes(free),
                               what_is_tight(p, o, free));
    case Fit::kNo:
      break;
  }
  return out + fmt::format("Does not fit: {} are free.\n", format_bytes(free));
}

}  // namespace quipu::memory
