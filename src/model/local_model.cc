#include "model/local_model.h"

#include <algorithm>

#include "base/checked.h"
#include "base/units.h"
#include "kernels/dispatch.h"

namespace quipu {

Result<std::unique_ptr<LocalModel>> LocalModel::open(const std::string& path, LocalOptions options) {
  gguf::guard_mappings();
  QUIPU_TRY(kernels::init());
  std::unique_ptr<LocalModel> m(new LocalModel());
  m->options_ = options;
  QUIPU_ASSIGN(m->file_, gguf::File::open(path));
  QUIPU_ASSIGN(m->model_, load_model(*m->file_));
  const int n_threads = options.n_threads > 0 ? options.n_threads : default_thread_count();
  QUIPU_ASSIGN(m->pool_, ThreadPool::create(n_threads));
  if (m->options_.n_ctx <= 0) m->options_.n_ctx = m->model_->n_ctx_train();

  const memory::ModelShape shape = m->model_->shape(n_threads);
  m->layouts_ = m->model_->kv_layouts(options.kv_types);
  memory::RuntimeOptions runtime;
  runtime.n_ctx = m->options_.n_ctx;
  runtime.n_parallel = options.n_sequences;
  runtime.k_bytes_per_32 = kernels::kv_bytes_per_32(options.kv_types.k);
  runtime.v_bytes_per_32 = kernels::kv_bytes_per_32(options.kv_types.v);
  m->plan_ = memory::plan(shape, runtime);
  QUIPU_ASSIGN(const memory::Bounds bounds, memory::Bounds::from_environment());
  const memory::Machine machine = memory::probe_machine({.bounds = bounds});
  const uint64_t free = machine.free();
  if (memory::fits(m->plan_, runtime, free) == memory::Fit::kNo)
    return error(Code::kOutOfMemory, "{}: {}\n{}", path, memory::refusal(m->plan_, runtime, machine, {}),
                 memory::plan_lines(m->plan_, runtime));
  // Unlike a server's, these sequences are going to be filled, and keep what is behind a window.
  const uint64_t fixed = m->plan_.fixed();
  const uint64_t room = free > fixed ? free - fixed : 0;
  const uint64_t of_one = static_cast<uint64_t>(ceil_div<int64_t>(m->options_.n_ctx, kernels::kBlockTokens));
  const uint64_t needed = checked_mul(checked_mul(of_one, m->plan_.kv_block_bytes).value_or(UINT64_MAX),
                                      static_cast<uint64_t>(options.n_sequences))
                              .value_or(UINT64_MAX);
  if (needed > room) {
    const uint64_t fitting = room / std::max<uint64_t>(m->plan_.kv_block_bytes, 1) /
                             static_cast<uint64_t>(options.n_sequences) * kernels::kBlockTokens;
    return error(Code::kOutOfMemory,
                 "{} does not fit: {} tokens for each of {} sequences need a KV cache of {} beside {}, but "
                 "{} are free: {} "
                 "tokens fit\n{}",
                 path, m->options_.n_ctx, options.n_sequences, format_bytes(needed), format_bytes(fixed),
                 format_bytes(free), fitting, memory::plan_lines(m->plan_, runtime));
  }

  const auto blocks =
      checked_mul<int64_t>(ceil_div<int64_t>(m->options_.n_ctx, kernels::kBlockTokens), options.n_sequences);
  const auto n_blocks = blocks ? checked_cast<uint32_t>(*blocks) : std::nullopt;
  if (!n_blocks) return error(Code::kInvalidArgument, "num_ctx {} is too large", m->options_.n_ctx);
  for (const kv::KvLayout& layout : m->layouts_) {
    QUIPU_ASSIGN(auto pool, kv::BlockPool::create(layout.block_bytes(), *n_blocks, m->ledger_));
    m->blocks_.push_back(std::move(pool));
  }
  m->tables_.resize(static_cast<size_t>(options.n_sequences));
  for (auto& tables : m->tables_)
    for (const auto& pool : m->blocks_) tables.emplace_back(*pool);
  m->positions_.assign(static_cast<size_t>(options.n_sequences), 0);

  QUIPU_ASSIGN(m->workspace_arena_,
               memory::Arena::create(shape.workspace_bytes, memory::Category::kWorkspace, m->ledger_));
  QUIPU_ASSIGN(m->workspace_, m->model_->make_workspace(m->workspace_arena_, n_threads));
  const int64_t rows = std::max(options.n_outputs, options.n_sequences);
  QUIPU_ASSIGN(m->output_arena_,
               memory::Arena::create(static_cast<size_t>(rows * m->model_->n_vocab()) * sizeof(float),
                                     memory::Category::kOutput, m->ledger_));
  m->logits_ = reinterpret_cast<float*>(
      m->output_arena_.take(static_cast<size_t>(rows * m->model_->n_vocab()) * sizeof(float)));
  QUIPU_TRY(m->file_->populate());
  return m;
}

Result<void> LocalModel::forward(std::span<const int32_t> tokens, std::span<const BatchSequence> seqs,
                                 std::span<const int32_t> outputs) {
  const Model::Pass pass{*pool_, *workspace_, layouts_, options_.exact_activations};
  return model_->forward(pass, {tokens, seqs, outputs}, logits_);
}

Result<void> LocalModel::reserve(size_t sequence, int64_t n_more) {
  for (kv::BlockTable& table : tables_[sequence]) QUIPU_TRY(table.reserve(positions_[sequence] + n_more));
  return {};
}

BatchSequence LocalModel::rows(size_t sequence, int64_t row0, int64_t n_rows) const {
  BatchSequence s{row0, n_rows, positions_[sequence], {}};
  for (size_t g = 0; g < layouts_.size(); ++g) s.blocks[g] = tables_[sequence][g].blocks().data();
  return s;
}

Result<void> LocalModel::feed(std::span<const int32_t> tokens, int64_t first_output, const EachRow& each) {
  const auto n = static_cast<int64_t>(tokens.size());
  QUIPU_TRY(reserve(0, n));
  const int64_t n_vocab = model_->n_vocab();
  for (int64_t at = 0; at < n;) {
    int64_t count = std::min(n - at, options_.chunk);
    // From the first wanted row on, no more rows at a time than there is room for their logits.
    if (at < first_output)
      count = std::min(count, first_output - at);
    else
      count = std::min(count, options_.n_outputs);
    std::vector<int32_t> outputs;
    if (at >= first_output)
      for (int64_t i = 0; i < count; ++i) outputs.push_back(static_cast<int32_t>(i));
    const BatchSequence seq = rows(0, 0, count);
    QUIPU_TRY(forward(tokens.subspan(static_cast<size_t>(at), static_cast<size_t>(count)), std::span(&seq, 1),
                      outputs));
    for (size_t i = 0; i < outputs.size(); ++i)
      each(at + static_cast<int64_t>(i),
           std::span(logits_ + static_cast<int64_t>(i) * n_vocab, static_cast<size_t>(n_vocab)));
    at += count;
    positions_[0] += count;
  }
  return {};
}

Result<void> LocalModel::prefill(size_t sequence, std::span<const int32_t> tokens) {
  const auto n = static_cast<int64_t>(tokens.size());
  QUIPU_TRY(reserve(sequence, n));
  for (int64_t at = 0; at < n;) {
    const int64_t count = std::min(n - at, options_.chunk);
    const BatchSequence seq = rows(sequence, 0, count);
    QUIPU_TRY(
        forward(tokens.subspan(static_cast<size_t>(at), static_cast<size_t>(count)), std::span(&seq, 1), {}));
    at += count;
    positions_[sequence] += count;
  }
  return {};
}

Result<const float*> LocalModel::run(std::span<const Part> parts, std::span<const int32_t> output_rows) {
  if (static_cast<int64_t>(output_rows.size()) > std::max(options_.n_outputs, options_.n_sequences))
    return error(Code::kInternal, "more rows of logits than there is room for");
  std::vector<int32_t> tokens;
  std::vector<BatchSequence> seqs;
  for (const Part& p : parts) {
    const auto n = static_cast<int64_t>(p.tokens.size());
    QUIPU_TRY(reserve(p.sequence, n));
    seqs.push_back(rows(p.sequence, static_cast<int64_t>(tokens.size()), n));
    tokens.insert(tokens.end(), p.tokens.begin(), p.tokens.end());
  }
  QUIPU_TRY(forward(tokens, seqs, output_rows));
  for (const Part& p : parts) positions_[p.sequence] += static_cast<int64_t>(p.tokens.size());
  return logits_;
}

Result<const float*> LocalModel::step(std::span<const int32_t> tokens) {
  std::vector<Part> parts;
  std::vector<int32_t> outputs;
  for (size_t i = 0; i < tokens.size(); ++i) {
    parts.push_back({i, tokens.subspan(i, 1)});
    outputs.push_back(static_cast<int32_t>(i));
  }
  return run(parts, outputs);
}

void LocalModel::rewind(size_t sequence, int64_t n_tokens) {
  positions_[sequence] = n_tokens;
  for (kv::BlockTable& table : tables_[sequence]) table.truncate(n_tokens);
}

}  // namespace quipu
