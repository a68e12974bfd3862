// Templates come from strangers: whatever they do ends, with an error or a result, within the limits.
#include <gtest/gtest.h>
#include <pthread.h>

#include <string>
#include <thread>

#include "chat/jinja.h"

namespace quipu::jinja {
namespace {

using Json = nlohmann::ordered_json;

std::string repeat(const std::string& text, size_t n) {
  std::string out;
  out.reserve(text.size() * n);
  for (size_t i = 0; i < n; ++i) out += text;
  return out;
}

Result<std::string> run(const std::string& source, const Json& context = Json::object(),
                        const Limits& limits = {}) {
  const auto t = Template::parse(source, limits);
  if (!t) return std::unexpected(t.error());
  return t->render(context, 0);
}

// A tenth of what is usual: the same faults, found sooner.
constexpr Limits kTight{.max_steps = 2'000'000, .max_output_bytes = 6 << 20};

// Ends with an error that says which limit it was.
void expect_limit(const std::string& source, const std::string& part, const Json& context = Json::object()) {
  const auto r = run(source, context, kTight);
  const std::string shown = source.substr(0, 120);
  ASSERT_FALSE(r) << shown;
  EXPECT_EQ(r.error().code, Code::kCorrupt) << shown;
  EXPECT_NE(r.error().message.find(part), std::string::npos) << shown << "\n" << r.error().message;
}

constexpr const char* kDeep = "nests too deeply";
constexpr const char* kSteps = "steps";
constexpr const char* kBytes = "bytes";

TEST(JinjaLimits, NestingInTheSource) {
  constexpr size_t n = 100'000;
  for (const char* open :
       {"(", "[", "{'a':", "-", "not ", "x(", "x[", "1 if 1 else ", "x|default(", "'a' ~ (", "f(a="})
    expect_limit("{{ " + repeat(open, n), kDeep);
  expect_limit(repeat("{% if 1 %}", n), kDeep);
  expect_limit(repeat("{% for x in y %}", n), kDeep);
  expect_limit(repeat("{% macro f() %}", n), kDeep);
  expect_limit(repeat("{% set x %}", n), kDeep);
  expect_limit(repeat("{% call f() %}", n), kDeep);
  expect_limit(repeat("{% filter upper %}", n), kDeep);
  expect_limit(repeat("{% with %}", n), kDeep);
  expect_limit(repeat("{% block b %}", n), kDeep);
  expect_limit("{% set " + repeat("(", n), kDeep);
}

TEST(JinjaLimits, ChainsOfPostfixesAndFilters) {
  constexpr size_t n = 100'000;
  expect_limit("{{ x" + repeat(".a", n) + " }}", kDeep);
  expect_limit("{{ x" + repeat("[0]", n) + " }}", kDeep);
  expect_limit("{{ x" + repeat("()", n) + " }}", kDeep);
  expect_limit("{{ x" + repeat("|upper", n) + " }}", kDeep);
  expect_limit("{{ x" + repeat(" is odd", n) + " }}", "");
  expect_limit("{{ 1" + repeat(" if 1", n) + " }}", kDeep);
}

TEST(JinjaLimits, LongChainsOfOperatorsAreFlat) {
  constexpr size_t n = 20'000;
  EXPECT_EQ(run("{{ 0" + repeat(" + 1", n) + " }}").value(), "20000");
  EXPECT_EQ(run("{{ ''" + repeat(" ~ 'a'", n) + " }}").value().size(), n);
  EXPECT_EQ(run("{{ 1" + repeat(" and 1", n) + " }}").value(), "1");
  EXPECT_EQ(run("{{ 1" + repeat(" == 1", n) + " }}").value(), "True");
  EXPECT_EQ(run("{% if 0 %}" + repeat("{% elif 0 %}", n) + "{% else %}x{% endif %}").value(), "x");
  EXPECT_EQ(run(repeat("{% set x = 1 %}", n) + "{{ x }}").value(), "1");
  EXPECT_EQ(run(repeat("{{ 1 }}", n)).value().size(), n);
}

TEST(JinjaLimits, RecursionWhileRendering) {
  expect_limit("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", kDeep);
  expect_limit("{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ f() }}",
               kDeep);
  expect_limit("{% macro f() %}{% call f() %}{% endcall %}{{ caller() }}{% endmacro %}{{ f() }}", kDeep);
  expect_limit(
      "{% macro f() %}{{ caller() }}{% endmacro %}{% macro g() %}{% call f() %}{{ g() }}{% endcall %}{% "
      "endmacro %}{{ g() }}",
      kDeep);
  expect_limit("{% block a %}{{ self.a() }}{% endblock %}", kDeep);
  expect_limit("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", kDeep);
  expect_limit(
      "{% set ns = namespace() %}{% macro f() %}{{ ns.f() }}{% endmacro %}{% set ns.f = f %}{{ f() }}",
      kDeep);
  expect_limit("{% macro f() %}{{ [1] | map('f') | list }}{% endmacro %}{{ f() }}", "No filter named");
  expect_limit("{% macro f(x) %}{% for y in x if f(x) %}{% endfor %}{% endmacro %}{{ f([1]) }}", kDeep);
}

TEST(JinjaLimits, AGeneratorThatConsumesItself) {
  // Each layer asks the one below it.
  expect_limit(
      "{% set ns = namespace(x=[1]) %}{% for i in range(5000) %}{% set ns.x = ns.x | select %}{% endfor %}"
      "{{ ns.x | list }}",
      kDeep);
  EXPECT_TRUE(
      run("{% set ns = namespace(x=[1]) %}{% for i in range(5000) %}{% set ns.x = [ns.x] %}{% endfor %}"));
  expect_limit(
      "{% set ns = namespace(x=[1]) %}{% for i in range(5000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x "
      "}}",
      kDeep);
  expect_limit(
      "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(5000) %}{% set ns.x = [ns.x] %}"
      "{% set ns.y = [ns.y] %}{% endfor %}{{ ns.x == ns.y }}",
      kDeep);
  expect_limit(
      "{% set ns = namespace(x=1) %}{% for i in range(5000) %}{% set ns.x = {'a': ns.x} %}{% endfor %}"
      "{{ ns.x | tojson }}",
      kDeep);
}

TEST(JinjaLimits, LoopsThatNeverEnd) {
  const std::string loop = "{% for x in range(100000) %}", end = "{% endfor %}";
  expect_limit(loop + loop + loop + end + end + end, kSteps);
  expect_limit(loop + "{% set y = x %}" + loop + "{{ x }}" + end + end, kSteps);
  expect_limit("{{ range(100000) | map('string') | list }}" + loop + "{{ range(100000) | sum }}" + end,
               kSteps);
  expect_limit(loop + "{{ range(100000) | list | sort | length }}" + end, kSteps);
  expect_limit(loop + "{{ 99999 in range(100000) | list }}" + end, kSteps);
}

TEST(JinjaLimits, TextThatDoubles) {
  const auto doubling = [](const std::string& value, const std::string& step) {
    return "{% set ns = namespace(x=" + value + ") %}{% for i in range(60) %}{% set ns.x = " + step +
           " %}{% endfor %}{{ ns.x | length }}";
  };
  expect_limit(doubling("'ab'", "ns.x ~ ns.x"), kBytes);
  expect_limit(doubling("'ab'", "ns.x + ns.x"), kBytes);
  expect_limit(doubling("'ab'", "ns.x * 10"), kBytes);
  expect_limit(doubling("[1]", "ns.x + ns.x"), kBytes);
  expect_limit(doubling("(1,)", "ns.x * 10"), kBytes);
  expect_limit(doubling("'ab'", "ns.x | replace('a', 'aab')"), "");
  expect_limit(doubling("'ab'", "ns.x | replace('', 'a')"), "");
  expect_limit(doubling("'a'", "[ns.x, ns.x] | join"), kBytes);
  expect_limit(doubling("'a'", "'{0}{0}'.format(ns.x)"), kBytes);
  expect_limit(doubling("'a'", "'%s%s' % (ns.x, ns.x)"), kBytes);
  expect_limit(doubling("'\"'", "(ns.x ~ '\"') | tojson"), "");
  expect_limit(doubling("'a'", "ns.x.join([ns.x, ns.x, ns.x])"), kBytes);
  expect_limit(
      "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% else %}abcdefgh{% endif %}{% endmacro %}{{ "
      "f(40) }}",
      "");
}

TEST(JinjaLimits, ABillionLaughs) {
  // Small in memory, for each list holds the one before twice; endless when written out.
  const std::string build =
      "{% set ns = namespace(x=['lol']) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}";
  EXPECT_EQ(run(build + "{{ ns.x | length }}").value(), "2");
  for (const char* use :
       {"{{ ns.x }}", "{{ ns.x | tojson }}", "{{ ns.x | string | length }}", "{{ ns.x | pprint }}",
        "{{ '%s' % ns.x }}", "{{ ns.x ~ '' }}", "{{ '{}'.format(ns.x) }}"})
    expect_limit(build + use, "");
  expect_limit(
      build +
          "{% set a = ns.x %}{% set ns.x = ['lol'] %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}"
          "{% endfor %}{{ a == ns.x }}",
      kSteps);
  expect_limit(build + "{% for i in range(60) %}{% set ns.x = ns.x | tojson %}{% endfor %}", "");
}

TEST(JinjaLimits, HugeNumbersAsSizes) {
  const char* const expressions[] = {"'a' * 1000000000000",
                                     "[1] * 1000000000000",
                                     "'a' * 170141183460469231731687303715884105727",
                                     "'a' | center(1000000000000)",
                                     "'a'.ljust(1000000000000)",
                                     "'a'.zfill(1000000000000)",
                                     "'%1000000000d' % 1",
                                     "'%.1000000000f' % 1",
                                     "'%.1000000000d' % 1",
                                     "'%*d' % (1000000000, 1)",
                                     "'{:1000000000}'.format(1)",
                                     "'{:.1000000000f}'.format(1)",
                                     "'{:01000000000,}'.format(1)",
                                     "'a\\nb' | indent(1000000000000)",
                                     "[1] | tojson(indent=1000000000)",
                                     "'\\t'.expandtabs(1000000000)",
                                     "[1] | batch(1000000000000, 0) | list",
                                     "'a' | wordwrap(3, wrapstring='x' * 100000000)"};
  for (const char* e : expressions) expect_limit(std::string("{{ ") + e + " }}", "");
  expect_limit("{{ [1] | slice(1000000000000) | list }}", "");
  expect_limit("{{ 10 ** 1000000000000 }}", "too large");
  expect_limit("{{ range(1000000000000) }}", "Range too big");
  EXPECT_EQ(
      run("{{ 1 | round(1000000000000) }} {{ 1.5 | round(1000000000000) }} {{ 1.5 | round(-1000000000000) }}")
          .value(),
      "1 1.5 0.0");
  EXPECT_EQ(run("{{ 'abc'[:170141183460469231731687303715884105727] }}{{ "
                "'abc'[::-170141183460469231731687303715884105727] }}")
                .value(),
            "abcc");
}

TEST(JinjaLimits, SearchesStayLinear) {
  // Patterns that a naive search would compare almost in full at every place.
  Json context;
  context["text"] = std::string(2'000'000, 'a');
  context["part"] = std::string(1'000'000, 'a') + "b";
  for (const char* e : {"text.find(part)", "text.count(part)", "part in text", "text.split(part) | length",
                        "text | replace(part, '') | length"})
    EXPECT_TRUE(run(std::string("{{ ") + e + " }}", context)) << e;
  context["part"] = "b" + std::string(1'000'000, 'a');
  for (const char* e : {"text.rfind(part)", "text.rsplit(part) | length", "text.rpartition(part) | length"})
    EXPECT_TRUE(run(std::string("{{ ") + e + " }}", context)) << e;
  // Here every place is a hit.
  context["part"] = std::string(999'999, 'a');
  EXPECT_EQ(run("{{ text.rfind(part) }} {{ text.find(part) }}", context).value(), "1000001 0");
  EXPECT_EQ(run("{{ text.rsplit(part) }} {{ text.split(part, 1) | length }}", context).value(),
            "['aa', '', ''] 2");
  context["sigma"] = repeat("\xce\xa3'", 200'000);
  EXPECT_TRUE(run("{{ sigma.lower() | length }}", context));
  context["dashes"] = repeat("-", 200'000);
  EXPECT_TRUE(run("{{ dashes | wordwrap(10) | length }}", context));
  context["tags"] = repeat("<!--", 200'000);
  EXPECT_TRUE(run("{{ tags | striptags | length }}{{ tags | urlize | length }}", context));
}

TEST(JinjaLimits, LexerAndParserStayLinear) {
  EXPECT_FALSE(run(repeat("{% raw %}", 100'000)));
  EXPECT_FALSE(run("{% raw %}" + repeat("{% endraw ", 100'000)));
  EXPECT_FALSE(run("{#" + repeat("{#", 500'000)));
  EXPECT_FALSE(run("{{ '" + repeat("\\'", 500'000)));
  EXPECT_TRUE(run(repeat("{ % # ", 500'000)));
  EXPECT_TRUE(run(repeat(" ", 2'000'000) + "{%- if 1 -%}" + repeat("\n", 1'000'000) + "{% endif %}"));
  std::string names = "{{ f(";
  for (int i = 0; i < 20'000; ++i) names += fmt::format("a{}=1,", i);
  EXPECT_FALSE(run(names + ") }}"));
  std::string scopes;
  for (int i = 0; i < 3'000; ++i)
    scopes += fmt::format("{{% set a{} = 1 %}}{{% for x in [] %}}{{% set b{} = 1 %}}{{% endfor %}}", i, i);
  EXPECT_TRUE(run(scopes));
}

TEST(JinjaLimits, CollidingKeysAndWideDicts) {
  std::string dict = "{% set d = {";
  for (int i = 0; i < 50'000; ++i) dict += fmt::format("'k{}': {},", i, i);
  EXPECT_EQ(run(dict + "} %}{{ d.k49999 }} {{ d | length }} {{ d | dictsort | length }}").value(),
            "49999 50000 50000");
}

TEST(JinjaLimits, TooLargeATemplate) {
  const auto r = Template::parse(std::string((4 << 20) + 1, 'a'));
  ASSERT_FALSE(r);
  EXPECT_NE(r.error().message.find("bytes"), std::string::npos);
  EXPECT_EQ(run(std::string(4 << 20, 'a')).value().size(), 4u << 20);
}

TEST(JinjaLimits, OutputAndContextAreBounded) {
  Limits small;
  small.max_output_bytes = 10'000;
  small.max_steps = 100'000;
  EXPECT_FALSE(run("{% for x in range(3000) %}abcdef{% endfor %}", {}, small));
  EXPECT_TRUE(run("{% for x in range(1000) %}abcdef{% endfor %}", {}, small));
  EXPECT_FALSE(run("{{ x }}", Json{{"x", std::string(20'000, 'a')}}, small));
  expect_limit("x", kDeep, Json::parse("{\"x\": " + repeat("[", 10'000) + repeat("]", 10'000) + "}"));
}

// The depth that is allowed fits a thread with little stack.
TEST(JinjaLimits, ASmallStackIsEnough) {
  pthread_attr_t attributes;
  ASSERT_EQ(pthread_attr_init(&attributes), 0);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr size_t kStack = 4 << 20;
#elif defined(__has_feature)
  constexpr size_t kStack =
      __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ? 4 << 20 : 512 << 10;
#else
  constexpr size_t kStack = 512 << 10;
#endif
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, kStack), 0);
  pthread_t thread{};
  const auto work = [](void*) -> void* {
    const std::string sources[] = {
        "{{ " + repeat("(", 10'000),
        repeat("{% if 1 %}", 10'000),
        "{% macro f(x) %}{% for y in [1] %}{{ (f(x)) | upper ~ '' }}{% endfor %}{% endmacro %}{{ f(1) }}",
        "{% for x in [1] recursive %}{{ [loop([1])] }}{% endfor %}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(5000) %}{% set ns.x = ns.x | map('string') %}{% "
        "endfor %}{{ ns.x | list }}",
        "{{ x" + repeat(".a", 150) + " }}"};
    for (const std::string& s : sources) EXPECT_FALSE(run(s)) << s.substr(0, 80);
    return nullptr;
  };
  ASSERT_EQ(pthread_create(&thread, &attributes, work, nullptr), 0);
  EXPECT_EQ(pthread_join(thread, nullptr), 0);
  pthread_attr_destroy(&attributes);
}

TEST(JinjaLimits, CyclesAreFreed) {
  EXPECT_TRUE(
      run("{% set ns = namespace() %}{% set ns.self = ns %}{% macro f() %}{{ ns }}{% endmacro %}{% set ns.f "
          "= f %}"
          "{{ ns.self.self.f is callable }}"));
}

TEST(JinjaLimits, ManyThreadsRenderOneTemplate) {
  const auto t = Template::parse("{% for x in xs %}{{ loop.index }}{{ x ~ 'é' }}{% endfor %}");
  ASSERT_TRUE(t);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&t] {
      for (int n = 0; n < 50; ++n) EXPECT_EQ(t->render(Json{{"xs", {1, 2}}}, 0).value(), "11é22é");
    });
  for (std::thread& thread : threads) thread.join();
}

// What still refers to itself when a render ends early is taken apart in any order: nothing may be touched
// twice.
TEST(JinjaLimits, AnEarlyEndLeavesNothingHalfAlive) {
  for (const char* filter :
       {"selectattr('a', 'eq', 1)", "select('eq', 1)", "map('upper')", "map(attribute='a', default='d')",
        "unique(attribute='a')", "batch(2, 'x')", "slice(2, 'x')", "reject('none')"})
    for (const char* end : {"{{ 1 // 0 }}", "{{ missing.x }}", "{{ loop.length }}{{ 1 // 0 }}"}) {
      const auto t = Template::parse(
          fmt::format("{{% for x in rows | {} %}}{{{{ loop.index }}}}{}{{% endfor %}}", filter, end));
      ASSERT_TRUE(t) << t.error().message;
      (void)t->render(nlohmann::ordered_json::parse(R"({"rows":[{"a":1,"b":[1]},{"a":1},{"a":2}]})"), 0);
    }
}

}  // namespace
}  // namespace quipu::jinja
