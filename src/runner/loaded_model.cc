#include "runner/loaded_model.h"

#include <unistd.h>

#include <algorithm>

#include "base/checked.h"
#include "base/log.h"
#include "base/units.h"
#include "kernels/dispatch.h"

namespace quipu::runner {

namespace {

// Tokens that the file says are never to be sampled.
std::vector<Token> suppressed_tokens(const gguf::File& file, int64_t n_vocab) {
  constexpr std::string_view kKey = "tokenizer.ggml.suppress_tokens";
  std::vector<Token> tokens;
  const auto array = file.array(kKey);
  if (!array || !*array) return tokens;
  const auto ids = (*array)->as_ints();
  for (const int64_t id : ids.value_or(std::vector<int64_t>()))
    if (id >= 0 && id < n_vocab) tokens.push_back(static_cast<Token>(id));
  if (tokens.size() < (*array)->size())
    spdlog::warn("{}: what is no token of the vocabulary is ignored", kKey);
  std::sort(tokens.begin(), tokens.end());
  tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
  return tokens;
}

}  // namespace

// Mapped, so that what a model with images takes is known and counted from its load on; nothing reads them
// yet.
Result<void> LoadedModel::open_projectors(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    QUIPU_ASSIGN(auto file, gguf::File::open(path));
    if (file->tensor("token_embd.weight") != nullptr)
      return error(Code::kUnsupported, "{} is no projector but a language model ({})", path,
                   file->architecture());
    projectors_.push_back(std::move(file));
  }
  return {};
}

uint64_t LoadedModel::projector_bytes() const {
  uint64_t sum = 0;
  for (const auto& file : projectors_) sum = checked_add(sum, file->mapped_bytes()).value_or(UINT64_MAX);
  return sum;
}

std::expected<std::unique_ptr<LoadedModel>, LoadFailure> LoadedModel::load(const std::string& path,
                                                                           const LoadOptions& options) {
  QUIPU_TRY(kernels::init());
  gguf::guard_mappings();
  std::unique_ptr<LoadedModel> m(new LoadedModel());
  QUIPU_ASSIGN(m->file_, gguf::File::open(path));
  QUIPU_ASSIGN(m->model_, load_model(*m->file_));
  QUIPU_TRY(m->open_projectors(options.projectors));

  m->bounds_ = options.bounds;
  const memory::Machine machine = m->machine();
  m->planned_ = plan_model(*m->file_, *m->model_, options, machine, m->projector_bytes());
  const Planned& p = m->planned_;
  if (memory::fits(p.plan, p.options, p.free) == memory::Fit::kNo) {
    const auto others = alternatives(*m->file_, p);
    LoadFailure failure({Code::kOutOfMemory,
                         fmt::format("{} does not fit: {}", path,
                                     memory::refusal(p.plan, p.options, p.free, memory::advice(others))),
                         path});
    failure.plan = {{"memory", plan_json(p)},
                    {"machine", machine_json(machine)},
                    {"fits", "no"},
                    {"alternatives", alternatives_json(others)}};
    failure.table = memory::plan_lines(p.plan, p.options) + memory::alternatives_table(others);
    return std::unexpected(std::move(failure));
  }

  if (auto tokenizer = Tokenizer::load(*m->file_))
    m->tokenizer_ = std::move(*tokenizer);
  else
    m->tokenizer_error_ = tokenizer.error().message;

  QUIPU_ASSIGN(m->pool_, ThreadPool::create(p.n_threads));
  const memory::ModelShape shape = m->model_->shape(p.n_threads);
  QUIPU_ASSIGN(m->workspace_,
               memory::Arena::create(shape.workspace_bytes, memory::Category::kWorkspace, m->ledger_));
  QUIPU_ASSIGN(m->output_, memory::Arena::create(p.plan.bytes(memory::Category::kOutput),
                                                 memory::Category::kOutput, m->ledger_));
  QUIPU_ASSIGN(auto workspace, m->model_->make_workspace(m->workspace_, p.n_threads));
  const std::span output(m->output_.take(p.plan.bytes(memory::Category::kOutput)),
                         p.plan.bytes(memory::Category::kOutput));
  QUIPU_TRY(m->file_->populate());
  m->ledger_.add(memory::Category::kWeights, m->file_->mapped_bytes());
  for (const auto& file : m->projectors_) QUIPU_TRY(file->populate());
  m->ledger_.add(memory::Category::kProjector, m->projector_bytes());

  EngineOptions engine;
  engine.n_ctx = p.options.n_ctx;
  engine.n_parallel = p.options.n_parallel;
  engine.kv_types = options.kv_types;
  engine.suppressed = suppressed_tokens(*m->file_, m->model_->n_vocab());
  engine.keep_prefixes = options.keep_prefixes;
  engine.idle_trim_seconds = options.idle_trim_seconds;
  engine.kv_room = [model = m.get()] { return model->kv_room(); };
  QUIPU_ASSIGN(m->engine_, Engine::create(*m->model_, m->tokenizer_.get(), *m->pool_, std::move(workspace),
                                          output, engine, m->ledger_));
  spdlog::info("loaded {}: {} {}, num_ctx {}, parallel {}, KV {}, {} threads, {}, planned {}", path,
               m->model_->architecture(), quantization_name(*m->file_), p.options.n_ctx, p.options.n_parallel,
               p.kv_type, p.n_threads, isa_name(kernels::active_isa()), format_bytes(p.plan.total()));
  return m;
}

Result<const Tokenizer*> LoadedModel::need_tokenizer() const {
  if (tokenizer_ == nullptr)
    return error(Code::kUnsupported, "this model's tokenizer cannot be used: {}", tokenizer_error_);
  return tokenizer_.get();
}

memory::Machine LoadedModel::machine() const {
  return memory::probe_machine({.bounds = bounds_, .runners = {::getpid()}});
}

uint64_t LoadedModel::kv_room() const {
  const uint64_t room = planned_.kv_room(machine().free()), committed = ledger_.bytes(memory::Category::kKv);
  return room - std::min(room, committed);
}

Result<void> LoadedModel::check_room(const RunLimits& limits, int64_t n_tokens) const {
  const KvTypes types = limits.kv_types.value_or(engine_->options().kv_types);
  const uint64_t block = std::max<uint64_t>(model_->kv_layout(types).block_bytes(), 1);
  const uint64_t room = planned_.kv_room(machine().budget());
  const int64_t tokens = std::max(limits.n_ctx, n_tokens);
  const int64_t blocks = tokens / kernels::kBlockTokens + (tokens % kernels::kBlockTokens != 0);
  const auto wanted = checked_mul(static_cast<uint64_t>(blocks), block);
  if (wanted && *wanted <= room) return {};
  return error(Code::kOutOfMemory,
               "{} tokens need a KV cache of {}, but there is room for {}: num_ctx {} fits", tokens,
               format_bytes(wanted.value_or(UINT64_MAX)), format_bytes(room),
               room / block * kernels::kBlockTokens);
}

nlohmann::ordered_json LoadedModel::memory() const {
  const Engine::KvUse use = engine_->kv_use();
  std::vector<std::string> projectors;
  for (const auto& file : projectors_)
    for (std::string& path : file->paths()) projectors.push_back(std::move(path));
  return memory_json(planned_, measure(file_->paths(), projectors), ledger_, {use.in_use, use.cached});
}

nlohmann::ordered_json LoadedModel::info() const {
  const auto text = [&](std::string_view key) -> std::string {
    auto v = file_->string(key);
    return v && *v ? std::string(**v) : std::string();
  };
  nlohmann::ordered_json out = {
      {"architecture", model_->architecture()},  {"name", text("general.name")},
      {"parameters", count_parameters(*file_)},  {"quantization", quantization_name(*file_)},
      {"n_ctx_train", model_->n_ctx_train()},    {"num_ctx", planned_.options.n_ctx},
      {"parallel", planned_.options.n_parallel}, {"n_vocab", model_->n_vocab()},
      {"embedding_length", model_->n_embd()},    {"file_bytes", file_->mapped_bytes()},
      {"tokenizer", tokenizer_ != nullptr},      {"isa", isa_name(kernels::active_isa())},
      {"threads", planned_.n_threads},           {"kv_cache_type", planned_.kv_type}};
  if (!tokenizer_error_.empty()) out["tokenizer_error"] = tokenizer_error_;
  if (std::string t = text("tokenizer.chat_template"); !t.empty()) out["chat_template"] = std::move(t);
  if (std::string l = text("general.license"); !l.empty()) out["license"] = std::move(l);
  return out;
}

}  // namespace quipu::runner
