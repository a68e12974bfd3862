#include "chat/go_chat_data.h"

#include <utility>
#include <vector>

#include "chat/go/chat_types.h"
#include "chat/go/failure.h"

namespace quipu {

namespace {

using gotmpl::Failure;
using gotmpl::Value;
using Json = nlohmann::ordered_json;

[[noreturn]] void wrong(const std::string& where, const char* wanted) {
  gotmpl::fail("\"{}\" must be {}", where, wanted);
}

constexpr int kMaxPropertyDepth = 64;

// An object's fields, read one by one. `where` is its place in the request, for complaints. Null is nothing.
class Reader {
 public:
  Reader(const Json& json, std::string where, int depth = 0)
      : json_(json), where_(std::move(where)), depth_(depth) {
    if (!json.is_object() && !json.is_null()) wrong(where_, "an object");
    if (depth > kMaxPropertyDepth) gotmpl::fail("\"{}...\" is nested too deeply", where_.substr(0, 60));
  }

  const Json* find(const char* key) const {
    if (!json_.is_object()) return nullptr;
    const auto it = json_.find(key);
    return it == json_.end() || it->is_null() ? nullptr : &*it;
  }
  std::string place(const char* key) const { return where_ + '.' + key; }
  int depth() const { return depth_; }

  Value text(const char* key) const {
    const Json* json = find(key);
    if (json == nullptr) return Value::string("");
    if (!json->is_string()) wrong(place(key), "a string");
    return Value::string(json->get<std::string>());
  }
  // In a place for any value.
  Value any(const char* key) const {
    const Json* json = find(key);
    return (json == nullptr ? Value() : Value::of_json(*json)).boxed();
  }
  Value texts(const char* key) const {
    const Json* json = find(key);
    if (json == nullptr) return Value::nil(gotmpl::kStringListType);
    return texts_of(gotmpl::kStringListType, *json, place(key));
  }
  static Value texts_of(const gotmpl::Type& type, const Json& json, const std::string& where) {
    if (!json.is_array()) wrong(where, "a list of strings");
    std::vector<Value> out;
    for (const Json& e : json) {
      if (!e.is_string()) wrong(where, "a list of strings");
      out.push_back(Value::string(e.get<std::string>()));
    }
    return Value::list(type, std::move(out));
  }

  // A list, each element read by `read(json, where)`; nil if there is none.
  template <class Read>
  Value list(const char* key, const gotmpl::Type& type, Read read) const {
    const Json* json = find(key);
    return json == nullptr ? Value::nil(type) : list_of(*json, place(key), type, read);
  }
  template <class Read>
  static Value list_of(const Json& json, const std::string& where, const gotmpl::Type& type, Read read) {
    if (!json.is_array()) wrong(where, "a list");
    std::vector<Value> out;
    for (size_t i = 0; i < json.size(); ++i) out.push_back(read(json[i], fmt::format("{}[{}]", where, i)));
    return Value::list(type, std::move(out));
  }

 private:
  const Json& json_;
  const std::string where_;
  const int depth_;
};

Value read_property(const Json& json, const std::string& where, int depth);

// `type`: a map of properties; a missing one is nil.
Value read_properties(const Reader& owner, const gotmpl::Type& type) {
  const Json* json = owner.find("properties");
  if (json == nullptr) return Value::nil(type);
  if (!json->is_object()) wrong(owner.place("properties"), "an object");
  std::vector<Value::Entry> entries;
  for (const auto& [name, property] : json->items())
    entries.emplace_back(name,
                         read_property(property, owner.place("properties") + '.' + name, owner.depth() + 1));
  return Value::map(type, std::move(entries));
}

Value read_property(const Json& json, const std::string& where, int depth) {
  const Reader r(json, where, depth);
  const Json* type = r.find("type");
  Value names = Value::nil(gotmpl::kTypeNamesType);
  if (type != nullptr)
    names = Reader::texts_of(gotmpl::kTypeNamesType, type->is_string() ? Json::array({*type}) : *type,
                             r.place("type"));
  const Json* choices = r.find("enum");
  if (choices != nullptr && !choices->is_array()) wrong(r.place("enum"), "a list");
  Value nested = Value::nil(gotmpl::kNestedPropertiesPointerType);
  if (r.find("properties") != nullptr)
    nested = Value::pointer(gotmpl::kNestedPropertiesPointerType,
                            read_properties(r, gotmpl::kNestedPropertiesType));
  return Value::structure(
      gotmpl::kPropertyType,
      {
          r.list("anyOf", gotmpl::kPropertyListType,
                 [&](const Json& j, const std::string& w) { return read_property(j, w, depth + 1); }),
          names,
          r.any("items"),
          r.text("description"),
          choices == nullptr ? Value::nil(gotmpl::kAnyListType) : Value::of_json(*choices),
          nested,
          r.texts("required"),
      });
}

Value read_tool(const Json& json, const std::string& where) {
  const Reader tool(json, where);
  const Json none;
  const Json* function_json = tool.find("function");
  const Reader function(function_json == nullptr ? none : *function_json, tool.place("function"));
  const Json* parameters_json = function.find("parameters");
  const Reader parameters(parameters_json == nullptr ? none : *parameters_json, function.place("parameters"));
  Value parameters_value =
      Value::structure(gotmpl::kParametersType, {
                                                    parameters.text("type"),
                                                    parameters.any("$defs"),
                                                    parameters.any("items"),
                                                    parameters.texts("required"),
                                                    read_properties(parameters, gotmpl::kPropertiesType),
                                                });
  Value function_value =
      Value::structure(gotmpl::kToolFunctionType,
                       {function.text("name"), function.text("description"), std::move(parameters_value)});
  return Value::structure(gotmpl::kToolType,
                          {tool.text("type"), tool.any("items"), std::move(function_value)});
}

Value read_tool_call(const Json& json, const std::string& where) {
  const Reader call(json, where);
  const Json none;
  const Json* function_json = call.find("function");
  const Reader function(function_json == nullptr ? none : *function_json, call.place("function"));
  const Json* index = function.find("index");
  if (index != nullptr && !index->is_number_integer()) wrong(function.place("index"), "an integer");
  const Json* arguments = function.find("arguments");
  if (arguments != nullptr && !arguments->is_object()) wrong(function.place("arguments"), "an object");
  Value arguments_value = Value::nil(gotmpl::kArgumentsType);
  if (arguments != nullptr)
    arguments_value = Value::map(gotmpl::kArgumentsType, Value::of_json(*arguments).entries());
  Value function_value = Value::structure(gotmpl::kToolCallFunctionType,
                                          {
                                              Value::integer(index == nullptr ? 0 : index->get<int64_t>()),
                                              function.text("name"),
                                              std::move(arguments_value),
                                          });
  return Value::structure(gotmpl::kToolCallType, {call.text("id"), std::move(function_value)});
}

Value read_message(const CollatedMessage& collated, const std::string& where) {
  const Message& m = *collated.first;
  Value images = Value::nil(gotmpl::kImageListType);
  if (m.n_images > 0)
    images = Value::list(gotmpl::kImageListType,
                         std::vector<Value>(m.n_images, Value::list(gotmpl::kImageType, {})));
  Value calls = Value::nil(gotmpl::kToolCallListType);
  if (m.tool_calls.is_array() ? !m.tool_calls.empty() : !m.tool_calls.is_null())
    calls = Reader::list_of(m.tool_calls, where + ".tool_calls", gotmpl::kToolCallListType, read_tool_call);
  const Value fields = Value::structure(gotmpl::kMessageType, {
                                                                  Value::string(collated.role),
                                                                  Value::string(collated.content),
                                                                  Value::string(m.thinking),
                                                                  std::move(images),
                                                                  std::move(calls),
                                                                  Value::string(m.tool_name),
                                                                  Value::string(m.tool_call_id),
                                                              });
  return Value::pointer(gotmpl::kMessagePointerType, fields);
}

template <class Make>
Result<Value> read(Make make) {
  try {
    return make();
  } catch (const Failure& f) {
    return std::unexpected(Error{Code::kInvalidArgument, f.message, {}});
  }
}

}  // namespace

Result<Value> tools_value(const Json* tools) {
  return read([&] {
    if (tools == nullptr || tools->is_null()) return Value::nil(gotmpl::kToolListType);
    return Reader::list_of(*tools, "tools", gotmpl::kToolListType, read_tool);
  });
}

Result<Value> messages_value(std::span<const CollatedMessage> messages) {
  return read([&] {
    if (messages.empty()) return Value::nil(gotmpl::kMessageListType);
    std::vector<Value> out;
    for (size_t i = 0; i < messages.size(); ++i)
      out.push_back(read_message(messages[i], fmt::format("messages[{}]", i)));
    return Value::list(gotmpl::kMessageListType, std::move(out));
  });
}

}  // namespace quipu
