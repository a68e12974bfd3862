#include "server/request_body.h"

#include <cmath>

#include "base/utf8.h"
#include "http/message.h"

namespace quipu::server {

namespace {

constexpr size_t kMostNesting = 1'000;
constexpr size_t kMostValues = size_t{4} << 20;

// Builds the value as the parser comes along. Members are appended, never looked up: an object of many keys
// costs no more than its text.
class Builder final : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return add(nullptr); }
  bool boolean(bool v) override { return add(v); }
  bool number_integer(int64_t v) override { return add(v); }
  bool number_unsigned(uint64_t v) override { return add(v); }
  bool number_float(double v, const std::string&) override { return add(v); }
  bool string(std::string& v) override { return add(std::move(v)); }
  bool binary(nlohmann::json::binary_t&) override { return false; }
  bool key(std::string& name) override {
    key_ = std::move(name);
    return true;
  }
  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& e) override {
    if (error_.empty()) error_ = words(position, e.what());
    return false;
  }

  Json take() { return std::move(root_); }
  const std::string& error() const { return error_; }
  void set_text(std::string_view text) { text_ = text; }

 private:
  bool add(Json value) { return place(std::move(value)) != nullptr; }
  Json* place(Json value) {
    if (++n_values_ > kMostValues) {
      error_ = fmt::format("the request holds more than {} values", kMostValues);
      return nullptr;
    }
    if (stack_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Json& parent = *stack_.back();
    if (parent.is_array()) {
      auto& elements = parent.get_ref<Json::array_t&>();
      elements.push_back(std::move(value));
      return &elements.back();
    }
    using Members = std::vector<std::pair<const std::string, Json>>;
    auto& members = static_cast<Members&>(parent.get_ref<Json::object_t&>());
    members.emplace_back(std::move(key_), std::move(value));
    return &members.back().second;
  }
  bool open(Json value) {
    if (stack_.size() >= kMostNesting) {
      error_ = "exceeded max depth";
      return false;
    }
    Json* at = place(std::move(value));
    if (at != nullptr) stack_.push_back(at);
    return at != nullptr;
  }
  bool close() {
    stack_.pop_back();
    return true;
  }

  std::string words(size_t position, const std::string& what) const {
    const size_t rest = text_.find_last_not_of(" \t\r\n");
    if (rest == text_.npos || position > rest + 1 || what.find("unexpected end of input") != what.npos)
      return "unexpected EOF";
    const size_t at = position > 0 ? position - 1 : 0;
    const auto c = static_cast<unsigned char>(at < text_.size() ? text_[at] : ' ');
    const bool first = text_.find_first_not_of(" \t\r\n") == at;
    const std::string shown =
        c >= 0x20 && c < 0x7f ? std::string(1, static_cast<char>(c)) : fmt::format("\\x{:02x}", c);
    return fmt::format("invalid character '{}' {}", shown,
                       first ? "looking for beginning of value" : "in the request's JSON");
  }

  Json root_;
  std::vector<Json*> stack_;
  std::string key_, error_;
  std::string_view text_;
  size_t n_values_ = 0;
};

// The code unit of "\u12ab" at that place; -1: there is none.
int code_unit(std::string_view text, size_t at) {
  if (text.size() - std::min(at, text.size()) < 6 || text[at] != '\\' || text[at + 1] != 'u') return -1;
  int unit = 0;
  for (const char c : text.substr(at + 2, 4)) {
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) return -1;
    unit = unit * 16 + digit;
  }
  return unit;
}

// A backslash stands in strings only (anywhere else the parser refuses it), so nothing else is changed.
void replace_half_pairs(std::string& text) {
  for (size_t at = text.find('\\'); at < text.size(); at = text.find('\\', at)) {
    const int unit = code_unit(text, at);
    if (unit < 0) {
      at += 2;
    } else if (unit < 0xd800 || unit > 0xdfff) {
      at += 6;
    } else if (const int next = code_unit(text, at + 6); unit < 0xdc00 && next >= 0xdc00 && next <= 0xdfff) {
      at += 12;
    } else {
      text.replace(at + 2, 4, "fffd");
      at += 6;
    }
  }
}

Result<Json> parse_valid(std::string_view text) {
  Builder builder;
  builder.set_text(text);
  bool good = false;
  try {
    good = nlohmann::ordered_json::sax_parse(text.begin(), text.end(), &builder,
                                             nlohmann::detail::input_format_t::json, /*strict=*/false);
  } catch (const std::exception& e) {  // no memory; the parser itself reports through parse_error()
    return error(Code::kInvalidArgument, "{}", e.what());
  }
  if (!good)
    return error(Code::kInvalidArgument, "{}", builder.error().empty() ? "unexpected EOF" : builder.error());
  return builder.take();
}

std::string_view go_kind(const Json& v) {
  switch (v.type()) {
    case Json::value_t::object:
      return "object";
    case Json::value_t::array:
      return "array";
    case Json::value_t::string:
      return "string";
    case Json::value_t::boolean:
      return "bool";
    default:
      return "number";
  }
}

}  // namespace

Result<Json> parse_first_value(std::string_view text) {
  auto value = parse_valid(text);
  if (value) return value;
  // The rare text that only Go takes is worth a second reading.
  std::string mended = to_valid_utf8(text);
  replace_half_pairs(mended);
  return mended == text ? std::move(value) : parse_valid(mended);
}

const Json* find_member(const Json& object, std::string_view name) {
  const Json* found = nullptr;
  if (!object.is_object()) return nullptr;
  for (const auto& [key, value] : object.get_ref<const Json::object_t&>())
    if (http::equal_ignoring_case(key, name) && !value.is_null()) found = &value;
  return found;
}

Fields Fields::inside(const Json& value, std::string_view name) const {
  return {value, type_, fmt::format("{}{}.", path_, name)};
}

nlohmann::json as_map(const Json& object) {
  nlohmann::json out = nlohmann::json::object();
  for (const auto& [key, value] : object.get_ref<const Json::object_t&>()) out[key] = value;
  return out;
}

std::unexpected<Error> Fields::wrong_type(const Json& value, std::string_view name,
                                          std::string_view go_type) const {
  return error(Code::kInvalidArgument, "json: cannot unmarshal {} into Go struct field {}.{}{} of type {}",
               go_kind(value), type_, path_, name, go_type);
}

Result<std::string> Fields::text(std::string_view name) const {
  const Json* v = find(name);
  if (v == nullptr) return std::string();
  if (!v->is_string()) return wrong_type(*v, name, "string");
  return v->get<std::string>();
}

Result<std::string> Fields::text(std::string_view name, std::string_view old_name) const {
  QUIPU_ASSIGN(std::string value, text(name));
  if (!value.empty()) return value;
  return text(old_name);
}

Result<std::optional<bool>> Fields::flag(std::string_view name) const {
  const Json* v = find(name);
  if (v == nullptr) return std::optional<bool>();
  if (!v->is_boolean()) return wrong_type(*v, name, "bool");
  return v->get<bool>();
}

Result<bool> Fields::flag(std::string_view name, bool fallback) const {
  QUIPU_ASSIGN(const std::optional<bool> value, flag(name));
  return value.value_or(fallback);
}

Result<int64_t> Fields::integer(std::string_view name, int64_t fallback) const {
  const Json* v = find(name);
  if (v == nullptr) return fallback;
  if (v->is_number_unsigned() && v->get<uint64_t>() > INT64_MAX) return wrong_type(*v, name, "int");
  if (!v->is_number_integer()) return wrong_type(*v, name, "int");
  return v->get<int64_t>();
}

Result<const Json*> Fields::array(std::string_view name, std::string_view go_type) const {
  const Json* v = find(name);
  if (v != nullptr && !v->is_array()) return wrong_type(*v, name, go_type);
  return v;
}

Result<const Json*> Fields::object(std::string_view name, std::string_view go_type) const {
  const Json* v = find(name);
  if (v != nullptr && !v->is_object()) return wrong_type(*v, name, go_type);
  return v;
}

Result<std::vector<std::string>> Fields::texts(std::string_view name) const {
  std::vector<std::string> out;
  QUIPU_ASSIGN(const Json* list, array(name, "[]string"));
  if (list == nullptr) return out;
  for (const Json& element : *list) {
    if (!element.is_string() && !element.is_null()) return wrong_type(element, name, "string");
    out.push_back(element.is_null() ? std::string() : element.get<std::string>());
  }
  return out;
}

Result<Json> parse_object(std::string_view body, std::string_view type) {
  if (body.empty()) return error(Code::kInvalidArgument, "missing request body");
  QUIPU_ASSIGN(Json value, parse_first_value(body));
  if (value.is_null()) return Json::object();
  if (!value.is_object())
    return error(Code::kInvalidArgument, "json: cannot unmarshal {} into Go value of type api.{}",
                 go_kind(value), type);
  return value;
}

}  // namespace quipu::server
