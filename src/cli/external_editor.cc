#include "cli/external_editor.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iterator>

#include "base/environment.h"
#include "cli/console.h"

extern char** environ;

namespace quipu::cli {

namespace {

std::string editor() {
  const auto wanted = environment({"QUIPU_EDITOR", "OLLAMA_EDITOR", "VISUAL", "EDITOR"});
  return wanted ? wanted->value : "vi";
}

// The editor may come with arguments, so a shell reads it. The file's name needs no quotes there.
bool run_editor(const std::string& file) {
  std::string command = editor() + " " + file;
  std::array<char*, 4> argv = {const_cast<char*>("sh"), const_cast<char*>("-c"), command.data(), nullptr};
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  sigset_t none, defaults;
  sigemptyset(&none);
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  pid_t pid = -1;
  const int failed = posix_spawn(&pid, "/bin/sh", nullptr, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  if (failed != 0) return false;
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

Result<std::string> edit_text(const std::string& text) {
  std::string file = "/tmp/quipu-message-XXXXXX";
  const int fd = mkstemp(file.data());
  if (fd < 0) return error(Code::kIo, "cannot make a file to edit: {}", std::strerror(errno));
  const bool written = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  close(fd);
  Result<std::string> result = error(Code::kIo, "the editor '{}' ended with an error", editor());
  if (written && run_editor(file)) {
    std::ifstream in(file, std::ios::binary);
    std::string edited{std::istreambuf_iterator<char>(in), {}};
    while (!edited.empty() && edited.back() == '\n') edited.pop_back();
    result = std::move(edited);
  }
  unlink(file.c_str());
  return result;
}

}  // namespace quipu::cli
