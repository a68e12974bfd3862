#include "workbench/named_file.h"

#include <sys/stat.h>

#include <algorithm>

#include "base/checked.h"
#include "store/layout.h"
#include "store/model_info.h"
#include "store/store.h"

namespace quipu::workbench {

namespace {

bool is_there(const std::string& path) {
  struct stat facts{};
  return stat(path.c_str(), &facts) == 0;
}

bool is_only_a_path(const std::string& text) {
  return text.starts_with('/') || text.starts_with("./") || text.starts_with("../") ||
         text.ends_with(".gguf");
}

NamedFile named_file_of(const store::ModelInfo& model) {
  const auto n_ctx = model.parameters.find("num_ctx");
  const bool says = n_ctx != model.parameters.end() && n_ctx->is_number_integer();
  NamedFile out{model.model_path, says ? n_ctx->get<int64_t>() : 0, model.name.short_name(), {}};
  if (!model.projector_paths.empty()) out.projectors.push_back(model.projector_paths.front());  // as it loads
  return out;
}

}  // namespace

Result<NamedFile> find_named_file(const std::string& text) {
  const store::Layout layout(store::default_root());
  const auto reference = parse_model_reference(text);
  // What is not there is left to whoever opens it; a store is read, and not made by asking for one.
  if (is_there(text) || is_only_a_path(text)) return NamedFile{text};
  if (!reference || !is_there(layout.manifests()))
    return error(Code::kNotFound, "there is no file and no model '{}'", text);
  QUIPU_ASSIGN(const auto models, store::Store::open(layout.root()));
  QUIPU_ASSIGN(const store::ModelInfo model, store::ModelReader(*models).read(reference->name));
  if (model.model_path.empty())
    return error(Code::kUnsupported, "{} has no weights", model.name.short_name());
  return named_file_of(model);
}

std::vector<NamedFile> list_named_files() {
  std::vector<NamedFile> out;
  const store::Layout layout(store::default_root());
  if (!is_there(layout.manifests())) return out;
  const auto models = store::Store::open(layout.root());
  if (!models) return out;
  store::ModelReader reader(**models);
  for (const ModelName& name : (*models)->list_names())
    if (const auto model = reader.read(name); model && !model->model_path.empty())
      out.push_back(named_file_of(*model));
  return out;
}

Result<OpenedFile> open_named_file(const NamedFile& named) {
  OpenedFile out;
  QUIPU_ASSIGN(out.file, gguf::File::open(named.path));
  QUIPU_ASSIGN(out.model, load_model(*out.file));
  for (const std::string& path : named.projectors) {
    QUIPU_ASSIGN(const auto projector, gguf::File::open(path));
    out.projector_bytes = checked_add(out.projector_bytes, projector->mapped_bytes()).value_or(UINT64_MAX);
  }
  if (named.n_ctx > 0)
    out.n_ctx = std::min<int64_t>(std::max<int64_t>(named.n_ctx, 4), out.model->n_ctx_train());
  return out;
}

}  // namespace quipu::workbench
