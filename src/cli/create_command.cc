// create: a Modelfile's files are hashed and uploaded, then the server makes the model. Spec:
// ollama-compat 3.7.
#include <filesystem>
#include <fstream>
#include <iterator>

#include "cli/client_command.h"
#include "cli/commands.h"
#include "cli/transfer.h"
#include "modelfile/create_request.h"
#include "modelfile/model_name.h"

namespace quipu::cli {

namespace {

namespace fs = std::filesystem;

constexpr uintmax_t kMostModelfile = uintmax_t{64} << 20;

struct Source {
  std::string text, folder;
  bool missing = false;  // there is no such file; the folder itself stands for it
};

Result<Source> read_modelfile(const std::string& given, Console& console) {
  std::error_code failed;
  const fs::path here = fs::current_path(failed);
  if (failed) return error(Code::kIo, "cannot find the current folder: {}", failed.message());
  if (given == "-") {
    QUIPU_ASSIGN(std::string text, console.read_input());
    return Source{std::move(text), here.string(), false};
  }
  const fs::path path = here / (given.empty() ? "Modelfile" : given);
  if (!fs::exists(path, failed)) return Source{"FROM .\n", here.string(), true};
  if (fs::is_directory(path, failed))
    return error(Code::kInvalidArgument, "'{}' is a folder, not a Modelfile", given);
  if (const uintmax_t size = fs::file_size(path, failed); !failed && size > kMostModelfile)
    return error(Code::kInvalidArgument, "'{}' has {} bytes, which is no Modelfile", path.string(), size);
  std::ifstream in(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  if (!in || in.bad()) return error(Code::kIo, "cannot read '{}'", path.string());
  return Source{std::move(text), path.parent_path().lexically_normal().string(), false};
}

// A file whose bytes the server may lack.
Result<void> upload_file(const std::string& path, const Digest& digest, Api& api, Console& console,
                         Progress& progress) {
  const std::string target = "/api/blobs/" + digest.text();
  const auto there = api.call("HEAD", target);
  if (there) return {};
  if (there.error().code != Code::kNotFound) return std::unexpected(there.error());
  const std::string label = "copying file " + digest.text();
  QUIPU_ASSIGN(http::Upload body, http::Upload::of_file(path));
  progress.step(label);
  body.on_sent = [&](uint64_t sent) {
    const uint64_t percent = body.bytes > 0 ? sent * 100 / body.bytes : 100;
    progress.update(fmt::format("{} {}%", label, percent));
  };
  return api.upload(target, body, [&] {
    progress.tick();
    return !console.signals().take_interrupt();
  });
}

Result<void> create(Console& console, const Arguments& a) {
  const std::string& model = a.words[0];
  if (!parse_model_name(model).is_valid())
    return error(Code::kInvalidArgument, "invalid model name: {}", model);
  const std::string given = a.value("file").value_or("");
  QUIPU_ASSIGN(const Source source, read_modelfile(given, console));
  QUIPU_ASSIGN(const modelfile::Modelfile parsed, modelfile::parse_modelfile(source.text));
  QUIPU_ASSIGN(const std::shared_ptr<Api> api, connect(console));

  Progress progress(console);
  progress.step("gathering model components");
  const auto go_on = [&] {
    progress.tick();
    return !console.signals().take_interrupt();
  };
  QUIPU_ASSIGN(const modelfile::CreateRequest request,
               modelfile::make_create_request(parsed, source.folder, go_on));
  for (const std::string& warning : request.warnings) console.err_line(warning);
  // A mistyped -f must not make a model of whatever lies in this folder.
  if (source.missing && !given.empty()) return error(Code::kNotFound, "there is no Modelfile '{}'", given);

  for (const auto* files : {&request.files, &request.adapters, &request.draft_files})
    for (const auto& [path, digest] : *files) QUIPU_TRY(upload_file(path, digest, *api, console, progress));
  Json body = {{"model", model}};
  body.update(modelfile::to_json(request));
  if (const auto type = a.value("quantize")) body["quantize"] = *type;
  if (const auto type = a.value("draft-quantize")) body["draft_quantize"] = *type;
  return follow_progress(*api, "/api/create", body, console, progress);
}

}  // namespace

int create_command(std::span<const std::string> args) { return run_command_with("create", args, create); }

}  // namespace quipu::cli
