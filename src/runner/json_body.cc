#include "runner/json_body.h"

#include <algorithm>

namespace quipu::runner {

namespace {

using Json = nlohmann::json;

constexpr int kMaxDepth = 64;                   // requests need five
constexpr size_t kMaxValues = size_t{4} << 20;  // ids of the longest prompt and more; 64 MB at most

// Walks over the text without keeping anything: is it JSON, and is it small enough to keep?
class Sizer : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return value(); }
  bool boolean(bool) override { return value(); }
  bool number_integer(number_integer_t) override { return value(); }
  bool number_unsigned(number_unsigned_t) override { return value(); }
  bool number_float(number_float_t, const string_t&) override { return value(); }
  bool string(string_t&) override { return value(); }
  bool binary(binary_t&) override { return value(); }
  bool key(string_t&) override { return value(); }
  bool start_object(size_t) override { return open(); }
  bool start_array(size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
    wrong_ = fmt::format("the request is not valid JSON: it goes wrong at byte {}", position);
    return false;
  }
  const std::string& wrong() const { return wrong_; }

 private:
  bool value() {
    if (++values_ <= kMaxValues) return true;
    wrong_ = fmt::format("the request has more than {} values", kMaxValues);
    return false;
  }
  bool open() {
    if (++depth_ <= kMaxDepth) return value();
    wrong_ = fmt::format("the request is nested more than {} deep", kMaxDepth);
    return false;
  }
  bool close() {
    --depth_;
    return true;
  }

  int depth_ = 0;
  size_t values_ = 0;
  std::string wrong_;
};

}  // namespace

Result<Json> parse_body(std::string_view body) {
  if (body.empty()) return error(Code::kInvalidArgument, "the request has no body");
  Sizer sizer;
  if (!Json::sax_parse(body, &sizer))
    return error(Code::kInvalidArgument, "{}",
                 sizer.wrong().empty() ? "the request is not valid JSON" : sizer.wrong());
  Json parsed = Json::parse(body, nullptr, false);
  if (!parsed.is_object()) return error(Code::kInvalidArgument, "the request must be a JSON object");
  return parsed;
}

Result<std::string> text_field(const Json& object, const char* name) {
  const auto it = object.find(name);
  if (it == object.end() || it->is_null()) return std::string();
  if (!it->is_string()) return error(Code::kInvalidArgument, "\"{}\" must be a string", name);
  return it->get<std::string>();
}

Result<bool> flag_field(const Json& object, const char* name, bool fallback) {
  const auto it = object.find(name);
  if (it == object.end() || it->is_null()) return fallback;
  if (!it->is_boolean()) return error(Code::kInvalidArgument, "\"{}\" must be true or false", name);
  return it->get<bool>();
}

Result<int64_t> integer_field(const Json& object, const char* name, int64_t fallback, int64_t least,
                              int64_t most) {
  const auto it = object.find(name);
  if (it == object.end() || it->is_null()) return fallback;
  const bool in_range =
      it->is_number_unsigned()
          ? it->get<uint64_t>() <= static_cast<uint64_t>(std::max<int64_t>(most, 0)) &&
                static_cast<int64_t>(it->get<uint64_t>()) >= least
          : it->is_number_integer() && it->get<int64_t>() >= least && it->get<int64_t>() <= most;
  if (!in_range)
    return error(Code::kInvalidArgument, "\"{}\" must be an integer between {} and {}", name, least, most);
  return it->get<int64_t>();
}

}  // namespace quipu::runner
