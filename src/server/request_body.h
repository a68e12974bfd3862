// A request's body the way Go's decoder reads it, which is what clients of Ollama rely on: the first JSON
// value counts and what follows is ignored, keys are found without regard to case, the last of several wins,
// null leaves a field as it was, and errors are in Go's words. Spec: ollama-compat 1.1.
//
// Threads: values.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "server/json.h"

namespace quipu::server {

// The first value of the text. What is no character in it (bytes that are no UTF-8, halves of surrogate pairs
// as "\ud83d") becomes U+FFFD, as with Go: clients cut texts between the two. Nesting and the number of
// values are bounded: a value takes many times the memory of the two bytes that can spell it. Objects may
// hold a key twice; find() below takes the last.
Result<Json> parse_first_value(std::string_view text);

// A member by its name, whatever its case; null when there is none or it is null.
const Json* find_member(const Json& object, std::string_view name);

// The object's members by name; the last of several wins, as in Go's maps.
nlohmann::json as_map(const Json& object);

// The fields of one object. `type` is its name in error messages ("GenerateRequest"); `path` stands in front
// of fields' names there ("messages.").
//
// kInvalidArgument: "json: cannot unmarshal number into Go struct field GenerateRequest.prompt of type
// string".
class Fields {
 public:
  Fields(const Json& object, std::string type, std::string path = {})
      : object_(object), type_(std::move(type)), path_(std::move(path)) {}

  const Json* find(std::string_view name) const { return find_member(object_, name); }
  // Of an element of the list, or of the object, that stands under `name`; null counts as {}.
  Fields inside(const Json& value, std::string_view name) const;

  Result<std::string> text(std::string_view name) const;  // absent: empty
  Result<std::string> text(std::string_view name,
                           std::string_view old_name) const;  // the second where the first is empty
  Result<bool> flag(std::string_view name, bool fallback) const;
  Result<std::optional<bool>> flag(std::string_view name) const;
  Result<int64_t> integer(std::string_view name, int64_t fallback) const;
  // Null where absent. `go_type` is what an error calls the wanted type.
  Result<const Json*> array(std::string_view name, std::string_view go_type) const;
  Result<const Json*> object(std::string_view name, std::string_view go_type) const;
  Result<std::vector<std::string>> texts(std::string_view name) const;

  std::unexpected<Error> wrong_type(const Json& value, std::string_view name, std::string_view go_type) const;

 private:
  const Json& object_;
  std::string type_, path_;
};

// The object that a body holds. Empty: "missing request body"; null counts as {}.
Result<Json> parse_object(std::string_view body, std::string_view type);

}  // namespace quipu::server
