#include "chat/go/chat_types.h"

#include <array>

namespace quipu::gotmpl {

namespace {

constexpr const Type* kAnything = nullptr;

constinit const std::array<Field, 7> kMessageFields = {{
    {"Role", "Role", &kStringType},
    {"Content", "Content", &kStringType},
    {"Thinking", "Thinking", &kStringType},
    {"Images", "Images", &kImageListType},
    {"ToolCalls", "ToolCalls", &kToolCallListType},
    {"ToolName", "ToolName", &kStringType},
    {"ToolCallID", "ToolCallID", &kStringType},
}};

constinit const std::array<Field, 2> kToolCallFields = {{
    {"ID", "ID", &kStringType},
    {"Function", "Function", &kToolCallFunctionType},
}};

constinit const std::array<Field, 3> kToolCallFunctionFields = {{
    {"Index", "Index", &kIntType},
    {"Name", "Name", &kStringType},
    {"Arguments", "Arguments", &kArgumentsType},
}};

constinit const std::array<Field, 3> kToolFields = {{
    {"Type", "type", &kStringType},
    {"Items", "items", kAnything, true},
    {"Function", "function", &kToolFunctionType},
}};

constinit const std::array<Field, 3> kToolFunctionFields = {{
    {"Name", "name", &kStringType},
    {"Description", "description", &kStringType},
    {"Parameters", "parameters", &kParametersType},
}};

constinit const std::array<Field, 5> kParametersFields = {{
    {"Type", "type", &kStringType},
    {"Defs", "$defs", kAnything, true},
    {"Items", "items", kAnything, true},
    {"Required", "required", &kStringListType, true},
    {"Properties", "properties", &kPropertiesType},
}};

constinit const std::array<Field, 7> kPropertyFields = {{
    {"AnyOf", "anyOf", &kPropertyListType, true},
    {"Type", "type", &kTypeNamesType, true},
    {"Items", "items", kAnything, true},
    {"Description", "description", &kStringType, true},
    {"Enum", "enum", &kAnyListType, true},
    {"Properties", "properties", &kNestedPropertiesPointerType, true},
    {"Required", "required", &kStringListType, true},
}};

std::string_view typescript_name(std::string_view name) {
  if (name == "string" || name == "boolean" || name == "null") return name;
  if (name == "number" || name == "integer") return "number";
  if (name == "array") return "any[]";
  if (name == "object") return "Record<string, any>";
  return "any";
}

}  // namespace

constinit const Type kMessageType{Kind::kStruct, "template.templateMessage", nullptr, kMessageFields};
constinit const Type kMessagePointerType{Kind::kPointer, "*template.templateMessage", &kMessageType};
constinit const Type kMessageListType{Kind::kSlice, "[]*template.templateMessage", &kMessagePointerType};
constinit const Type kImageType{Kind::kSlice, "api.ImageData", &kByteType};
constinit const Type kImageListType{Kind::kSlice, "[]api.ImageData", &kImageType};

constinit const Type kToolCallType{Kind::kStruct, "template.templateToolCall", nullptr, kToolCallFields};
constinit const Type kToolCallListType{Kind::kSlice, "[]template.templateToolCall", &kToolCallType};
constinit const Type kToolCallFunctionType{Kind::kStruct, "template.templateToolCallFunction", nullptr,
                                           kToolCallFunctionFields};
constinit const Type kArgumentsType{Kind::kMap, "template.templateArgs", nullptr, {}, TextForm::kJsonObject};

constinit const Type kToolType{Kind::kStruct, "template.templateTool", nullptr, kToolFields, TextForm::kJson};
constinit const Type kToolListType{Kind::kSlice, "template.templateTools", &kToolType, {}, TextForm::kJson};
constinit const Type kToolFunctionType{Kind::kStruct, "template.templateToolFunction", nullptr,
                                       kToolFunctionFields};
constinit const Type kParametersType{Kind::kStruct, "template.templateToolFunctionParameters", nullptr,
                                     kParametersFields};
constinit const Type kPropertiesType{
    Kind::kMap, "template.templateProperties", &kPropertyType, {}, TextForm::kJsonObject};

constinit const Type kPropertyType{Kind::kStruct, "api.ToolProperty", nullptr, kPropertyFields};
constinit const Type kPropertyListType{Kind::kSlice, "[]api.ToolProperty", &kPropertyType};
constinit const Type kTypeNamesType{Kind::kSlice, "api.PropertyType", &kStringType, {}, TextForm::kTypeNames};
constinit const Type kNestedPropertiesType{
    Kind::kStruct, "api.ToolPropertiesMap", &kPropertyType, {}, TextForm::kPlain, true};
constinit const Type kNestedPropertiesPointerType{Kind::kPointer, "*api.ToolPropertiesMap",
                                                  &kNestedPropertiesType};

std::string typescript_type(const Value& value, Budget& budget) {
  budget.step();
  budget.check_stack();
  const Value v = indirect(value).value;
  if (v.is(Kind::kInterface) || v.type() != &kPropertyType) return "any";
  const Value any_of = v.field(0), names = v.field(1);
  std::string out;
  const auto add = [&](std::string_view name) {
    constexpr std::string_view kOr = " | ";
    budget.grow(out.size(), name.size() + kOr.size());
    if (!out.empty()) out += kOr;
    out += name;
  };
  for (size_t i = 0; i < any_of.size(); ++i) add(typescript_type(any_of.element(i), budget));
  if (any_of.size() == 0)
    for (size_t i = 0; i < names.size(); ++i) add(typescript_name(names.element(i).as_string()));
  return out.empty() ? "any" : out;
}

}  // namespace quipu::gotmpl
