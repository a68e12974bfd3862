#include "modelfile/create_request.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "modelfile/go_values.h"
#include "modelfile/parameters.h"
#include "modelfile/source_files.h"

namespace quipu::modelfile {

namespace {

class Builder {
 public:
  Builder(std::string folder, const std::function<bool()>& go_on)
      : folder_(std::move(folder)), go_on_(go_on) {}

  Result<CreateRequest> run(const Modelfile& modelfile) {
    for (const Command& command : modelfile.commands) QUIPU_TRY(apply(command));
    for (const std::string& draft : draft_paths_)
      for (const std::string& base : base_paths_) {
        std::error_code ignored;
        if (draft == base || std::filesystem::equivalent(draft, base, ignored))
          return error(Code::kInvalidArgument, "DRAFT must not reference the same local path as FROM: {}",
                       draft);
      }
    return std::move(request_);
  }

 private:
  Result<void> apply(const Command& command) {
    const std::string &name = command.name, &args = command.args;
    if (name == "model") return apply_from(args);
    if (name == "adapter") {
      QUIPU_ASSIGN(const std::string path, expand_path(args, folder_));
      request_.adapters.clear();
      return add_existing(path, request_.adapters);
    }
    if (name == "draft") {
      QUIPU_ASSIGN(const std::string path, expand_path(args, folder_));
      draft_paths_.push_back(path);
      return add_existing(path, request_.draft_files);
    }
    if (name == "template") {
      request_.template_text = args;
    } else if (name == "system") {
      request_.system = args;
    } else if (name == "renderer") {
      request_.renderer = args;
    } else if (name == "parser") {
      request_.parser = args;
    } else if (name == "license") {
      request_.licenses.push_back(args);
    } else if (name == "message") {
      const size_t end = std::min(args.find(": "), args.size());
      request_.messages.push_back({args.substr(0, end), args.substr(std::min(end + 2, args.size()))});
    } else if (name == "requires") {
      const std::string version = args.starts_with('v') ? args : "v" + args;
      if (!is_go_semver(version))
        return error(Code::kInvalidArgument, "requires must be a valid semver (e.g. 0.14.0)");
      request_.requires_version = version.substr(1);
    } else if (is_deprecated_parameter(name)) {
      request_.warnings.push_back(fmt::format("warning: parameter {} is deprecated", name));
    } else {
      QUIPU_ASSIGN(nlohmann::json value, parse_parameter(name, std::span(&args, 1)));
      set_parameter(request_.parameters, name, std::move(value));
    }
    return {};
  }

  // A path where there is one, else a name.
  Result<void> apply_from(const std::string& args) {
    QUIPU_ASSIGN(const std::string path, expand_path(args, folder_));
    QUIPU_ASSIGN(const auto files, source_files(path));
    if (!files) {
      request_.from = args;
      return {};
    }
    base_paths_.push_back(path);
    return add(*files, request_.files);
  }

  Result<void> add_existing(const std::string& path, FileDigests& to) {
    QUIPU_ASSIGN(const auto files, source_files(path));
    if (!files) return error(Code::kNotFound, "stat {}: no such file or directory", path);
    return add(*files, to);
  }

  Result<void> add(const std::vector<std::string>& files, FileDigests& to) {
    for (const std::string& file : files) {
      QUIPU_ASSIGN(const Digest digest, digest_of_file(file, go_on_));
      to.insert_or_assign(file, digest);
    }
    return {};
  }

  std::string folder_;
  const std::function<bool()>& go_on_;
  std::vector<std::string> base_paths_, draft_paths_;
  CreateRequest request_;
};

}  // namespace

Result<CreateRequest> make_create_request(const Modelfile& modelfile, const std::string& folder,
                                          const std::function<bool()>& go_on) {
  return Builder(folder, go_on).run(modelfile);
}

std::map<std::string, std::string> names_below_common_folder(const FileDigests& files) {
  std::map<std::string, std::string> names;
  if (files.empty()) return names;
  std::string common = files.begin()->first.substr(0, files.begin()->first.rfind('/') + 1);
  for (const auto& [path, digest] : files)
    while (!path.starts_with(common)) common.resize(common.rfind('/', common.size() - 2) + 1);
  for (const auto& [path, digest] : files) names[path] = path.substr(common.size());
  return names;
}

nlohmann::ordered_json to_json(const CreateRequest& request) {
  nlohmann::ordered_json body = nlohmann::ordered_json::object();
  const auto text = [&body](const char* key, const std::string& value) {
    if (!value.empty()) body[key] = value;
  };
  const auto digests = [&body](const char* key, const FileDigests& files) {
    if (files.empty()) return;
    const auto names = names_below_common_folder(files);
    for (const auto& [path, digest] : files) body[key][names.at(path)] = digest.text();
  };
  text("from", request.from);
  digests("files", request.files);
  digests("adapters", request.adapters);
  digests("draft_files", request.draft_files);
  text("template", request.template_text);
  if (!request.licenses.empty()) body["license"] = request.licenses;
  text("system", request.system);
  if (!request.parameters.empty()) body["parameters"] = request.parameters;
  for (const StoredMessage& message : request.messages)
    body["messages"].push_back({{"role", message.role}, {"content", message.content}});
  text("renderer", request.renderer);
  text("parser", request.parser);
  text("requires", request.requires_version);
  return body;
}

}  // namespace quipu::modelfile
