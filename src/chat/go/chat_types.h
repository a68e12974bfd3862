// The types of what chat templates see: messages, tools, calls of tools. Their names and fields, their order
// among them, show in prompts.
//
// Threads: constants, pure functions.
#pragma once

#include <string>

#include "chat/go/budget.h"
#include "chat/go/value.h"

namespace quipu::gotmpl {

extern const Type kMessageListType, kMessagePointerType, kMessageType;
extern const Type kImageListType, kImageType;
extern const Type kToolCallListType, kToolCallType, kToolCallFunctionType, kArgumentsType;
extern const Type kToolListType, kToolType, kToolFunctionType, kParametersType, kPropertiesType;
extern const Type kPropertyListType, kPropertyType, kTypeNamesType;
// The properties of a property keep the order they came in; templates can print them, no more.
extern const Type kNestedPropertiesPointerType, kNestedPropertiesType;

// A property's type in TypeScript's words; "any" for what is no property.
std::string typescript_type(const Value& value, Budget& budget);

}  // namespace quipu::gotmpl
