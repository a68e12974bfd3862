#include "workbench/fit_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"
#include "model/plan_choices.h"

namespace quipu::workbench {

namespace {

using memory::Fit;

constexpr int64_t kContexts[] = {4096, 8192, 16384, 32768, 65536, 131072};
constexpr int64_t kShortContexts[] = {512, 1024, 2048};
constexpr double kEnoughBits = 9;
constexpr int64_t kComfortable = 8192;  // tokens for a conversation with a document or two

std::string short_length(int64_t n) {
  return n % 1024 == 0 ? fmt::format("{}K", n / 1024) : fmt::format("{}", n);
}

// In a cell, where a line has 80 columns.
std::string short_kv(const std::string& kv) { return kv == "q8_0:q4_0" ? "q8:q4" : kv; }

std::string cell_text(const FitCell& cell) {
  switch (cell.fits) {
    case Fit::kYes:
      return fmt::format("{} x{}", short_kv(cell.setting.kv), cell.setting.n_parallel);
    case Fit::kTight:
      return "tight";
    default:
      return "-";
  }
}

Fit fit_of(const FitFile& file, const FitSetting& s, uint64_t budget) {
  const memory::RuntimeOptions o = s.options();
  return memory::fits(memory::plan(file.shape, o), o, budget);
}

int64_t comfortable(const FitFile& f) { return std::min(kComfortable, f.shape.n_ctx_train); }

// "2 conversations of 8192 tokens at once (KV cache q8_0)"
std::string conversations(const FitSetting& s) {
  return fmt::format("{} of {} tokens{} (KV cache {})",
                     s.n_parallel == 1 ? "one conversation" : fmt::format("{} conversations", s.n_parallel),
                     s.n_ctx, s.n_parallel == 1 ? "" : " at once", s.kv);
}

// What a conversation follows.
std::string recommended(const FitFile& f) {
  return fmt::format("Recommended: {} in {} ({}), with room for ", f.model, f.quantization,
                     format_bytes(f.shape.weights_bytes));
}

// The longest of the columns' contexts that fits well; 0: none.
int64_t longest(const FitFile& f, uint64_t budget) {
  int64_t best = 0;
  for (const int64_t n : fit_contexts({f}, budget))
    if (best_cell(f, n, budget).fits == Fit::kYes) best = n;
  return best;
}

}  // namespace

memory::RuntimeOptions FitSetting::options() const {
  memory::RuntimeOptions o;
  o.n_ctx = n_ctx;
  o.n_parallel = n_parallel;
  for (const auto& type : fit_kv_types())
    if (type.name == kv) {
      o.k_bytes_per_32 = type.k_bytes_per_32;
      o.v_bytes_per_32 = type.v_bytes_per_32;
    }
  return o;
}

const std::vector<memory::Choices::Kv>& fit_kv_types() {
  static const std::vector<memory::Choices::Kv> kTypes = kv_choices();
  return kTypes;
}

const std::vector<int64_t>& fit_parallel() {
  static const std::vector<int64_t> kNumbers = {4, 2, 1};
  return kNumbers;
}

std::vector<int64_t> fit_contexts(const std::vector<FitFile>& files, uint64_t budget) {
  int64_t trained = 0;
  for (const FitFile& f : files) trained = std::max(trained, f.shape.n_ctx_train);
  std::vector<int64_t> out;
  for (const int64_t n : kContexts)
    if (n < trained) out.push_back(n);
  if (trained > 0) out.push_back(std::min(trained, kContexts[std::size(kContexts) - 1]));
  const auto fits_well = [&](const FitFile& f) {
    return best_cell(f, std::min(out.front(), f.shape.n_ctx_train), budget).fits == Fit::kYes;
  };
  if (out.empty() || std::ranges::any_of(files, fits_well)) return out;
  out.resize(1);
  const int64_t shortest = out.front();
  out.insert(out.begin(), std::begin(kShortContexts), std::end(kShortContexts));
  std::erase_if(out, [&](int64_t n) { return n > shortest; });
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

FitCell best_cell(const FitFile& file, int64_t n_ctx, uint64_t budget) {
  FitCell cell;
  for (const char* kv : {"q8_0", "q8_0:q4_0", "q4_0"})
    for (const int64_t parallel : fit_parallel()) {
      const FitSetting s{n_ctx, parallel, kv};
      const Fit fits = fit_of(file, s, budget);
      if (fits == Fit::kYes) return {fits, s};
      if (fits == Fit::kTight && cell.fits == Fit::kNo) cell = {fits, s};
    }
  return cell;
}

std::string fit_table(const std::vector<FitFile>& files, uint64_t budget) {
  const std::vector<int64_t> contexts = fit_contexts(files, budget);
  const auto size_of = [](const FitFile& f) {
    return (f.estimated ? "" : "*") + format_bytes(f.shape.weights_bytes);
  };
  size_t model_width = 5, file_width = 4, size_width = 9;
  for (const FitFile& f : files) {
    size_width = std::max(size_width, size_of(f).size());
    model_width = std::max(model_width, f.model.size());
    file_width = std::max(file_width, f.quantization.size());
  }
  model_width = std::min<size_t>(model_width, 24);
  const bool one_model =
      std::ranges::all_of(files, [&](const FitFile& f) { return f.model == files.front().model; });
  std::vector<std::vector<std::string>> columns;
  for (const int64_t n : contexts) {
    std::vector<std::string>& column = columns.emplace_back(1, short_length(n));
    for (const FitFile& f : files)
      column.push_back(n > f.shape.n_ctx_train ? "" : cell_text(best_cell(f, n, budget)));
  }
  std::string out;
  const auto line = [&](std::string_view model, std::string_view file, std::string_view size, size_t row) {
    if (!one_model) out += fmt::format("{:<{}}  ", model, model_width);
    out += fmt::format("{:<{}} {:>{}}", file, file_width, size, size_width);
    for (const auto& column : columns)
      out += fmt::format("  {:<{}}", column[row], std::ranges::max(column, {}, &std::string::size).size());
    out.erase(out.find_last_not_of(' ') + 1);
    out += '\n';
  };
  line("MODEL", "FILE", "SIZE", 0);
  for (size_t i = 0; i < files.size(); ++i) {
    const FitFile& f = files[i];
    const bool again = i > 0 && files[i - 1].model == f.model;
    line(again ? "" : f.model, f.quantization, size_of(f), i + 1);
  }
  return out;
}

std::string fit_recommendation(const std::vector<FitFile>& files, uint64_t budget) {
  // The largest model of which some file leaves room for a comfortable conversation, and of it the finest
  // file that does: more weights gain more than finer ones, and more than 8 bits or so gain nothing to speak
  // of. Files stand from fine to coarse, models from small to large.
  const auto good = [&](const FitFile& f) { return best_cell(f, comfortable(f), budget).fits == Fit::kYes; };
  const FitFile* best = nullptr;
  for (const FitFile& f : files) {
    const bool finer_than_needed = best != nullptr && best->model == f.model && best->bits > kEnoughBits;
    if (good(f) && (best == nullptr || best->model != f.model || finer_than_needed)) best = &f;
  }
  if (best != nullptr) {
    const FitCell usual = best_cell(*best, comfortable(*best), budget);
    const FitCell most = best_cell(*best, longest(*best, budget), budget);
    if (most.setting.n_parallel >= usual.setting.n_parallel && most.setting.kv == usual.setting.kv)
      return recommended(*best) + conversations(most.setting) + ".\n";
    return recommended(*best) + conversations(usual.setting) + ", or " + conversations(most.setting) + ".\n";
  }
  // Else the longest conversation of the table, with the finest file that has it.
  FitCell most;
  for (const FitFile& f : files)
    for (const int64_t n : fit_contexts(files, budget)) {
      if (n <= most.setting.n_ctx || n > f.shape.n_ctx_train) continue;
      if (const FitCell cell = best_cell(f, n, budget); cell.fits == Fit::kYes) {
        most = cell;
        best = &f;
      }
    }
  if (best != nullptr) return recommended(*best) + conversations(most.setting) + ".\n";
  return "Nothing here fits: free some memory, or take a smaller model.\n";
}

}  // namespace quipu::workbench
