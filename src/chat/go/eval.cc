// Expressions: pipelines, fields, variables, calls.
#include "chat/go/interp.h"
#include "chat/go/text.h"

namespace quipu::gotmpl {

Value Interp::pipeline(const Value& dot, const PipeNode& pipe) {
  budget_.check_stack();
  at(pipe);
  Value value;
  const Value* piped = nullptr;
  for (const auto& c : pipe.commands) {
    value = command(dot, *c, piped).unboxed();
    piped = &value;
  }
  for (const std::string& name : pipe.variables) {
    if (pipe.assigns)
      variable(name).value = value;
    else
      variables_.push_back({name, value});
  }
  return value;
}

void Interp::not_a_function(const Node& first_word, const Arguments& arguments) {
  if (!arguments.none()) error("can't give argument to non-function {}", source_of(first_word));
}

Value Interp::command(const Value& dot, const CommandNode& command, const Value* piped) {
  budget_.step();
  const Node& first = *command.args[0];
  const Arguments arguments{&command.args, piped};
  switch (first.kind) {
    case NodeKind::kField:
      return field_node(dot, as<FieldNode>(first), arguments);
    case NodeKind::kVariable:
      return variable_node(as<VariableNode>(first), arguments);
    case NodeKind::kChain:
      return chain_node(dot, as<ChainNode>(first), arguments);
    case NodeKind::kIdentifier:
      return function(dot, as<IdentifierNode>(first), command, arguments);
    case NodeKind::kPipe:
      not_a_function(first, arguments);
      return pipeline(dot, as<PipeNode>(first));
    default:
      break;
  }
  at(first);
  not_a_function(first, arguments);
  if (first.kind == NodeKind::kNil) error("nil is not a command");
  return value_of(dot, first);
}

// Of a dot or a literal.
Value Interp::value_of(const Value& dot, const Node& node) {
  switch (node.kind) {
    case NodeKind::kDot:
      return dot;
    case NodeKind::kBool:
      return Value::boolean(as<BoolNode>(node).value);
    case NodeKind::kNumber:
      return constant(as<NumberNode>(node));
    case NodeKind::kString:
      return Value::string(as<StringNode>(node).value);
    default:
      return {};
  }
}

Value Interp::constant(const NumberNode& node) {
  switch (node.number.kind) {
    case Number::Kind::kInt:
      return Value::integer(node.number.integer);
    case Number::Kind::kFloat:
      return Value::number(node.number.value.real());
    case Number::Kind::kComplex:
      return Value::complex(node.number.value);
    case Number::Kind::kTooLarge:
      break;
  }
  error("{} overflows int", node.text);
}

Value Interp::field_node(const Value& dot, const FieldNode& node, const Arguments& arguments) {
  at(node);
  return fields(dot, node.names, 0, arguments);
}

Value Interp::variable_node(const VariableNode& node, const Arguments& arguments) {
  at(node);
  const Value value = variable(node.names[0]).value;
  if (node.names.size() > 1) return fields(value, node.names, 1, arguments);
  not_a_function(node, arguments);
  return value;
}

Value Interp::chain_node(const Value& dot, const ChainNode& node, const Arguments& arguments) {
  at(node);
  return fields(argument(dot, Param::kValue, *node.base), node.names, 0, arguments);
}

Value Interp::fields(Value receiver, const std::vector<std::string>& names, size_t first,
                     const Arguments& arguments) {
  for (size_t i = first; i < names.size(); ++i)
    receiver = field(receiver, names[i], i + 1 == names.size() && !arguments.none());
  return receiver;
}

Value Interp::field(const Value& receiver, std::string_view name, bool has_arguments) {
  budget_.step();
  if (!receiver.valid()) return {};
  const auto [inner, is_nil] = indirect(receiver);
  if (is_nil && inner.is(Kind::kInterface)) error("nil pointer evaluating {}.{}", receiver.type_name(), name);
  if (inner.is(Kind::kMap)) {
    if (has_arguments) error("{} is not a method but has arguments", name);
    const Value* found = inner.find(name);
    return found != nullptr ? *found : Value::zero(inner.type()->elem);
  }
  const Type& type = inner.is(Kind::kPointer) ? *inner.type()->elem : *inner.type();
  for (size_t i = 0; i < type.fields.size(); ++i) {
    if (type.fields[i].name != name) continue;
    if (is_nil) error("nil pointer evaluating {}.{}", receiver.type_name(), name);
    if (has_arguments) error("{} has arguments but cannot be invoked as function", name);
    return inner.field(i);
  }
  error("can't evaluate field {} in type {}", name, receiver.type_name());
}

Value Interp::function(const Value& dot, const IdentifierNode& name, const Node& whole,
                       const Arguments& arguments) {
  at(name);
  const Function& f = *find_function(name.name);
  const size_t n_nodes = arguments.n_nodes();
  const size_t n = n_nodes + (arguments.piped != nullptr ? 1 : 0);
  if (f.variadic && n < f.n_fixed)
    error("wrong number of args for {}: want at least {} got {}", f.name, f.n_fixed, n_nodes);
  if (!f.variadic && n != f.n_fixed)
    error("wrong number of args for {}: want {} got {}", f.name, f.n_fixed, n);
  if (f.call == nullptr) return and_or(dot, f.name == "or", arguments);

  std::vector<Value> args;
  args.reserve(n);
  const auto param = [&] { return args.empty() ? f.first : f.rest; };
  for (size_t i = 1; i <= n_nodes; ++i) args.push_back(argument(dot, param(), *(*arguments.nodes)[i]));
  if (arguments.piped != nullptr) args.push_back(checked(*arguments.piped, param()));

  std::string first_name;
  if (f.name == "call") {
    if (n_nodes > 0)
      first_name = source_of(*(*arguments.nodes)[1]);
    else if (args[0].valid())
      first_name = args[0].is(Kind::kString) ? std::string(args[0].as_string())
                                             : fmt::format("<{} Value>", args[0].type_name());
  }
  try {
    return f.call(args, {budget_, now_unix_, first_name});
  } catch (const CallError& e) {
    at(whole);
    error("error calling {}: {}", f.name, e.message);
  }
}

// The first argument that decides, or the last one; what stands behind it is not evaluated.
Value Interp::and_or(const Value& dot, bool is_or, const Arguments& arguments) {
  Value value;
  for (size_t i = 1; i <= arguments.n_nodes(); ++i) {
    value = argument(dot, Param::kValue, *(*arguments.nodes)[i]);
    if (is_true(value) == is_or) return value;
  }
  return arguments.piped != nullptr ? *arguments.piped : value;
}

Value Interp::argument(const Value& dot, Param param, const Node& node) {
  budget_.step();
  at(node);
  switch (node.kind) {
    case NodeKind::kDot:
      return checked(dot, param);
    case NodeKind::kField:
      return checked(field_node(dot, as<FieldNode>(node), {}), param);
    case NodeKind::kVariable:
      return checked(variable_node(as<VariableNode>(node), {}), param);
    case NodeKind::kPipe:
      return checked(pipeline(dot, as<PipeNode>(node)), param);
    case NodeKind::kIdentifier:
      return checked(function(dot, as<IdentifierNode>(node), node, {}), param);
    case NodeKind::kChain:
      return checked(chain_node(dot, as<ChainNode>(node), {}), param);
    case NodeKind::kNil:
      if (param == Param::kString) error("cannot assign nil to string");
      return {};
    default:
      break;
  }
  if (param == Param::kString && node.kind != NodeKind::kString)
    error("expected string; found {}", source_of(node));
  return value_of(dot, node);
}

Value Interp::checked(Value value, Param param) {
  if (param == Param::kValue) return value;
  if (param == Param::kString) {
    if (!value.valid()) error("invalid value; expected string");
    if (value.unboxed().type() != &kStringType)
      error("wrong type for value; expected string; got {}",
            value.is_nil() ? value.type_name() : value.unboxed().type_name());
  }
  return value.unboxed();
}

}  // namespace quipu::gotmpl
