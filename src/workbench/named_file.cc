#include "workbench/named_file.h"

#include <sys/stat.h>

#include <algorithm>

#include "base/checked.h"
#include "runner/kv_types.h"
#include "store/layout.h"
#include "store/model_info.h"

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

}  // namespace

Result<NamedFile> read_named_model(const store::Store& models, const ModelName& name) {
  QUIPU_ASSIGN(const store::ModelInfo model, store::ModelReader(models).read(name));
  if (model.model_path.empty())
    return error(Code::kUnsupported, "{} has no weights", model.name.short_name());
  const auto n_ctx = model.parameters.find("num_ctx");
  const bool says = n_ctx != model.parameters.end() && n_ctx->is_number_integer();
  NamedFile out{model.model_path, says ? n_ctx->get<int64_t>() : 0, model.name.short_name()};
  if (!model.projector_paths.empty()) out.projectors.push_back(model.projector_paths.front());  // as it loads
  const auto kv = model.parameters.find("kv_cache_type");
  if (kv != model.parameters.end() && kv->is_string()) {
    const std::string text = kv->get<std::string>();
    if (runner::parse_kv_types(text))
      out.kv_cache_type = text;
    else
      out.bad_kv_cache_type = text;
  }
  return out;
}

bool names_a_file(const std::string& text) { return is_there(text) || is_only_a_path(text); }

Result<NamedFile> find_named_file(const std::string& text) {
  const store::Layout layout(store::default_root());
  const auto reference = parse_model_reference(text);
  // What is not there is left to whoever opens it; a store is read, and not made by asking for one.
  if (names_a_file(text)) return NamedFile{text};
  if (!reference || !is_there(layout.manifests()))
    return error(Code::kNotFound, "there is no file and no model '{}'", text);
  QUIPU_ASSIGN(const auto models, store::Store::open(layout.root()));
  return read_named_model(*models, reference->name);
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
