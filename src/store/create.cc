#include "store/create.h"

#include <algorithm>
#include <iterator>

#include "base/go_json.h"
#include "base/log.h"
#include "chat/go_template.h"
#include "chat/template_detect.h"
#include "store/create_config.h"
#include "store/gguf_import.h"
#include "store/gguf_rewrite.h"
#include "store/layer_list.h"
#include "store/quantize.h"
#include "store/stored_json.h"

namespace quipu::store {

namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr uint64_t kMostTextBytes = uint64_t{16} << 20;

std::unexpected<Error> invalid_name() { return error(Code::kInvalidArgument, "invalid model name"); }

// Elements separated by single slashes, none of which is "." or "..".
bool is_relative_path(std::string_view path) {
  for (;;) {
    const size_t slash = path.find('/');
    const std::string_view element = path.substr(0, slash);
    if (element.empty() || element == "." || element == "..") return false;
    if (slash == path.npos) return true;
    path.remove_prefix(slash + 1);
  }
}

Result<void> check_files(const std::optional<CreateRequest::Files>& files) {
  if (!files) return {};
  for (const auto& [path, digest] : *files) {
    if (!is_relative_path(path)) return error(Code::kInvalidArgument, "file path must be relative");
    if (const auto parsed = Digest::parse(digest); !parsed) return std::unexpected(parsed.error());
  }
  return {};
}

// As Go's api.Message is written: its fields in their order, nothing that is empty but role and content.
ordered_json message_json(const json& message) {
  ordered_json out = {{"role", ""}, {"content", ""}};
  for (const char* key :
       {"role", "content", "thinking", "images", "tool_calls", "tool_name", "tool_call_id"}) {
    const auto it = message.find(key);
    if (it == message.end() || it->is_null() ||
        (it->is_string() && it->get_ref<const std::string&>().empty()))
      continue;
    if (!it->is_structured() || !it->empty()) out[key] = *it;
  }
  std::string role = out["role"].is_string() ? out["role"].get<std::string>() : std::string();
  for (char& c : role)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  out["role"] = role;
  return out;
}

class Creator {
 public:
  Creator(Store& store, const CreateRequest& request, const CreateHooks& hooks)
      : store_(store), request_(request), hooks_(hooks), hold_(store), parameters_(request.parameters) {
    config_.renderer = request.renderer;
    config_.parser = request.parser;
    config_.requires_version = request.requires_version;
  }

  Result<Manifest> run() {
    QUIPU_TRY(check_request(request_));
    const ModelName name = store_.resolve(parse_model_name(request_.model));
    const auto old = store_.read_manifest_bytes(name);
    QUIPU_TRY(add_base());
    QUIPU_TRY(add_extra_files());
    QUIPU_TRY(apply_info(request_.info, config_));
    QUIPU_TRY(quantize());
    describe_files(layers_, config_, parameters_);
    QUIPU_TRY(add_texts());
    QUIPU_TRY(check_cancelled());
    QUIPU_TRY(layers_.write(store_, hold_));
    const std::string config = format_config(config_);
    QUIPU_ASSIGN(const Store::WrittenBlob config_blob, store_.put_blob(config, &hold_));

    Manifest manifest;
    manifest.config = Layer{std::string(media::kConfig), config_blob.digest, config_blob.bytes, {}, {}};
    for (const PlannedLayer& planned : layers_.layers()) {
      report(planned.status);
      manifest.layers.push_back(planned.layer);
    }
    report("writing manifest");
    QUIPU_TRY(check_cancelled());
    QUIPU_TRY(store_.write_manifest(name, format_manifest(manifest)));
    hold_.release();  // from here on the manifest keeps them
    if (store_.prunes()) {
      std::vector<Digest> unused = std::move(consumed_);
      if (old) std::ranges::move(digests_in(*old), std::back_inserter(unused));
      store_.remove_unreferenced(unused);
    }
    report("success");
    return manifest;
  }

 private:
  void report(const std::string& status) const {
    if (hooks_.progress) hooks_.progress({.status = status});
  }
  Result<void> check_cancelled() const {
    if (hooks_.cancelled && hooks_.cancelled()) return error(Code::kCancelled, "cancelled");
    return {};
  }

  Result<void> add_base() {
    if (!request_.from.empty()) return add_base_model();
    if (!request_.files) return error(Code::kInvalidArgument, "neither 'from' or 'files' was specified");
    QUIPU_ASSIGN(LayerList files, import_files(store_, hold_, *request_.files, ImportAs::kModel, hooks_));
    note_consumed(*request_.files, files);
    layers_.append(std::move(files));
    detect_templates();
    return {};
  }

  Result<void> add_base_model() {
    const auto reference = parse_model_reference(request_.from);
    if (!reference) return invalid_name();
    if (reference->source == ModelReference::Source::kCloud)
      return error(Code::kUnsupported, "ollama cloud is disabled: remote model is unavailable");
    const ModelName name = store_.resolve(reference->name);
    auto stored = store_.read_manifest(name);
    if (!stored && stored.error().code == Code::kNotFound && hooks_.pull) {
      QUIPU_TRY(hooks_.pull(name));
      stored = store_.read_manifest(name);
    }
    if (!stored) return std::unexpected(stored.error());
    QUIPU_TRY(inherit(*stored));
    for (const Layer& base : stored->manifest.layers) {
      Layer layer = base;
      layer.from = name.short_name();
      hold_.add(layer.digest);
      const std::string path = store_.blob_path(layer.digest);
      if (!store_.use_blob(layer.digest)) return error(Code::kIo, "open {}: no such file or directory", path);
      std::shared_ptr<const GgufFacts> facts;
      if (is_gguf(layer.media_type)) {
        QUIPU_ASSIGN(const GgufHeader header, GgufHeader::read(path));
        facts = std::make_shared<const GgufFacts>(facts_of(header));
      }
      layers_.add_blob(std::move(layer), std::move(facts), true);
    }
    return {};
  }

  static bool is_gguf(std::string_view type) {
    return type == media::kModel || type == media::kProjector || type == media::kAdapter ||
           type == media::kDraft;
  }

  // What the base's config says and neither its files nor the request do.
  Result<void> inherit(const StoredManifest& stored) {
    if (!stored.manifest.config) return {};
    hold_.add(stored.manifest.config->digest);
    const auto bytes = store_.read_blob(stored.manifest.config->digest, kMostTextBytes);
    const auto base = bytes ? parse_config(*bytes) : std::unexpected(bytes.error());
    if (!base) {
      spdlog::warn("{}: {}", stored.name.short_name(), base.error().message);
      return {};
    }
    const auto take = [](std::string& own, const std::string& other) {
      if (own.empty()) own = other;
    };
    take(config_.renderer, base->renderer);
    take(config_.parser, base->parser);
    take(config_.requires_version, base->requires_version);
    take(config_.model_format, base->model_format);
    config_.capabilities = base->capabilities;
    return {};
  }

  Result<void> add_extra_files() {
    if (request_.adapters) {
      QUIPU_ASSIGN(LayerList files,
                   import_files(store_, hold_, *request_.adapters, ImportAs::kAdapter, hooks_));
      layers_.append(std::move(files));
    }
    if (request_.draft_files) {
      QUIPU_ASSIGN(LayerList files,
                   import_files(store_, hold_, *request_.draft_files, ImportAs::kDraft, hooks_));
      note_consumed(*request_.draft_files, files);
      layers_.append(std::move(files));
    }
    return {};
  }

  // Files that went into another one: once the manifest is there they are of no use to anybody.
  void note_consumed(const CreateRequest::Files& files, const LayerList& became) {
    for (const auto& [path, text] : files)
      if (const auto digest = Digest::parse(text);
          digest && std::ranges::none_of(became.layers(),
                                         [&](const PlannedLayer& p) { return p.layer.digest == *digest; }))
        consumed_.push_back(*digest);
  }

  // Files whose own template is a known one get that in Go's language, and its stop texts.
  void detect_templates() {
    std::vector<DetectedTemplate> detected;
    for (const PlannedLayer& planned : layers_.layers())
      if (planned.facts && !planned.facts->chat_template.empty())
        if (auto found = detect_template(planned.facts->chat_template)) detected.push_back(std::move(*found));
    for (DetectedTemplate& found : detected) {
      layers_.add_text(media::kTemplate, std::move(found.go_template),
                       "using autodetected template " + found.name);
      if (!found.stop.empty()) layers_.add_text(media::kParams, go_json(json{{"stop", found.stop}}) + "\n");
    }
  }

  Result<void> add_texts() {
    if (!request_.template_text.empty()) {
      if (const auto parsed = GoTemplate::parse(request_.template_text); !parsed)
        return error(Code::kInvalidArgument, "template error: {}", parsed.error().message);
      layers_.remove(media::kPrompt);
      layers_.replace_text(media::kTemplate, request_.template_text);
    }
    if (!request_.system.empty()) layers_.replace_text(media::kSystem, request_.system);
    for (const std::string& license : request_.licenses)
      if (!license.empty()) layers_.add_text(media::kLicense, license);
    QUIPU_TRY(merge_parameters());
    if (!request_.messages.empty()) {
      ordered_json messages = ordered_json::array();
      for (const json& message : request_.messages)
        if (message.is_object()) messages.push_back(message_json(message));
      layers_.replace_text(media::kMessages, go_json(messages) + "\n");
    }
    return {};
  }

  Result<void> merge_parameters() {
    for (const PlannedLayer& planned : layers_.layers()) {
      if (planned.layer.media_type != media::kParams) continue;
      std::string text;
      if (planned.content) {
        text = *planned.content;
      } else {
        QUIPU_ASSIGN(text, store_.read_blob(planned.layer.digest, kMostTextBytes));
      }
      const json existing = parse_stored_json(text);
      if (!existing.is_object() && !existing.is_null())
        return error(Code::kCorrupt, "the base model's parameters cannot be read");
      for (const auto& [key, value] : existing.items())
        if (!parameters_.contains(key)) parameters_[key] = value;
    }
    if (!parameters_.empty()) layers_.replace_text(media::kParams, go_json(parameters_) + "\n");
    return {};
  }

  // The weights alone; whatever lies beside them stays as it is.
  Result<void> quantize() {
    if (request_.quantize.empty()) return {};
    QUIPU_ASSIGN(const Quantization wanted, parse_quantization(request_.quantize));
    for (PlannedLayer& planned : layers_.layers()) {
      if (planned.layer.media_type != media::kModel || !planned.facts) continue;
      std::string is = planned.facts->file_type;
      if (is == "unknown") is = "F32";  // which has the number 0, as files without one
      if (is == wanted.name) continue;
      if (is != "F16" && is != "BF16" && is != "F32")
        return error(Code::kUnsupported, "quantization is only supported for F16, BF16 and F32 models");
      QUIPU_TRY(quantize_layer(planned, is, wanted));
    }
    return {};
  }

  Result<void> quantize_layer(PlannedLayer& planned, const std::string& from, const Quantization& wanted) {
    const std::string path = store_.blob_path(planned.layer.digest);
    QUIPU_ASSIGN(const GgufHeader header, GgufHeader::read(path));
    QUIPU_ASSIGN(const auto types, choose_types(header.file(), wanted));
    CreateProgress progress{.status = fmt::format("quantizing {} model to {}", from, wanted.name),
                            .digest = "0000000000000000000"};
    RewriteOptions options;
    options.file_type = wanted.file_type;
    options.type_of = [&types](const gguf::Tensor& tensor) {
      const auto it = types.find(tensor.name);
      return it == types.end() ? tensor.type : it->second;
    };
    options.progress = [&](uint64_t done, uint64_t total) {
      progress.total = total;
      // Not for every piece: a line for each hundredth is plenty.
      if (hooks_.progress && (done == total || done - progress.completed >= total / 100)) {
        progress.completed = done;
        hooks_.progress(progress);
      }
      return check_cancelled().has_value();
    };
    const std::string scratch = store_.scratch_path();
    const GgufPart part{&header, path};
    QUIPU_TRY(rewrite_gguf({&part, 1}, options, scratch));
    QUIPU_ASSIGN(const Store::WrittenBlob written, store_.adopt_file(scratch, hold_));
    report("verifying conversion");
    QUIPU_ASSIGN(const GgufHeader made, GgufHeader::read(store_.blob_path(written.digest)));
    LayerList replaced;
    Layer layer = planned.layer;
    layer.digest = written.digest;
    layer.size = written.bytes;
    replaced.add_blob(std::move(layer), std::make_shared<const GgufFacts>(facts_of(made)), written.was_there);
    consumed_.push_back(planned.layer.digest);
    planned = std::move(replaced.layers().front());
    return {};
  }

  Store& store_;
  const CreateRequest& request_;
  const CreateHooks& hooks_;
  Store::Hold hold_;
  LayerList layers_;
  ConfigBlob config_;
  json parameters_;
  std::vector<Digest> consumed_;
};

}  // namespace

Result<void> check_request(const CreateRequest& request) {
  QUIPU_TRY(check_files(request.files));
  QUIPU_TRY(check_files(request.draft_files));
  QUIPU_TRY(check_files(request.adapters));
  if (!request.draft_quantize.empty() && (!request.draft_files || request.draft_files->empty()))
    return error(Code::kInvalidArgument, "--draft-quantize requires a DRAFT model");
  if (!parse_model_name(request.model).is_valid()) return invalid_name();
  return {};
}

Result<Manifest> create_model(Store& store, const CreateRequest& request, const CreateHooks& hooks) {
  return Creator(store, request, hooks).run();
}

}  // namespace quipu::store
