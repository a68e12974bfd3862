#include "modelfile/model_name.h"

#include <algorithm>
#include <array>

#include "base/go_text.h"

namespace quipu {

namespace {

// Stands for a part that a separator promised: '!' may stand nowhere in a name.
constexpr std::string_view kMissing = "!MISSING!";

constexpr std::string_view kDefaultScheme = "https";
constexpr std::string_view kDefaultHost = "registry.ollama.ai";
constexpr std::string_view kDefaultNamespace = "library";
constexpr std::string_view kDefaultTag = "latest";

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string or_missing(std::string_view part) { return std::string(part.empty() ? kMissing : part); }

// Takes what follows the last separator off `text`; nothing if there is no separator.
std::optional<std::string> take_last(std::string& text, char separator) {
  const size_t at = text.rfind(separator);
  if (at == std::string::npos) return std::nullopt;
  std::string last = or_missing(std::string_view(text).substr(at + 1));
  text = or_missing(std::string_view(text).substr(0, at));
  return last;
}

struct PartRule {
  size_t longest;
  std::string_view
      further;  // what may stand in it after the first character, besides letters, digits and '_'
};
constexpr PartRule kHostRule = {350, "-.:"};
constexpr PartRule kNamespaceRule = {80, "-"};
constexpr PartRule kModelRule = {80, "-."};

bool fits(std::string_view part, const PartRule& rule) {
  if (part.empty() || part.size() > rule.longest) return false;
  for (size_t i = 0; i < part.size(); ++i) {
    const char c = lower(part[i]);
    const bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    if (!word && (i == 0 || rule.further.find(c) == rule.further.npos)) return false;
  }
  return true;
}

struct Suffix {
  std::string_view rest;
  ModelReference::Source source = ModelReference::Source::kAny;
};

Suffix split_source(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == text.npos) return {text};
  const std::string_view last = trim_white_space(text.substr(colon + 1));
  if (equal_without_case(last, "cloud")) return {text.substr(0, colon), ModelReference::Source::kCloud};
  if (equal_without_case(last, "local")) return {text.substr(0, colon), ModelReference::Source::kLocal};
  constexpr std::string_view kCloudTag = "-cloud";
  if (last.size() >= kCloudTag.size() && last.find('/') == last.npos &&
      equal_without_case(last.substr(last.size() - kCloudTag.size()), kCloudTag)) {
    const auto end = static_cast<size_t>(last.data() + last.size() - text.data()) - kCloudTag.size();
    return {text.substr(0, end), ModelReference::Source::kCloud};
  }
  return {text};
}

}  // namespace

bool equal_without_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

bool ModelName::is_valid() const {
  return fits(host, kHostRule) && fits(namespace_, kNamespaceRule) && fits(model, kModelRule) &&
         fits(tag, kModelRule);
}

std::string ModelName::short_name() const {
  std::string out;
  const bool other_host = !equal_without_case(host, kDefaultHost);
  if (other_host) out += host + "/";
  if (other_host || !equal_without_case(namespace_, kDefaultNamespace)) out += namespace_ + "/";
  return out + model + ":" + tag;
}

std::string ModelName::full_name() const { return host + "/" + namespace_ + "/" + model + ":" + tag; }

std::string ModelName::manifest_path() const { return host + "/" + namespace_ + "/" + model + "/" + tag; }

bool ModelName::same_model(const ModelName& other) const {
  return equal_without_case(host, other.host) && equal_without_case(namespace_, other.namespace_) &&
         equal_without_case(model, other.model) && equal_without_case(tag, other.tag);
}

ModelName parse_bare_name(std::string_view text) {
  ModelName name;
  std::string rest(text);
  const size_t colon = rest.rfind(':'), slash = rest.rfind('/');
  if (colon != rest.npos && (slash == rest.npos || colon > slash)) name.tag = *take_last(rest, ':');
  for (std::string* part : {&name.model, &name.namespace_}) {
    auto last = take_last(rest, '/');
    if (!last) {
      *part = std::move(rest);
      return name;
    }
    *part = std::move(*last);
  }
  constexpr std::string_view kSchemeEnd = "://";
  if (const size_t end = rest.find(kSchemeEnd); end != rest.npos) {
    name.scheme = rest.substr(0, end);
    name.host = rest.substr(end + kSchemeEnd.size());
  } else {
    name.host = std::move(rest);
  }
  return name;
}

ModelName parse_model_name(std::string_view text) {
  ModelName name = parse_bare_name(text);
  if (name.scheme.empty()) name.scheme = kDefaultScheme;
  if (name.host.empty()) name.host = kDefaultHost;
  if (name.namespace_.empty()) name.namespace_ = kDefaultNamespace;
  if (name.tag.empty()) name.tag = kDefaultTag;
  return name;
}

std::optional<ModelName> name_of_manifest_path(std::string_view path) {
  ModelName name{.scheme = std::string(kDefaultScheme), .host = {}, .namespace_ = {}, .model = {}, .tag = {}};
  for (std::string* part : {&name.host, &name.namespace_, &name.model}) {
    const size_t slash = path.find('/');
    if (slash == path.npos) return std::nullopt;
    *part = path.substr(0, slash);
    path.remove_prefix(slash + 1);
  }
  name.tag = path;
  if (!name.is_valid()) return std::nullopt;
  return name;
}

Result<ModelReference> parse_model_reference(std::string_view text) {
  text = trim_white_space(text);
  if (text.empty()) return error(Code::kInvalidArgument, "model is required");
  const Suffix suffix = split_source(text);
  if (suffix.source != ModelReference::Source::kAny &&
      split_source(suffix.rest).source != ModelReference::Source::kAny)
    return error(Code::kInvalidArgument, "use either :local or :cloud, not both: {}", go_quote(text));
  ModelReference reference{
      .original = std::string(text), .name = parse_model_name(suffix.rest), .source = suffix.source};
  if (!reference.name.is_valid()) return error(Code::kInvalidArgument, "invalid model name");
  return reference;
}

}  // namespace quipu
