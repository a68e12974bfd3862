#include "cli/attachments.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <iterator>
#include <optional>

#include "base/environment.h"
#include "cli/console.h"

namespace quipu::cli {

namespace {

constexpr size_t kMostPath = 4096;
constexpr uint64_t kMostBytes = uint64_t{100} << 20;
// How often the file system is asked about one text: a long document may be full of slashes.
constexpr int kMostCandidates = 10'000;

constexpr std::array<std::string_view, 5> kEndings = {".jpg", ".jpeg", ".png", ".webp", ".wav"};

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// Length of the ending that begins at the dot, if a path may end there.
size_t ending_length(std::string_view text) {
  for (const std::string_view e : kEndings) {
    if (text.size() < e.size()) continue;
    const bool same = std::equal(e.begin(), e.end(), text.begin(), [](char a, char b) {
      return a == std::tolower(static_cast<unsigned char>(b));
    });
    if (same && (text.size() == e.size() || !is_word(text[e.size()]))) return e.size();
  }
  return 0;
}

// "\ " is a blank to a shell, and "\(" a bracket.
std::string unescaped(std::string_view path) {
  std::string out;
  for (size_t i = 0; i < path.size(); ++i) {
    if (path[i] == '\\' && i + 1 < path.size()) ++i;
    out += path[i];
  }
  return out;
}

bool is_file(const std::string& path) {
  struct stat facts{};
  return stat(path.c_str(), &facts) == 0 && S_ISREG(facts.st_mode);
}

std::string with_home(std::string path) {
  const auto home = environment("HOME");
  return path.starts_with("~/") && home ? home->value + path.substr(1) : path;
}

// The file that a piece of text names, if there is one.
std::optional<std::string> file_named(std::string_view text) {
  for (std::string path : {unescaped(text), std::string(text)}) {
    path = with_home(std::move(path));
    if (is_file(path)) return path;
  }
  return std::nullopt;
}

bool starts_path(std::string_view text) {
  return text.starts_with('/') || text.starts_with("./") || text.starts_with("../") || text.starts_with("~/");
}

struct Found {
  size_t begin, end;  // in the text
  std::string path;
};

std::vector<Found> find_files(std::string_view text) {
  std::vector<size_t> ends;  // where a path may end
  for (size_t dot = text.find('.'); dot != text.npos; dot = text.find('.', dot + 1))
    if (const size_t length = ending_length(text.substr(dot)); length > 0) ends.push_back(dot + length);
  std::vector<Found> found;
  if (ends.empty()) return found;
  int candidates = 0;
  for (size_t at = 0; at < ends.back(); ++at) {
    if (!starts_path(text.substr(at))) continue;
    // A slash within a word begins no path.
    if (at > 0 && text[at] == '/' && (is_word(text[at - 1]) || text[at - 1] == '.')) continue;
    const size_t most = std::min(std::min(text.find_first_of("\n\r\t", at), text.size()), at + kMostPath);
    for (auto end = std::ranges::upper_bound(ends, at); end != ends.end() && *end <= most; ++end) {
      if (++candidates > kMostCandidates) return found;
      if (auto path = file_named(text.substr(at, *end - at))) {
        found.push_back({at, *end, std::move(*path)});
        at = *end - 1;
        break;
      }
    }
  }
  return found;
}

// What the file's first bytes say it is; nothing: none of what a model can take.
std::optional<bool> is_audio(std::string_view bytes) {
  if (bytes.starts_with("\xFF\xD8\xFF") || bytes.starts_with("\x89PNG\r\n\x1A\n")) return false;
  if (!bytes.starts_with("RIFF") || bytes.size() < 12) return std::nullopt;
  const std::string_view kind = bytes.substr(8, 4);
  if (kind == "WEBP") return false;
  if (kind == "WAVE") return true;
  return std::nullopt;
}

Result<Attachment> read_file(const std::string& path) {
  struct stat facts{};
  if (stat(path.c_str(), &facts) == 0 && static_cast<uint64_t>(facts.st_size) > kMostBytes)
    return error(Code::kInvalidArgument, "'{}' is larger than {} MiB", path, kMostBytes >> 20);
  std::ifstream in(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  if (!in || in.bad()) return error(Code::kIo, "cannot read '{}'", path);
  const auto audio = is_audio(bytes);
  if (!audio)
    return error(Code::kInvalidArgument, "invalid file type: '{}' is no JPEG, PNG, WebP or WAV", path);
  return Attachment{path, encode_base64(bytes), *audio};
}

std::string trimmed(const std::string& text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

}  // namespace

std::vector<std::string> file_paths_in(std::string_view text) {
  std::vector<std::string> paths;
  for (const Found& f : find_files(text)) paths.emplace_back(text.substr(f.begin, f.end - f.begin));
  return paths;
}

Result<AttachedText> attach_files(std::string_view text) {
  AttachedText out;
  const std::vector<Found> found = find_files(text);
  size_t kept = 0;  // up to here the text is in `out`
  for (const Found& f : found) {
    QUIPU_ASSIGN(Attachment file, read_file(f.path));
    out.files.push_back(std::move(file));
    // Quotes around the path belong to it.
    size_t begin = f.begin, end = f.end;
    if (begin > kept && end < text.size() && (text[end] == '\'' || text[end] == '"') &&
        text[begin - 1] == text[end]) {
      --begin;
      ++end;
    }
    out.text += text.substr(kept, begin - kept);
    kept = end;
  }
  out.text += text.substr(kept);
  if (!found.empty()) out.text = trimmed(out.text);
  return out;
}

Result<AttachedText> attach_for_model(const std::string& text, const std::string& model, bool sees_files,
                                      Console& console) {
  if (!sees_files) {
    const std::vector<std::string> paths = file_paths_in(text);
    if (paths.empty()) return AttachedText{text, {}};
    return error(Code::kUnsupported, "\"{}\" does not support vision: it cannot look at '{}'", model,
                 paths.front());
  }
  QUIPU_ASSIGN(AttachedText attached, attach_files(text));
  for (const Attachment& f : attached.files)
    console.err_line(fmt::format("Added {} '{}'", f.is_audio ? "audio" : "image", f.path));
  return attached;
}

std::string encode_base64(std::string_view bytes) {
  static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t n = std::min<size_t>(bytes.size() - i, 3);
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k)
      group = group << 8 | (k < n ? static_cast<unsigned char>(bytes[i + k]) : 0);
    for (size_t k = 0; k < 4; ++k) out += k <= n ? kDigits[group >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

}  // namespace quipu::cli
