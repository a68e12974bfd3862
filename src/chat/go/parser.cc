#include "chat/go/parser.h"

#include <algorithm>
#include <utility>

#include "chat/go/parse_pipeline.h"
#include "chat/go/parse_state.h"
#include "chat/go/text.h"

namespace quipu::gotmpl {

namespace {

// Nothing but space: such a definition may be given again.
bool is_blank(const ListNode& list) {
  return std::all_of(list.nodes.begin(), list.nodes.end(), [](const NodePtr& node) {
    return node->kind == NodeKind::kText && trim(as<TextNode>(*node).text).empty();
  });
}

class Parser {
 public:
  explicit Parser(std::string_view source) : state_(source) {}

  Definitions parse() {
    auto root = std::make_shared<ListNode>(ListNode{{NodeKind::kList, state_.peek().pos}, {}});
    while (!state_.peek().is(TokenKind::kEnd)) {
      if (state_.peek().is(TokenKind::kLeftDelim) && state_.peek_word(1).is(TokenKind::kDefine)) {
        while (!state_.next().is(TokenKind::kDefine)) {
        }
        definition();
        continue;
      }
      Item item = text_or_action();
      if (!item.node) state_.error("unexpected {}", item.name());
      root->nodes.push_back(std::move(item.node));
    }
    add("", std::move(root));
    return std::move(definitions_);
  }

 private:
  // A node, or the {{end}} or {{else}} that closes a list of them.
  struct Item {
    NodePtr node;
    bool is_else = false;
    const char* name() const { return is_else ? "{{else}}" : "{{end}}"; }
  };
  struct List {
    std::shared_ptr<ListNode> nodes;
    Item closer;
  };

  // --- definitions ---

  void add(const std::string& name, ListPtr root) {
    ListPtr& known = definitions_[name];
    if (!known || is_blank(*known))
      known = std::move(root);
    else if (!is_blank(*root))
      state_.error("template: multiple definition of template {}", quote(name));
  }

  void body(const std::string& name, std::string_view context) {
    List list = item_list();
    if (list.closer.is_else) state_.error("unexpected {} in {}", list.closer.name(), context);
    add(name, std::move(list.nodes));
  }

  // {{define "name"}}: the word is past.
  void definition() {
    constexpr std::string_view kContext = "define clause";
    Scope outer = std::exchange(state_.scope, {});
    const std::string name = state_.value_of(unquote(state_.expect(TokenKind::kString, kContext).text));
    state_.expect(TokenKind::kRightDelim, kContext);
    body(name, kContext);
    state_.scope = std::move(outer);
  }

  std::string template_name(const Token& token, std::string_view context) const {
    if (!token.is(TokenKind::kString)) state_.unexpected(token, context);
    return state_.value_of(unquote(token.text));
  }

  // {{block "name" pipeline}}: a definition, and its call in this place.
  NodePtr block() {
    constexpr std::string_view kContext = "block clause";
    const Token token = state_.next_word();
    std::string name = template_name(token, kContext);
    PipePtr pipe = parse_pipeline(state_, kContext, TokenKind::kRightDelim);
    Scope outer = std::exchange(state_.scope, {});
    body(name, kContext);
    state_.scope = std::move(outer);
    return call(token.pos, std::move(name), std::move(pipe));
  }

  NodePtr template_call() {
    constexpr std::string_view kContext = "template clause";
    const Token token = state_.next_word();
    std::string name = template_name(token, kContext);
    PipePtr pipe;
    if (state_.peek_word().is(TokenKind::kRightDelim))
      state_.next_word();
    else
      pipe = parse_pipeline(state_, kContext, TokenKind::kRightDelim);
    return call(token.pos, std::move(name), std::move(pipe));
  }

  static NodePtr call(uint32_t pos, std::string name, PipePtr pipe) {
    return std::make_shared<TemplateNode>(
        TemplateNode{{NodeKind::kTemplate, pos}, std::move(name), std::move(pipe)});
  }

  // --- text and actions ---

  List item_list() {
    List list{std::make_shared<ListNode>(ListNode{{NodeKind::kList, state_.peek_word().pos}, {}}), {}};
    while (!state_.peek_word().is(TokenKind::kEnd)) {
      Item item = text_or_action();
      if (!item.node) {
        list.closer = std::move(item);
        return list;
      }
      list.nodes->nodes.push_back(std::move(item.node));
    }
    state_.error("unexpected EOF");
  }

  Item text_or_action() {
    state_.check_depth();
    const Token token = state_.next_word();
    if (token.is(TokenKind::kText))
      return {std::make_shared<TextNode>(TextNode{{NodeKind::kText, token.pos}, std::string(token.text)})};
    if (!token.is(TokenKind::kLeftDelim)) state_.unexpected(token, "input");
    state_.scope.action_line = token.line;
    Item item = action();
    state_.scope.action_line = 0;
    return item;
  }

  // {{ is past.
  Item action() {
    const Token token = state_.peek_word();
    switch (token.kind) {
      case TokenKind::kBlock:
      case TokenKind::kBreak:
      case TokenKind::kContinue:
      case TokenKind::kElse:
      case TokenKind::kEndKeyword:
      case TokenKind::kIf:
      case TokenKind::kRange:
      case TokenKind::kTemplate:
      case TokenKind::kWith:
        state_.next_word();
        break;
      default: {
        PipePtr pipe = parse_pipeline(state_, "command", TokenKind::kRightDelim);
        return {std::make_shared<ActionNode>(ActionNode{{NodeKind::kAction, token.pos}, std::move(pipe)})};
      }
    }
    switch (token.kind) {
      case TokenKind::kBlock:
        return {block()};
      case TokenKind::kTemplate:
        return {template_call()};
      case TokenKind::kBreak:
        return {leave_loop(token, NodeKind::kBreak, "{{break}}")};
      case TokenKind::kContinue:
        return {leave_loop(token, NodeKind::kContinue, "{{continue}}")};
      case TokenKind::kElse:
        // The condition of an {{else if}} is left to the branch that this belongs to.
        if (!state_.peek_word().is(TokenKind::kIf) && !state_.peek_word().is(TokenKind::kWith))
          state_.expect(TokenKind::kRightDelim, "else");
        return {nullptr, true};
      case TokenKind::kEndKeyword:
        state_.expect(TokenKind::kRightDelim, "end");
        return {};
      case TokenKind::kIf:
        return {branch(BranchKind::kIf, "if")};
      case TokenKind::kWith:
        return {branch(BranchKind::kWith, "with")};
      default:
        return {branch(BranchKind::kRange, "range")};
    }
  }

  NodePtr leave_loop(const Token& word, NodeKind kind, std::string_view name) {
    if (const Token token = state_.next_word(); !token.is(TokenKind::kRightDelim))
      state_.unexpected(token, name);
    if (state_.scope.loops == 0) state_.error("{} outside {{{{range}}}}", name);
    return std::make_shared<Node>(Node{kind, word.pos});
  }

  NodePtr branch(BranchKind kind, std::string_view word) {
    const size_t n_variables = state_.scope.n_variables();
    const TokenKind again = kind == BranchKind::kIf     ? TokenKind::kIf
                            : kind == BranchKind::kWith ? TokenKind::kWith
                                                        : TokenKind::kError;
    auto node = std::make_shared<BranchNode>(
        BranchNode{{NodeKind::kBranch, state_.peek_word().pos}, kind, {}, nullptr});
    while (true) {
      PipePtr pipe = parse_pipeline(state_, word, TokenKind::kRightDelim);
      state_.scope.loops += kind == BranchKind::kRange;
      List list = item_list();
      state_.scope.loops -= kind == BranchKind::kRange;
      node->arms.push_back({std::move(pipe), std::move(list.nodes)});
      if (!list.closer.is_else) break;
      if (state_.peek_word().is(again)) {
        state_.next_word();
        continue;
      }
      List otherwise = item_list();
      if (otherwise.closer.is_else) state_.error("expected end; found {}", otherwise.closer.name());
      node->otherwise = std::move(otherwise.nodes);
      break;
    }
    state_.scope.keep(n_variables);
    return node;
  }

  ParseState state_;
  Definitions definitions_;
};

}  // namespace

Definitions parse_source(std::string_view source) { return Parser(source).parse(); }

}  // namespace quipu::gotmpl
