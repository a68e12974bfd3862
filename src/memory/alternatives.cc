#include "memory/alternatives.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"

namespace quipu::memory {

namespace {

constexpr int64_t kLeastContext = 512;  // a shorter one is of no use in a conversation
constexpr size_t kMostInSentence = 3;

// A plan with some settings changed, in this order: the context is what is left when all else is decided.
enum Axis { kKvAxis, kParallelAxis, kFileAxis, kContextAxis, kAxes };

struct Variant {
  ModelShape shape;
  RuntimeOptions options;
  std::string names[kAxes];  // empty: as it was
};

Fit fit_of(const Variant& v, uint64_t budget) { return fits(plan(v.shape, v.options), v.options, budget); }

bool is_better(Fit a, Fit b) { return static_cast<int>(a) < static_cast<int>(b); }

Alternative describe(const Variant& v, uint64_t budget) {
  Alternative a;
  for (const std::string& name : v.names)
    if (!name.empty()) a.change += (a.change.empty() ? "" : ", ") + name;
  a.other_file = !v.names[kFileAxis].empty();
  const MemoryPlan p = plan(v.shape, v.options);
  a.total = charge(p, v.options);
  a.fits = fits(p, v.options, budget);
  return a;
}

// A length that people would write.
int64_t round_context(int64_t n) {
  const int64_t step = n >= 8192 ? 1024 : n >= 1024 ? 256 : 32;
  return n / step * step;
}

class Search {
 public:
  Search(const ModelShape& shape, const RuntimeOptions& options, const Choices& choices, uint64_t budget)
      : choices_(choices), budget_(budget) {
    plain_.shape = shape;
    plain_.options = options;
    before_ = fit_of(plain_, budget);
  }

  std::vector<Alternative> run() {
    if (before_ == Fit::kYes) return {};
    for (int n_axes = 1; n_axes <= kAxes && found_.empty(); ++n_axes)
      for (unsigned axes = 1; axes < 1u << kAxes; ++axes)
        if (__builtin_popcount(axes) == n_axes) try_axes(axes);
    if (found_.empty()) found_.push_back(describe(least(), budget_));
    // Settings are changed at once, a file has to be fetched first.
    std::vector<Alternative> ordered;
    for (const bool other_file : {false, true})
      for (Alternative& a : found_)
        if (a.other_file == other_file) ordered.push_back(std::move(a));
    return ordered;
  }

 private:
  // Those of one axis, from near to far.
  std::vector<Variant> settings(const Variant& from, Axis axis) const {
    std::vector<Variant> out;
    const auto add = [&](const std::string& name, auto change) {
      Variant v = from;
      change(v);
      v.names[axis] = name;
      out.push_back(std::move(v));
    };
    const RuntimeOptions& o = from.options;
    if (axis == kKvAxis) {
      for (const Choices::Kv& kv : choices_.kv)
        if (kv.k_bytes_per_32 + kv.v_bytes_per_32 < o.k_bytes_per_32 + o.v_bytes_per_32)
          add("kv_cache_type=" + kv.name, [&](Variant& v) {
            v.options.k_bytes_per_32 = kv.k_bytes_per_32;
            v.options.v_bytes_per_32 = kv.v_bytes_per_32;
          });
    } else if (axis == kParallelAxis) {
      // Each of a few, then halves: between them nobody chooses.
      for (int64_t n = o.n_parallel > 8 ? o.n_parallel / 2 : o.n_parallel - 1; n >= 1;
           n = n > 8 ? n / 2 : n - 1)
        add(fmt::format("parallel={}", n), [&](Variant& v) { v.options.n_parallel = n; });
    } else if (axis == kContextAxis) {
      for (const Fit wanted : {Fit::kTight, Fit::kYes})
        if (const int64_t n = longest(from, wanted); n > 0)
          add(fmt::format("num_ctx={}", n), [&](Variant& v) { v.options.n_ctx = n; });
    } else {
      for (const Choices::File& file : choices_.files)
        if (file.weights_bytes < from.shape.weights_bytes)
          add("quantization=" + file.name, [&](Variant& v) { v.shape.weights_bytes = file.weights_bytes; });
    }
    return out;
  }

  // The longest context below this one's with which it fits that well; 0: none of any use.
  int64_t longest(const Variant& v, Fit wanted) const {
    const auto good = [&](int64_t n) {
      Variant changed = v;
      changed.options.n_ctx = n;
      return !is_better(wanted, fit_of(changed, budget_));
    };
    int64_t low = kLeastContext, high = v.options.n_ctx;  // good, not good
    if (high <= low || !good(low)) return 0;
    if (good(high)) return 0;  // it is not the context
    while (high - low > 1) {
      const int64_t middle = low + (high - low) / 2;
      (good(middle) ? low : high) = middle;
    }
    return round_context(low);
  }

  // Every combination of settings of these axes; of each only what fits better than those before.
  void try_axes(unsigned axes) {
    Fit best = before_;
    try_axes(plain_, axes, 0, best);
  }

  void try_axes(const Variant& from, unsigned axes, int axis, Fit& best) {
    while (axis < kAxes && (axes & 1u << axis) == 0) ++axis;
    if (axis == kAxes) {
      const Fit fit = fit_of(from, budget_);
      if (!is_better(fit, best)) return;
      best = fit;
      found_.push_back(describe(from, budget_));
      return;
    }
    for (const Variant& v : settings(from, static_cast<Axis>(axis))) {
      if (best == Fit::kYes) return;
      try_axes(v, axes, axis + 1, best);
    }
  }

  Variant least() const {
    Variant v = plain_;
    for (const Axis axis : {kKvAxis, kParallelAxis, kFileAxis})
      if (std::vector<Variant> all = settings(v, axis); !all.empty()) v = std::move(all.back());
    if (v.options.n_ctx > kLeastContext) {
      v.options.n_ctx = kLeastContext;
      v.names[kContextAxis] = fmt::format("num_ctx={}", kLeastContext);
    }
    return v;
  }

  const Choices& choices_;
  const uint64_t budget_;
  Variant plain_;
  Fit before_;
  std::vector<Alternative> found_;
};

}  // namespace

std::vector<Alternative> alternatives(const ModelShape& shape, const RuntimeOptions& options,
                                      const Choices& choices, uint64_t budget) {
  return Search(shape, options, choices, budget).run();
}

std::string advice(const std::vector<Alternative>& all) {
  std::string out;
  size_t n = 0;
  for (const Alternative& a : all) {
    if (a.fits == Fit::kNo || n == kMostInSentence) continue;
    out += (n++ == 0 ? "try " : ", or ") + a.change + (a.other_file ? " (another file)" : "");
  }
  return out;
}

std::string alternatives_table(const std::vector<Alternative>& all) {
  if (all.empty()) return {};
  if (all.front().fits == Fit::kNo)
    return fmt::format("Nothing makes it fit: {} would still need {}.\n", all.front().change,
                       format_bytes(all.front().total));
  size_t width = 0;
  for (const Alternative& a : all) width = std::max(width, a.change.size());
  std::string out = "What would fit:\n";
  for (const Alternative& a : all)
    out += fmt::format("  {:<{}}  {:>10}{}\n", a.change, width, format_bytes(a.total),
                       fmt::format("{}{}", a.fits == Fit::kTight ? "  tight" : "",
                                   a.other_file ? "  another file; estimated" : ""));
  return out;
}

}  // namespace quipu::memory
