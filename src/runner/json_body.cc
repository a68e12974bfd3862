#include "runner/json_body.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <vector>

namespace quipu::runner {

namespace {

constexpr size_t kMaxDepth = 64;                // requests need ten
constexpr size_t kMaxValues = size_t{4} << 20;  // ids of the longest prompt and more

// Builds the value. (nlohmann's own way to an ordered object looks through all keys for each new one.)
class Builder : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return value(nullptr); }
  bool boolean(bool v) override { return value(v); }
  bool number_integer(number_integer_t v) override { return value(v); }
  bool number_unsigned(number_unsigned_t v) override { return value(v); }
  bool number_float(number_float_t v, const string_t&) override { return value(v); }
  bool string(string_t& v) override { return value(std::move(v)); }
  bool binary(binary_t&) override { return false; }
  bool key(string_t& k) override {
    open_.back().key = std::move(k);
    return true;
  }
  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool end_object() override {
    keep_last_of_equal_keys(open_.back().value.get_ref<Json::object_t&>());
    return close();
  }
  bool end_array() override { return close(); }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
    wrong_ = fmt::format("the request is not valid JSON: it goes wrong at byte {}", position);
    return false;
  }

  const std::string& wrong() const { return wrong_; }
  Json take() { return std::move(root_); }

 private:
  struct Open {
    Json value;
    std::string key;  // of the member that comes next
  };

  bool count() {
    if (++values_ <= kMaxValues) return true;
    wrong_ = fmt::format("the request has more than {} values", kMaxValues);
    return false;
  }
  bool value(Json v) {
    if (!count()) return false;
    put(std::move(v));
    return true;
  }
  bool open(Json container) {
    if (open_.size() == kMaxDepth) {
      wrong_ = fmt::format("the request is nested more than {} deep", kMaxDepth);
      return false;
    }
    open_.push_back({std::move(container), {}});
    return count();
  }
  bool close() {
    Json done = std::move(open_.back().value);
    open_.pop_back();
    put(std::move(done));
    return true;
  }
  void put(Json v) {
    if (open_.empty())
      root_ = std::move(v);
    else if (Open& in = open_.back(); in.value.is_array())
      in.value.get_ref<Json::array_t&>().push_back(std::move(v));
    else
      in.value.get_ref<Json::object_t&>().emplace_back(std::move(in.key), std::move(v));
  }

  static void keep_last_of_equal_keys(Json::object_t& members) {
    const auto at = members.begin();  // [] of the object itself would look for a key
    std::vector<std::ptrdiff_t> by_key(members.size());
    std::iota(by_key.begin(), by_key.end(), 0);
    std::sort(by_key.begin(), by_key.end(), [at](std::ptrdiff_t a, std::ptrdiff_t b) {
      const int order = at[a].first.compare(at[b].first);
      return order != 0 ? order < 0 : a < b;
    });
    std::vector<bool> gone(members.size());
    bool some = false;
    for (size_t i = 1; i < by_key.size(); ++i)
      if (at[by_key[i - 1]].first == at[by_key[i]].first)
        some = gone[static_cast<size_t>(by_key[i - 1])] = true;
    if (!some) return;
    Json::object_t kept;
    for (size_t i = 0; i < gone.size(); ++i)
      if (auto& [key, value] = at[static_cast<std::ptrdiff_t>(i)]; !gone[i])
        kept.emplace_back(key, std::move(value));
    members = std::move(kept);
  }

  std::vector<Open> open_;
  size_t values_ = 0;
  Json root_;
  std::string wrong_;
};

}  // namespace

Result<Json> parse_body(std::string_view body) {
  if (body.empty()) return error(Code::kInvalidArgument, "the request has no body");
  Builder builder;
  if (!Json::sax_parse(body, &builder))
    return error(Code::kInvalidArgument, "{}",
                 builder.wrong().empty() ? "the request is not valid JSON" : builder.wrong());
  Json parsed = builder.take();
  if (!parsed.is_object()) return error(Code::kInvalidArgument, "the request must be a JSON object");
  return parsed;
}

const Json& field(const Json& object, const char* name) {
  static const Json kNull;
  const auto it = object.find(name);
  return it == object.end() ? kNull : *it;
}

Result<std::string> text_field(const Json& object, const char* name) {
  const Json& v = field(object, name);
  if (v.is_null()) return std::string();
  if (!v.is_string()) return error(Code::kInvalidArgument, "\"{}\" must be a string", name);
  return v.get<std::string>();
}

Result<bool> flag_field(const Json& object, const char* name, bool fallback) {
  const Json& v = field(object, name);
  if (v.is_null()) return fallback;
  if (!v.is_boolean()) return error(Code::kInvalidArgument, "\"{}\" must be true or false", name);
  return v.get<bool>();
}

Result<int64_t> integer_field(const Json& object, const char* name, int64_t fallback, int64_t least,
                              int64_t most) {
  const Json& v = field(object, name);
  if (v.is_null()) return fallback;
  const bool in_range = v.is_number_unsigned()
                            ? v.get<uint64_t>() <= static_cast<uint64_t>(std::max<int64_t>(most, 0)) &&
                                  static_cast<int64_t>(v.get<uint64_t>()) >= least
                            : v.is_number_integer() && v.get<int64_t>() >= least && v.get<int64_t>() <= most;
  if (!in_range)
    return error(Code::kInvalidArgument, "\"{}\" must be an integer between {} and {}", name, least, most);
  return v.get<int64_t>();
}

std::string dump(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace quipu::runner
