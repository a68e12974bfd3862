// What an error says: where, what, and whose words they are.
#include <gtest/gtest.h>

#include <string>

#include "chat/jinja.h"

namespace quipu::jinja {
namespace {

using Json = nlohmann::ordered_json;

Error error_of(const std::string& source, const Json& context = Json::object()) {
  const auto t = Template::parse(source);
  if (!t) return t.error();
  const auto r = t->render(context, 0);
  EXPECT_FALSE(r) << source << " gives " << *r;
  return r ? Error{} : r.error();
}

void expect_error(const std::string& source, int line, const std::string& message) {
  const Error e = error_of(source);
  EXPECT_EQ(e.code, Code::kCorrupt) << source;
  EXPECT_EQ(e.message, fmt::format("the chat template fails in line {}: {}", line, message)) << source;
}

TEST(JinjaErrors, SyntaxHasTheLineOfTheMistake) {
  expect_error("a\nb\n{{ 1 + }}", 3, "unexpected 'end of print statement'");
  expect_error("{% if x %}\n\n{% endfor %}", 3,
               "Encountered unknown tag 'endfor'. Jinja was looking for the following tags: 'elif' or 'else' "
               "or 'endif'. "
               "The innermost block that needs to be closed is 'if'.");
  expect_error("\r\n\r\n{{ $ }}", 3, "unexpected char '$' at 5");
  expect_error("{#\n\n#}{{ 'a' | nosuch }}", 3, "No filter named 'nosuch'.");
  expect_error("{% for x in y %}\n{% endfor %}\n{% break %}", 3, "'break' outside loop");
  expect_error("{{ '\n\n' }}{{ ) }}", 3, "unexpected ')'");
}

TEST(JinjaErrors, RenderingHasTheLineOfTheStatement) {
  expect_error("\n{{ missing.x }}", 2, "'missing' is undefined");
  expect_error("{% macro f(x) %}\n\n{{ x.y.z }}{% endmacro %}\n{{ f({}) }}", 3,
               "'dict object' has no attribute 'y'");
  expect_error("{% macro f() %}\n{% endmacro %}\n{{ f() }}{{ 1 // 0 }}", 3,
               "integer division or modulo by zero");
  expect_error("{% if false %}\n{% elif 1 + 'a' %}\n{% endif %}", 2,
               "unsupported operand type(s) for +: 'int' and 'str'");
  expect_error("{% set x = 1 %}\n{% for y in x %}\n{% endfor %}", 2, "'int' object is not iterable");
  expect_error("{{ [1]\n| map('nosuch')\n| list }}", 3, "No filter named 'nosuch'.");
}

TEST(JinjaErrors, WhatTheTemplateRaisesIsUnchanged) {
  for (const char* message : {"System role not supported", "", "two\\nlines", "{braces} 50% é"}) {
    const Error e = error_of(fmt::format("\n\n{{{{ raise_exception('{}') }}}}", message));
    EXPECT_EQ(e.code, Code::kInvalidArgument);
    std::string expected = message;
    if (const size_t at = expected.find("\\n"); at != std::string::npos) expected.replace(at, 2, "\n");
    EXPECT_EQ(e.message, expected);
  }
  EXPECT_EQ(error_of("{{ raise_exception(none) }}").message, "None");
  EXPECT_EQ(error_of("{% macro f() %}{{ raise_exception('deep') }}{% endmacro %}{{ [f()] | join }}").message,
            "deep");
}

TEST(JinjaErrors, TheSandboxNamesWhatItRefuses) {
  expect_error("{% set x = [] %}{{ x.append(1) }}", 1,
               "access to attribute 'append' of 'list' object is unsafe.");
  expect_error("{{ {}.update({}) }}", 1, "access to attribute 'update' of 'dict' object is unsafe.");
  expect_error("{{ ''.__class__.__mro__ }}", 1, "access to attribute '__class__' of 'str' object is unsafe.");
  expect_error("{{ '{0.__class__.x}'.format(1) }}", 1,
               "access to attribute '__class__' of 'int' object is unsafe.");
  expect_error("{{ (1 | attr('__class__'))() }}", 1,
               "access to attribute '__class__' of 'int' object is unsafe.");
}

// A message goes into JSON: half a character in it would be a second error.
TEST(JinjaErrors, MessagesAreValidUtf8) {
  for (const char* source :
       {"{{ '%é' % 1 }}", "{{ '%5é' % 1 }}", "{{ '{!é}'.format(1) }}", "{{ '{:é}'.format(1) }}", "{{ é.x }}",
        "{{ {}.é.x }}", "{{ '\xff' | nosuch }}", "{{ \xff }}", "{{ 'é'.nosuch() }}", "{% é %}", "{{ 1 | é }}",
        "{{ {'é': 1}['日'].x }}", "{{ range(é=1) }}", "{{ [] is é }}"}) {
    const Error e = error_of(source);
    EXPECT_FALSE(e.message.empty()) << source;
    EXPECT_NO_THROW((void)Json(e.message).dump()) << source << ": " << e.message;
  }
}

TEST(JinjaErrors, AContextThatIsNoObjectHasNoNames) {
  for (const Json& context : {Json(), Json(5), Json::array({1}), Json("x")}) {
    const auto r = Template::parse("{{ x }}{{ range(2) | list }}")->render(context, 0);
    ASSERT_TRUE(r);
    EXPECT_EQ(*r, "[0, 1]");
  }
}

}  // namespace
}  // namespace quipu::jinja
