#include "modelfile/source_files.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "base/environment.h"
#include "base/system_error.h"

namespace quipu::modelfile {

namespace {

namespace fs = std::filesystem;

// "a//b/./c/../d" as "a/b/d"; absolute paths only.
std::string cleaned(std::string_view path) {
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    const size_t slash = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, slash);
    path.remove_prefix(std::min(slash + 1, path.size()));
    if (part.empty() || part == ".") continue;
    if (part != "..")
      parts.push_back(part);
    else if (!parts.empty())
      parts.pop_back();
  }
  std::string out;
  for (const std::string_view part : parts) out.append("/").append(part);
  return out.empty() ? "/" : out;
}

Result<std::string> home_of(const std::string& user) {
  std::vector<char> buffer(size_t{1} << 16);
  passwd entry{};
  passwd* found = nullptr;
  if (user.empty())
    getpwuid_r(getuid(), &entry, buffer.data(), buffer.size(), &found);
  else
    getpwnam_r(user.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found != nullptr) return std::string(found->pw_dir);
  if (user.empty()) return error(Code::kNotFound, "failed to get current user: no home folder is known");
  return error(Code::kNotFound, "failed to find user '{}': user: unknown user {}", user, user);
}

enum class Content { kAny, kBinary, kZip, kText };

// As a web server tells text from binary data: by bytes that no text has among the first 512.
Result<Content> content_of(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return error(Code::kIo, "open {}: {}", path, system_message(errno));
  std::array<char, 512> bytes;
  size_t n = 0;
  while (n < bytes.size()) {
    const ssize_t got = ::read(fd, bytes.data() + n, bytes.size() - n);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      const int number = errno;
      ::close(fd);
      return error(Code::kIo, "read {}: {}", path, system_message(number));
    }
    if (got == 0) break;
    n += static_cast<size_t>(got);
  }
  ::close(fd);
  const std::string_view head(bytes.data(), n);
  if (head.starts_with("PK\x03\x04")) return Content::kZip;
  const auto binary = [](char c) {
    const auto b = static_cast<unsigned char>(c);
    return b <= 0x08 || b == 0x0b || (b >= 0x0e && b <= 0x1a) || (b >= 0x1c && b <= 0x1f);
  };
  return std::ranges::any_of(head, binary) ? Content::kBinary : Content::kText;
}

struct Pattern {
  std::string_view prefix, suffix;
};

bool matches(std::string_view name, const Pattern& pattern) {
  return name.size() >= pattern.prefix.size() + pattern.suffix.size() && name.starts_with(pattern.prefix) &&
         name.ends_with(pattern.suffix);
}

// What lies in the folder, sorted: files, and folders for going one level down. Symbolic links count as what
// they lead to.
struct Listing {
  std::vector<std::string> files, folders;
};
Listing list(const std::string& folder) {
  Listing listing;
  std::error_code ec;
  for (fs::directory_iterator it(folder, ec), end; !ec && it != end; it.increment(ec)) {
    std::error_code kind;
    if (it->is_regular_file(kind)) listing.files.push_back(it->path().filename().string());
    if (it->is_directory(kind)) listing.folders.push_back(it->path().filename().string());
  }
  std::ranges::sort(listing.files);
  std::ranges::sort(listing.folders);
  return listing;
}

class Collector {
 public:
  explicit Collector(std::string folder) : folder_(std::move(folder)), top_(list(folder_)) {}

  // The weights decide what kind of model it is: the first kind of which there is a file. Then what describes
  // them.
  Result<std::vector<std::string>> run() {
    constexpr Pattern kModel = {"model", ".safetensors"};
    const auto weights = [&]() -> std::vector<std::string> {
      auto found = below(kModel, true);
      if (found.empty()) found = here({"consolidated", ".safetensors"});
      if (found.empty()) found = all_of(here({"pytorch_model", ".bin"}), Content::kZip);
      if (found.empty()) found = all_of(here({"consolidated", ".pth"}), Content::kZip);
      if (found.empty()) found = all_of(here({"", ".gguf"}), Content::kBinary);
      if (found.empty()) found = all_of(here({"", ".bin"}), Content::kBinary);
      return found;
    };
    std::vector<std::string> files = weights();
    if (files.empty()) return error(Code::kNotFound, "no Modelfile or safetensors files found");
    for (const std::string& path : below({"", ".json"}, true)) {
      QUIPU_ASSIGN(const Content content, content_of(path));
      if (content != Content::kText)
        return error(Code::kInvalidArgument, "invalid content type: expected text/plain for {}", path);
      files.push_back(path);
    }
    for (const std::string& path : here({"chat_template.jinja", ""})) files.push_back(path);
    auto vocabulary = here({"tokenizer.model", ""});
    if (vocabulary.empty()) vocabulary = below({"tokenizer.model", ""}, false);
    files.insert(files.end(), vocabulary.begin(), vocabulary.end());
    for (std::string& path : files) {
      QUIPU_ASSIGN(path, inside(path));
    }
    return files;
  }

 private:
  std::vector<std::string> here(const Pattern& pattern) const {
    std::vector<std::string> found;
    for (const std::string& name : top_.files)
      if (fits(name, pattern)) found.push_back(folder_ + "/" + name);
    return found;
  }
  // One level down, and here as well if `top` says so.
  std::vector<std::string> below(const Pattern& pattern, bool top) const {
    std::vector<std::string> found;
    if (top) found = here(pattern);
    for (const std::string& folder : top_.folders)
      for (const std::string& name : list(folder_ + "/" + folder).files)
        if (fits(name, pattern)) found.push_back(folder_ + "/" + folder + "/" + name);
    return found;
  }
  // A pattern without a suffix is the name itself.
  static bool fits(std::string_view name, const Pattern& pattern) {
    return pattern.suffix.empty() ? name == pattern.prefix : matches(name, pattern);
  }
  // All or nothing: one file of another kind (a pointer of git's large file storage is text) rules out the
  // set.
  static std::vector<std::string> all_of(std::vector<std::string> files, Content content) {
    for (const std::string& path : files)
      if (const auto found = content_of(path); !found || *found != content) return {};
    return files;
  }
  // The path without symbolic links that lead out of the folder, which would send files nobody named.
  Result<std::string> inside(const std::string& path) const {
    std::error_code ec;
    const fs::path real_folder = fs::canonical(folder_, ec);
    const fs::path real = ec ? fs::path() : fs::canonical(path, ec);
    if (ec) return error(Code::kIo, "lstat {}: {}", path, system_message(ec.value()));
    const fs::path relative = real.lexically_relative(real_folder);
    if (relative.empty() || *relative.begin() == "..")
      return error(Code::kInvalidArgument, "insecure path: {}", relative.string());
    return folder_ + "/" + relative.string();
  }

  std::string folder_;
  Listing top_;
};

}  // namespace

Result<std::string> expand_path(std::string_view path, const std::string& folder) {
  if (path.starts_with('/')) return cleaned(path);
  if (path.starts_with('~')) {
    const size_t slash = std::min(path.find('/'), path.size());
    const std::string user(path.substr(1, slash - 1));
    const auto variable = user.empty() ? environment("HOME") : std::nullopt;
    QUIPU_ASSIGN(const std::string home, variable ? Result<std::string>(variable->value) : home_of(user));
    return cleaned(home + "/" + std::string(path.substr(slash)));
  }
  std::error_code ec;
  const std::string current = folder.starts_with('/') ? "" : fs::current_path(ec).string() + "/";
  if (ec) return error(Code::kIo, "getwd: {}", system_message(ec.value()));
  return cleaned(current + folder + "/" + std::string(path));
}

Result<std::optional<std::vector<std::string>>> source_files(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return std::nullopt;
    return error(Code::kIo, "stat {}: {}", path, system_message(errno));
  }
  if (S_ISDIR(info.st_mode)) {
    QUIPU_ASSIGN(std::vector<std::string> files, Collector(path).run());
    return files;
  }
  if (!S_ISREG(info.st_mode)) return error(Code::kInvalidArgument, "{} is neither a file nor a folder", path);
  return std::vector<std::string>{path};
}

}  // namespace quipu::modelfile
