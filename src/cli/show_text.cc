#include "cli/show_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/go_json.h"
#include "cli/human.h"
#include "cli/text_table.h"

namespace quipu::cli {

namespace {

// A number in a row of its own: without an exponent.
std::string whole_number(const Json& value) {
  if (value.is_number_float()) return go_json_number(value.get<double>());
  return value.is_number() ? value.dump() : std::string();
}

// As Go prints a JSON value of any type, which is how Ollama shows metadata.
std::string shown_value(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number()) return go_number(value.get<double>());
  if (value.is_boolean()) return value.get<bool>() ? "true" : "false";
  if (value.is_null()) return "<nil>";
  if (value.is_object()) return dump(value);
  std::string all = "[";
  for (const Json& v : value) all += (all.size() > 1 ? " " : "") + shown_value(v);
  return all + "]";
}

// The first elements of a list, as many as make a short line, and how many more there are.
std::string shown_list(const Json& list) {
  constexpr size_t kWidth = 10;
  size_t n = 0, width = 1;
  for (; n < list.size(); ++n) {
    const size_t own = display_width(shown_value(list[n])) + (n > 0 ? 2 : 0);
    if (n > 0 && width + own > kWidth) break;
    width += own;
  }
  std::string all = "[";
  for (size_t i = 0; i < n; ++i) all += (i > 0 ? " " : "") + shown_value(list[i]);
  if (n < list.size()) all += fmt::format(" ...+{} more", list.size() - n);
  return all + "]";
}

void add_row(Rows& rows, const char* name, std::string value) {
  if (!value.empty()) rows.push_back({name, std::move(value)});
}

std::string model_block(const Json& shown) {
  const Json& info = field_of(shown, "model_info");
  const Json& details = field_of(shown, "details");
  std::string architecture = text_of(info, "general.architecture");
  Rows rows;
  add_row(rows, "architecture", architecture.empty() ? text_of(details, "family") : architecture);
  add_row(rows, "parameters", text_of(details, "parameter_size"));
  add_row(rows, "context length", whole_number(field_of(info, architecture + ".context_length")));
  add_row(rows, "embedding length", whole_number(field_of(info, architecture + ".embedding_length")));
  add_row(rows, "quantization", text_of(details, "quantization_level"));
  add_row(rows, "requires", text_of(shown, "requires"));
  return block("Model", rows);
}

std::string capabilities_block(const Json& shown) {
  Rows rows;
  for (const Json& c : field_of(shown, "capabilities"))
    if (c.is_string()) rows.push_back({c.get<std::string>()});
  return rows.empty() ? "" : block("Capabilities", rows);
}

std::string projector_block(const Json& shown) {
  const Json& info = field_of(shown, "projector_info");
  if (!info.is_object() || info.empty()) return {};
  const std::string architecture = text_of(info, "general.architecture");
  Rows rows;
  add_row(rows, "architecture", architecture);
  if (const int64_t n = number_of(info, "general.parameter_count"); n > 0)
    add_row(rows, "parameters", parameter_count(static_cast<uint64_t>(n)));
  add_row(rows, "embedding length", whole_number(field_of(info, architecture + ".vision.embedding_length")));
  add_row(rows, "dimensions", whole_number(field_of(info, architecture + ".vision.projection_dim")));
  return block("Projector", rows);
}

// Lines of a name, blanks and a value.
std::string parameters_block(const Json& shown) {
  const std::string text = text_of(shown, "parameters");
  Rows rows;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    const size_t name_end = std::min(line.find(' '), line.size());
    const size_t value = std::min(line.find_first_not_of(' ', name_end), line.size());
    if (name_end > 0) rows.push_back({line.substr(0, name_end), line.substr(value)});
  }
  return rows.empty() ? "" : block("Parameters", rows);
}

std::string metadata_block(const Json& shown) {
  const Json& info = field_of(shown, "model_info");
  if (!info.is_object() || info.empty()) return {};
  std::map<std::string, std::string> sorted;
  for (const auto& [key, value] : info.items())
    sorted[key] = value.is_array() ? shown_list(value) : shown_value(value);
  Rows rows;
  for (const auto& [key, value] : sorted) rows.push_back({key, value});
  return block("Metadata", rows);
}

std::string tensors_block(const Json& shown) {
  Rows rows;
  for (const Json& t : field_of(shown, "tensors"))
    rows.push_back({text_of(t, "name"), text_of(t, "type"), shown_value(field_of(t, "shape"))});
  return rows.empty() ? "" : block("Tensors", rows);
}

std::string text_block(const char* title, const std::string& text) {
  const Rows rows = head_of(text, 2);
  return rows.empty() ? "" : block(title, rows);
}

}  // namespace

std::string show_text(const Json& shown, bool verbose) {
  std::string out =
      model_block(shown) + capabilities_block(shown) + projector_block(shown) + parameters_block(shown);
  if (verbose) out += metadata_block(shown) + tensors_block(shown);
  return out + text_block("System", text_of(shown, "system")) +
         text_block("License", text_of(shown, "license"));
}

bool has_capability(const Json& shown, std::string_view name) {
  for (const Json& c : field_of(shown, "capabilities"))
    if (c.is_string() && c.get_ref<const std::string&>() == name) return true;
  return false;
}

bool sees_files(const Json& shown) {
  const Json& projector = field_of(shown, "projector_info");
  return has_capability(shown, "vision") || has_capability(shown, "audio") ||
         (projector.is_object() && !projector.empty());
}

int64_t trained_context(const Json& shown) {
  const Json& info = field_of(shown, "model_info");
  return number_of(info, (text_of(info, "general.architecture") + ".context_length").c_str());
}

}  // namespace quipu::cli
