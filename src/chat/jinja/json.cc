#include "chat/jinja/json.h"

#include <cmath>

#include "chat/jinja/merge_sort.h"
#include "chat/jinja/ops.h"
#include "chat/jinja/text.h"
#include "chat/jinja/unicode.h"

namespace quipu::jinja {

Value value_of_json(Heap& heap, const nlohmann::ordered_json& json) {
  using Type = nlohmann::ordered_json::value_t;
  Budget& budget = heap.budget();
  budget.step();
  switch (json.type()) {
    case Type::boolean:
      return Value::boolean(json.get<bool>());
    case Type::number_integer:
      return Value::integer(json.get<int64_t>());
    case Type::number_unsigned:
      return Value::integer(json.get<uint64_t>());
    case Type::number_float:
      return Value::number(json.get<double>());
    case Type::string: {
      const auto& text = json.get_ref<const std::string&>();
      budget.work(text.size());
      return make_string(heap, to_valid_utf8(text));
    }
    case Type::array: {
      const Nested nested(budget);
      std::vector<Value> items;
      items.reserve(json.size());
      for (const auto& item : json) items.push_back(value_of_json(heap, item));
      return make_list(heap, std::move(items));
    }
    case Type::object: {
      const Nested nested(budget);
      Value dict = make_dict(heap);
      for (const auto& [key, item] : json.items())
        dict.as<Dict>().set(make_string(heap, to_valid_utf8(key)), value_of_json(heap, item));
      return dict;
    }
    default:
      return Value::none();
  }
}

namespace {

class JsonWriter {
 public:
  JsonWriter(TextBuilder& out, const JsonStyle& style) : out_(out), style_(style) {}

  void write(const Value& value) {
    out_.budget().step();
    switch (value.kind()) {
      case Kind::kNone:
        return out_.add("null");
      case Kind::kBool:
        return out_.add(value.as_bool() ? "true" : "false");
      case Kind::kInt:
        return out_.add(int_text(value.as_int()));
      case Kind::kFloat:
        return out_.add(number(value.as_float()));
      case Kind::kString:
        return write_string(text_of(value));
      case Kind::kList:
      case Kind::kTuple:
        return write_list(items_of(value));
      case Kind::kDict:
        return write_dict(value.as<Dict>());
      default:
        fail(Fault::kType, "Object of type {} is not JSON serializable", type_name(value));
    }
  }

 private:
  static std::string number(double d) {
    if (std::isnan(d)) return "NaN";
    if (std::isinf(d)) return d < 0 ? "-Infinity" : "Infinity";
    return float_text(d);
  }

  void break_line() {
    if (!style_.pretty) return;
    out_.add('\n');
    out_.fill(level_, style_.indent);
  }

  void write_string(std::string_view text) {
    out_.add('"');
    size_t plain = 0;
    for (size_t at = 0; at < text.size();) {
      const size_t start = at;
      const char32_t c = next_char(text, at);
      const bool special = c < 0x20 || c == '"' || c == '\\' || (style_.ensure_ascii && c >= 0x7f);
      if (!special) continue;
      out_.add(text.substr(plain, start - plain));
      write_escape(c);
      plain = at;
    }
    out_.add(text.substr(plain));
    out_.add('"');
  }

  void write_escape(char32_t c) {
    switch (c) {
      case '"':
        return out_.add("\\\"");
      case '\\':
        return out_.add("\\\\");
      case '\n':
        return out_.add("\\n");
      case '\r':
        return out_.add("\\r");
      case '\t':
        return out_.add("\\t");
      case '\b':
        return out_.add("\\b");
      case '\f':
        return out_.add("\\f");
      default:
        break;
    }
    const auto code = static_cast<uint32_t>(c);
    if (code < 0x10000) return out_.add(fmt::format("\\u{:04x}", code));
    out_.add(fmt::format("\\u{:04x}\\u{:04x}", 0xd800 + ((code - 0x10000) >> 10),
                         0xdc00 + ((code - 0x10000) & 0x3ff)));
  }

  void write_list(const std::vector<Value>& items) {
    if (items.empty()) return out_.add("[]");
    const Nested nested(out_.budget());
    out_.add('[');
    ++level_;
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_.add(style_.item_separator);
      break_line();
      write(items[i]);
    }
    --level_;
    break_line();
    out_.add(']');
  }

  void write_key(const Value& key) {
    switch (key.kind()) {
      case Kind::kString:
        return write_string(text_of(key));
      case Kind::kNone:
        return write_string("null");
      case Kind::kBool:
        return write_string(key.as_bool() ? "true" : "false");
      case Kind::kInt:
        return write_string(int_text(key.as_int()));
      case Kind::kFloat:
        return write_string(number(key.as_float()));
      default:
        fail(Fault::kType, "keys must be str, int, float, bool or None, not {}", type_name(key));
    }
  }

  void write_dict(const Dict& dict) {
    if (dict.entries().empty()) return out_.add("{}");
    const Nested nested(out_.budget());
    const auto& entries = dict.entries();
    std::vector<size_t> order;
    if (style_.sort_keys)
      order = merge_sorted(entries.size(), [&](size_t a, size_t b) {
        return compare(out_.budget(), Op::kLt, entries[a].first, entries[b].first);
      });
    out_.add('{');
    ++level_;
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i > 0) out_.add(style_.item_separator);
      break_line();
      const Dict::Entry& entry = entries[style_.sort_keys ? order[i] : i];
      write_key(entry.first);
      out_.add(style_.key_separator);
      write(entry.second);
    }
    --level_;
    break_line();
    out_.add('}');
  }

  TextBuilder& out_;
  const JsonStyle& style_;
  uint64_t level_ = 0;
};

}  // namespace

std::string to_json(Budget& budget, const Value& value, const JsonStyle& style) {
  TextBuilder out(budget);
  JsonWriter(out, style).write(value);
  return out.take();
}

}  // namespace quipu::jinja
