#include "chat/go/parse_pipeline.h"

#include <iterator>
#include <utility>

#include "chat/go/functions.h"
#include "chat/go/text.h"

namespace quipu::gotmpl {

namespace {

class PipelineParser {
 public:
  explicit PipelineParser(ParseState& state) : state_(state) {}

  // declarations? command ('|' command)*
  PipePtr pipeline(std::string_view context, TokenKind end) {
    state_.check_depth();
    auto pipe =
        std::make_shared<PipeNode>(PipeNode{{NodeKind::kPipe, state_.peek_word().pos}, false, {}, {}});
    declarations(*pipe, context);
    while (true) {
      const Token token = state_.peek_word();
      if (token.is(end)) break;
      if (!begins_operand(token)) state_.unexpected(state_.next_word(), context);
      pipe->commands.push_back(command());
    }
    state_.next_word();
    if (pipe->commands.empty()) state_.error("missing value for {}", context);
    for (size_t i = 1; i < pipe->commands.size(); ++i) {
      const NodeKind first = pipe->commands[i]->args[0]->kind;
      if (first == NodeKind::kBool || first == NodeKind::kDot || first == NodeKind::kNil ||
          first == NodeKind::kNumber || first == NodeKind::kString)
        state_.error("non executable command in pipeline stage {}", i + 1);
    }
    return pipe;
  }

 private:
  static bool begins_operand(const Token& token) {
    switch (token.kind) {
      case TokenKind::kBool:
      case TokenKind::kCharacter:
      case TokenKind::kComplex:
      case TokenKind::kDot:
      case TokenKind::kField:
      case TokenKind::kIdentifier:
      case TokenKind::kNumber:
      case TokenKind::kNil:
      case TokenKind::kString:
      case TokenKind::kVariable:
      case TokenKind::kLeftParen:
        return true;
      default:
        return false;
    }
  }

  // $x :=   $x =   and in a range $i, $x :=
  void declarations(PipeNode& pipe, std::string_view context) {
    while (state_.peek_word().is(TokenKind::kVariable)) {
      while (state_.peek().is(TokenKind::kSpace)) state_.next();
      const Token after = state_.peek_word(1);
      const bool comma = after.is(TokenKind::kOther) && after.text == ",";
      if (!comma && !after.is(TokenKind::kAssign) && !after.is(TokenKind::kDeclare)) return;
      const std::string name(state_.next().text);
      pipe.variables.push_back(name);
      state_.scope.declare(name);
      state_.next_word();
      if (!comma) {
        pipe.assigns = after.is(TokenKind::kAssign);
        return;
      }
      if (context != "range" || pipe.variables.size() >= 2)
        state_.error("too many declarations in {}", context);
      const TokenKind kind = state_.peek_word().kind;
      if (kind != TokenKind::kVariable && kind != TokenKind::kRightDelim && kind != TokenKind::kRightParen)
        state_.error("range can only initialize variables");
    }
  }

  std::shared_ptr<const CommandNode> command() {
    auto node = std::make_shared<CommandNode>(CommandNode{{NodeKind::kCommand, state_.peek_word().pos}, {}});
    while (true) {
      if (NodePtr argument = operand()) node->args.push_back(std::move(argument));
      const Token& token = state_.peek();
      if (token.is(TokenKind::kSpace)) {
        state_.next();
        continue;
      }
      if (token.is(TokenKind::kRightDelim) || token.is(TokenKind::kRightParen)) break;
      if (!token.is(TokenKind::kPipe)) state_.unexpected(state_.next(), "operand");
      state_.next();
      break;
    }
    if (node->args.empty()) state_.error("empty command");
    return node;
  }

  // A term and the fields behind it; null if no term stands there.
  NodePtr operand() {
    NodePtr node = term();
    if (!node || !state_.peek().is(TokenKind::kField)) return node;
    const uint32_t pos = state_.peek().pos;
    std::vector<std::string> fields;
    while (state_.peek().is(TokenKind::kField)) fields.emplace_back(state_.next().text.substr(1));
    const auto joined = [&](std::vector<std::string> names) {
      names.insert(names.end(), std::make_move_iterator(fields.begin()),
                   std::make_move_iterator(fields.end()));
      return names;
    };
    switch (node->kind) {
      case NodeKind::kField:
        return std::make_shared<FieldNode>(
            FieldNode{{NodeKind::kField, pos}, joined(as<FieldNode>(*node).names)});
      case NodeKind::kVariable:
        return std::make_shared<VariableNode>(
            VariableNode{{NodeKind::kVariable, pos}, joined(as<VariableNode>(*node).names)});
      case NodeKind::kBool:
      case NodeKind::kString:
      case NodeKind::kNumber:
      case NodeKind::kNil:
      case NodeKind::kDot:
        state_.error("unexpected . after term {}", quote(source_of(*node)));
      default:
        return std::make_shared<ChainNode>(
            ChainNode{{NodeKind::kChain, pos}, std::move(node), std::move(fields)});
    }
  }

  NodePtr term() {
    const Token token = state_.peek_word();
    if (!begins_operand(token)) return nullptr;
    state_.next_word();
    const std::string text(token.text);
    switch (token.kind) {
      case TokenKind::kIdentifier:
        if (!is_function(text)) state_.error("function {} not defined", quote(text));
        return std::make_shared<IdentifierNode>(IdentifierNode{{NodeKind::kIdentifier, token.pos}, text});
      case TokenKind::kDot:
        return std::make_shared<Node>(Node{NodeKind::kDot, token.pos});
      case TokenKind::kNil:
        return std::make_shared<Node>(Node{NodeKind::kNil, token.pos});
      case TokenKind::kVariable:
        if (!state_.scope.has(text)) state_.error("undefined variable {}", quote(text));
        return std::make_shared<VariableNode>(VariableNode{{NodeKind::kVariable, token.pos}, {text}});
      case TokenKind::kField:
        return std::make_shared<FieldNode>(FieldNode{{NodeKind::kField, token.pos}, {text.substr(1)}});
      case TokenKind::kBool:
        return std::make_shared<BoolNode>(BoolNode{{NodeKind::kBool, token.pos}, text == "true"});
      case TokenKind::kCharacter:
        return number(token, parse_character(text));
      case TokenKind::kComplex:
        return number(token, parse_complex(text));
      case TokenKind::kNumber:
        return number(token, parse_number(text));
      case TokenKind::kLeftParen:
        return pipeline("parenthesized pipeline", TokenKind::kRightParen);
      default:
        return std::make_shared<StringNode>(
            StringNode{{NodeKind::kString, token.pos}, text, state_.value_of(unquote(text))});
    }
  }

  NodePtr number(const Token& token, Literal<Number> value) const {
    return std::make_shared<NumberNode>(NumberNode{
        {NodeKind::kNumber, token.pos}, state_.value_of(std::move(value)), std::string(token.text)});
  }

  ParseState& state_;
};

}  // namespace

PipePtr parse_pipeline(ParseState& state, std::string_view context, TokenKind end) {
  return PipelineParser(state).pipeline(context, end);
}

}  // namespace quipu::gotmpl
