#include "chat/go/ast.h"

#include "chat/go/text.h"

namespace quipu::gotmpl {

namespace {

void append(std::string& out, const Node& node);

void append_fields(std::string& out, const std::vector<std::string>& names, size_t first) {
  for (size_t i = first; i < names.size(); ++i) out.append(".").append(names[i]);
}

void append_operand(std::string& out, const Node& node) {
  const bool parenthesised = node.kind == NodeKind::kPipe;
  if (parenthesised) out += '(';
  append(out, node);
  if (parenthesised) out += ')';
}

void append_pipe(std::string& out, const PipeNode& pipe) {
  for (size_t i = 0; i < pipe.variables.size(); ++i) out.append(i > 0 ? ", " : "").append(pipe.variables[i]);
  if (!pipe.variables.empty()) out += pipe.assigns ? " = " : " := ";
  for (size_t i = 0; i < pipe.commands.size(); ++i) {
    if (i > 0) out += " | ";
    append(out, *pipe.commands[i]);
  }
}

void append(std::string& out, const Node& node) {
  switch (node.kind) {
    case NodeKind::kAction:
      out += "{{";
      append_pipe(out, *as<ActionNode>(node).pipe);
      out += "}}";
      break;
    case NodeKind::kTemplate: {
      const auto& call = as<TemplateNode>(node);
      out += "{{template " + quote(call.name);
      if (call.pipe) {
        out += ' ';
        append_pipe(out, *call.pipe);
      }
      out += "}}";
      break;
    }
    case NodeKind::kPipe:
      append_pipe(out, as<PipeNode>(node));
      break;
    case NodeKind::kCommand: {
      const auto& args = as<CommandNode>(node).args;
      for (size_t i = 0; i < args.size(); ++i) {
        if (i > 0) out += ' ';
        append_operand(out, *args[i]);
      }
      break;
    }
    case NodeKind::kField:
      append_fields(out, as<FieldNode>(node).names, 0);
      break;
    case NodeKind::kVariable:
      out += as<VariableNode>(node).names[0];
      append_fields(out, as<VariableNode>(node).names, 1);
      break;
    case NodeKind::kChain:
      append_operand(out, *as<ChainNode>(node).base);
      append_fields(out, as<ChainNode>(node).names, 0);
      break;
    case NodeKind::kIdentifier:
      out += as<IdentifierNode>(node).name;
      break;
    case NodeKind::kDot:
      out += '.';
      break;
    case NodeKind::kNil:
      out += "nil";
      break;
    case NodeKind::kBool:
      out += as<BoolNode>(node).value ? "true" : "false";
      break;
    case NodeKind::kNumber:
      out += as<NumberNode>(node).text;
      break;
    case NodeKind::kString:
      out += as<StringNode>(node).quoted;
      break;
    case NodeKind::kText:
      out += as<TextNode>(node).text;
      break;
    case NodeKind::kList:
    case NodeKind::kBranch:
    case NodeKind::kBreak:
    case NodeKind::kContinue:
      break;  // no error points to these
  }
}

}  // namespace

std::string source_of(const Node& node) {
  std::string out;
  append(out, node);
  return out;
}

}  // namespace quipu::gotmpl
