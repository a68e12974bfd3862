// Everything a runner holds: the mapped file, the model, its memory from the plan, the engine, tokenizer and
// template.
//
// Threads: immutable after load() but for the engine, which has its own rules.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "chat/chat_template.h"
#include "engine/engine.h"
#include "gguf/file.h"
#include "memory/arena.h"
#include "memory/model_budget.h"
#include "model/model.h"
#include "runner/memory_report.h"
#include "tokenizer/tokenizer.h"

namespace quipu::runner {

// Why a load failed, or a request. For a plan that does not fit (kOutOfMemory) the plan too: as an object and
// as the table people read.
struct LoadFailure {
  LoadFailure(Error e) : error(std::move(e)) {}  // NOLINT: implicit, so that errors pass through
  Error error;
  nlohmann::ordered_json plan;  // null: it did not come to a plan
  std::string table;
};

class LoadedModel {
 public:
  static std::expected<std::unique_ptr<LoadedModel>, LoadFailure> load(const std::string& path,
                                                                       const LoadOptions& wanted);

  const gguf::File& file() const { return *file_; }
  const Model& model() const { return *model_; }
  Engine& engine() const { return *engine_; }
  const Planned& planned() const { return planned_; }
  const memory::Ledger& ledger() const { return ledger_; }

  // Null when the file has no usable one; why is in tokenizer_error().
  const Tokenizer* tokenizer() const { return tokenizer_.get(); }
  const std::string& tokenizer_error() const { return tokenizer_error_; }
  // The tokenizer, or the error that a request for text gets.
  Result<const Tokenizer*> need_tokenizer() const;

  // Of a sequence; absent: the engine's.
  using Types = std::optional<KvTypes>;

  // kOutOfMemory, with the number of tokens that fit, when this machine could not hold a sequence of n_tokens
  // even alone: better refused at once than when it is half written.
  std::expected<void, LoadFailure> check_room(const Types& types, int64_t n_tokens) const;
  // As many of n_ctx tokens (0: of the model's own) as the budget could hold for one sequence when the model
  // was loaded, but no fewer than are of use: a default does not change while a model is loaded.
  int64_t default_context(const Types& types, int64_t n_ctx) const;

  nlohmann::ordered_json memory() const;
  nlohmann::ordered_json info() const;

 private:
  LoadedModel() = default;
  void plan(LoadOptions& options, const memory::Machine& machine);
  Result<void> open_projectors(const std::vector<std::string>& paths);
  uint64_t projector_bytes() const;
  Planned planned_with(const Types& types, int64_t n_tokens) const;  // in one sequence's cache
  static LoadFailure too_long(const Planned& p, const memory::Machine& machine, uint64_t wanted,
                              uint64_t room);
  LoadFailure does_not_fit(const std::string& path, const memory::Machine& machine) const;

  memory::Ledger ledger_;
  std::unique_ptr<gguf::File> file_;
  std::vector<std::unique_ptr<gguf::File>> projectors_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::string tokenizer_error_;
  std::unique_ptr<memory::ModelBudget> budget_;
  Planned planned_;
  uint64_t budget_at_load_ = 0;
  std::unique_ptr<ThreadPool> pool_;
  memory::Arena workspace_, output_;
  std::unique_ptr<Engine> engine_;  // last: ends first
};

}  // namespace quipu::runner
