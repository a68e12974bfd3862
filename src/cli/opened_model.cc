#include "cli/opened_model.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "cli/client_command.h"
#include "cli/http_api.h"
#include "cli/private_api.h"
#include "cli/transfer.h"

namespace quipu::cli {

namespace {

bool begins_as_gguf(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return false;
  char magic[4] = {};
  const bool is = read(fd, magic, sizeof magic) == 4 && std::memcmp(magic, "GGUF", 4) == 0;
  close(fd);
  return is;
}

}  // namespace

Result<bool> names_file(const std::string& text) {
  // "user/model" is a name as well; these can only be paths.
  const bool is_path =
      text.starts_with('/') || text.starts_with("./") || text.starts_with("../") || text.ends_with(".gguf");
  struct stat facts{};
  if (stat(text.c_str(), &facts) != 0) {
    if (errno != ENOENT && errno != ENOTDIR && is_path)
      return error(Code::kIo, "cannot open '{}': {}", text, std::strerror(errno));
    if (is_path) return error(Code::kNotFound, "there is no file '{}'", text);
    return false;
  }
  if (S_ISDIR(facts.st_mode)) {
    if (is_path) return error(Code::kInvalidArgument, "'{}' is a folder: give the path of a GGUF file", text);
    return false;
  }
  // A file that happens to be called like a model is none, unless it is one.
  if (!is_path && text.find('/') == std::string::npos && !begins_as_gguf(text)) return false;
  if (access(text.c_str(), R_OK) != 0)
    return error(Code::kIo, "cannot read '{}': {}", text, std::strerror(errno));
  return true;
}

Result<std::shared_ptr<Api>> EnvironmentOpener::server() {
  if (server_ != nullptr) return server_;
  auto found = find_server(console_);
  if (found) {
    server_ = *found;
  } else if (nobody_listens(found.error()) && server_would_be_local()) {
    auto own = std::make_shared<PrivateApi>(
        PrivateServerOptions{.program = "/proc/self/exe", .model = {}, .threads = threads_}, console_);
    QUIPU_TRY(own->ensure_running());
    server_ = std::move(own);
    server_is_private_ = true;
  } else {
    return connect(console_);
  }
  if (verbose_) {
    const ServerVersion& version = server_->version();
    console_.err_line(version.is_quipu()
                          ? fmt::format("Served by {}", server_->where())
                          : fmt::format("Served by {}, an Ollama, version {}", server_->where(),
                                        version.ollama.empty() ? "unknown" : version.ollama));
  }
  return server_;
}

Result<OpenedModel> EnvironmentOpener::open_file(const std::string& file) {
  auto api = std::make_shared<PrivateApi>(
      PrivateServerOptions{.program = "/proc/self/exe", .model = file, .threads = threads_}, console_);
  QUIPU_TRY(api->ensure_running());
  QUIPU_ASSIGN(Json shown, api->call("POST", "/api/show", {{"model", file}}));
  return OpenedModel{std::move(api), file, true, true, std::move(shown)};
}

Result<OpenedModel> EnvironmentOpener::open(const std::string& model) {
  QUIPU_ASSIGN(const bool is_file, names_file(model));
  if (is_file) return open_file(model);
  QUIPU_ASSIGN(std::shared_ptr<Api> api, server());
  QUIPU_ASSIGN(Json shown, api->call("POST", "/api/show", {{"model", model}}));
  return OpenedModel{std::move(api), model, false, server_is_private_, std::move(shown)};
}

Result<OpenedModel> EnvironmentOpener::open_or_pull(const std::string& model, bool insecure) {
  auto opened = open(model);
  const bool is_missing =
      !opened && opened.error().code == Code::kNotFound && server_ != nullptr;  // null: a file
  if (!is_missing) return opened;
  QUIPU_TRY(pull_model(*server_, model, insecure, console_));
  return open(model);
}

}  // namespace quipu::cli
