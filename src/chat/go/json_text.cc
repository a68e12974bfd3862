#include "chat/go/json_text.h"

#include <fmt/format.h>

#include "chat/go/numbers.h"
#include "chat/go/text.h"

namespace quipu::gotmpl {

namespace {

class Writer {
 public:
  explicit Writer(Budget& budget) : budget_(budget) {}

  // False: JSON does not have this.
  bool write(const Value& value) {
    budget_.step();
    budget_.check_stack();
    switch (value.kind()) {
      case Kind::kInvalid:
        add("null");
        return true;
      case Kind::kInterface:
        return write(value.unboxed());
      case Kind::kBool:
        add(value.as_bool() ? "true" : "false");
        return true;
      case Kind::kInt:
        add(fmt::format("{}", value.as_int()));
        return true;
      case Kind::kUint:
        add(fmt::format("{}", value.as_uint()));
        return true;
      case Kind::kFloat:
        add(json_number(value.as_float()));
        return true;
      case Kind::kComplex:
        return false;
      case Kind::kString:
        string(value.as_string());
        return true;
      case Kind::kSlice:
        return list(value);
      case Kind::kMap:
        return map(value);
      case Kind::kStruct:
        return value.type()->ordered_json ? map(value) : structure(value);
      case Kind::kPointer:
        return write(value.is_nil() ? Value() : value.target());
    }
    return false;
  }

  std::string take() { return std::move(out_); }

 private:
  void add(std::string_view text) {
    budget_.grow(out_.size(), text.size());
    out_ += text;
  }

  void string(std::string_view text) {
    add("\"");
    size_t plain = 0;  // where the text begins that is not written yet
    for (size_t i = 0; i < text.size();) {
      const Rune r = decode_rune(text.substr(i));
      const std::string escaped = escape(r);
      i += r.width;
      if (escaped.empty()) continue;
      add(text.substr(plain, i - r.width - plain));
      add(escaped);
      plain = i;
    }
    add(text.substr(plain));
    add("\"");
  }

  // Empty: the character stands for itself.
  static std::string escape(const Rune& r) {
    switch (r.value) {
      case '"':
      case '\\':
        return {'\\', static_cast<char>(r.value)};
      case '\b':
        return "\\b";
      case '\f':
        return "\\f";
      case '\n':
        return "\\n";
      case '\r':
        return "\\r";
      case '\t':
        return "\\t";
      default:
        break;
    }
    const bool escapes = r.value < 0x20 || r.value == '<' || r.value == '>' || r.value == '&' ||
                         r.value == 0x2028 || r.value == 0x2029 || (r.value == kReplacement && r.width == 1);
    return escapes ? fmt::format("\\u{:04x}", static_cast<uint32_t>(r.value)) : std::string();
  }

  bool list(const Value& value) {
    if (value.is_nil()) {
      add("null");
      return true;
    }
    if (value.type()->text == TextForm::kTypeNames && value.size() == 1) return write(value.element(0));
    if (value.type()->elem == &kByteType) {  // bytes are base64 in JSON; those of images are not kept
      add("\"\"");
      return true;
    }
    add("[");
    for (size_t i = 0; i < value.size(); ++i) {
      if (i > 0) add(",");
      if (!write(value.element(i))) return false;
    }
    add("]");
    return true;
  }

  bool map(const Value& value) {
    if (value.is_nil()) {
      add("null");
      return true;
    }
    add("{");
    bool first = true;
    for (const auto& [key, entry] : value.entries()) {
      if (!first) add(",");
      first = false;
      string(key);
      add(":");
      if (!write(entry)) return false;
    }
    add("}");
    return true;
  }

  static bool is_empty(const Value& value) {
    return value.is(Kind::kStruct) ? false : value.is(Kind::kInterface) ? value.is_nil() : !is_true(value);
  }

  bool structure(const Value& value) {
    add("{");
    bool first = true;
    const auto fields = value.type()->fields;
    for (size_t i = 0; i < fields.size(); ++i) {
      if (fields[i].omit_empty && is_empty(value.field(i))) continue;
      if (!first) add(",");
      first = false;
      string(fields[i].json);
      add(":");
      if (!write(value.field(i))) return false;
    }
    add("}");
    return true;
  }

  Budget& budget_;
  std::string out_;
};

}  // namespace

std::string json_of(const Value& value, Budget& budget) {
  Writer writer(budget);
  return writer.write(value) ? writer.take() : std::string();
}

std::string own_text(const Value& value, Budget& budget) {
  switch (value.type()->text) {
    case TextForm::kJson:
      return json_of(value, budget);
    case TextForm::kJsonObject:
      return value.is_nil() ? "{}" : json_of(value, budget);
    case TextForm::kTypeNames: {
      std::string out;
      for (size_t i = 0; i < value.size(); ++i)
        out.append(i > 0 ? " " : "").append(value.element(i).as_string());
      return value.size() > 1 ? '[' + out + ']' : out;
    }
    case TextForm::kPlain:
      break;
  }
  return {};
}

}  // namespace quipu::gotmpl
