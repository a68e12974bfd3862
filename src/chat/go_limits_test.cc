// Templates come from strangers: whatever they do ends, with an error or a result, within the limits.
#include <gtest/gtest.h>
#include <pthread.h>

#include <string>
#include <thread>

#include "chat/go/program.h"
#include "chat/go_chat.h"
#include "chat/json_depth.h"
#include "chat/native_stack.h"

namespace quipu::gotmpl {
namespace {

std::string repeat(const std::string& text, size_t n) {
  std::string out;
  out.reserve(text.size() * n);
  for (size_t i = 0; i < n; ++i) out += text;
  return out;
}

constexpr Limits kTight{.max_steps = 2'000'000, .max_output_bytes = 6 << 20};

Result<std::string> run(const std::string& source, const Limits& limits = kTight) {
  const auto program = Program::parse(source, limits);
  if (!program) return std::unexpected(program.error());
  std::string out;
  const Value data = Value::of_json(
      nlohmann::ordered_json::parse(R"({"S": "some text, longer than nothing", "L": [1, 2, 3]})"), true);
  if (auto r = program->execute(data, 0, out); !r) return std::unexpected(r.error());
  EXPECT_LE(out.size(), limits.max_output_bytes);
  return out;
}

void expect_limit(const std::string& source, const std::string& part) {
  const auto r = run(source);
  const std::string shown = source.substr(0, 120);
  ASSERT_FALSE(r) << shown;
  EXPECT_EQ(r.error().code, Code::kCorrupt) << shown;
  EXPECT_NE(r.error().message.find(part), std::string::npos) << shown << "\n"
                                                             << r.error().message.substr(0, 200);
}

TEST(GoLimits, NestingInTheSource) {
  constexpr size_t n = 100'000;
  const char* const deep = "max expression depth exceeded";
  expect_limit("{{ " + repeat("(", n), deep);
  expect_limit("{{ " + repeat("len (", n), deep);
  expect_limit(repeat("{{ if 1 }}", n), deep);
  expect_limit(repeat("{{ range 1 }}", n), deep);
  expect_limit(repeat("{{ with 1 }}", n), deep);
  expect_limit(repeat("{{ if 1 }}{{ else }}", n), deep);
  expect_limit(repeat("{{ block \"a\" . }}", n), deep);
}

TEST(GoLimits, SomeNestingIsFine) {
  constexpr size_t n = 100;
  EXPECT_EQ(run("{{ " + repeat("(", n) + "1" + repeat(")", n) + " }}").value(), "1");
  EXPECT_EQ(run(repeat("{{ if 1 }}", n) + "x" + repeat("{{ end }}", n)).value(), "x");
}

TEST(GoLimits, LongChainsAreFlat) {
  constexpr size_t n = 20'000;
  EXPECT_EQ(run("{{ if 0 }}" + repeat("{{ else if 0 }}", n) + "{{ else }}x{{ end }}").value(), "x");
  EXPECT_EQ(run("{{ with 0 }}" + repeat("{{ else with 0 }}", n) + "{{ else }}x{{ end }}").value(), "x");
  EXPECT_EQ(run("{{ 1" + repeat(" | print", n) + " }}").value(), "1");
  EXPECT_EQ(run(repeat("{{ 1 }}", n)).value().size(), n);
  EXPECT_EQ(run(repeat("{{ $x := 1 }}", n) + "{{ $x }}").value(), "1");
  EXPECT_EQ(run("{{ print" + repeat(" 1", n) + " }}").value().size(), 2 * n - 1);
  const auto fields = run("{{ .X" + repeat(".y", n) + " }}");
  ASSERT_FALSE(fields);
  EXPECT_NE(fields.error().message.find("nil pointer evaluating"), std::string::npos);
}

TEST(GoLimits, EndlessWork) {
  expect_limit("{{ range 1000000000000 }}{{ end }}", "steps");
  expect_limit("{{ range 100000 }}{{ range 100000 }}{{ range 100000 }}{{ end }}{{ end }}{{ end }}", "steps");
  expect_limit("{{ range 1000000 }}{{ range 1000000 }}{{ end }}{{ continue }}{{ end }}", "steps");
  expect_limit(
      "{{ define \"a\" }}{{ template \"b\" . }}{{ template \"b\" . }}{{ end }}"
      "{{ define \"b\" }}{{ range 100 }}{{ range 100000 }}{{ end }}{{ end }}{{ end }}{{ template \"a\" }}",
      "steps");
  expect_limit("{{ range 1000000 }}{{ $x := print . . . . }}{{ $x }}{{ end }}", "");
}

TEST(GoLimits, EndlessRecursion) {
  const char* const deep = "nests too deeply";
  expect_limit("{{ define \"a\" }}{{ template \"a\" . }}{{ end }}{{ template \"a\" . }}", deep);
  expect_limit(
      "{{ define \"a\" }}{{ template \"b\" }}{{ end }}{{ define \"b\" }}x{{ template \"a\" }}{{ end }}"
      "{{ template \"a\" }}",
      deep);
  expect_limit("{{ block \"a\" . }}{{ range . }}{{ end }}{{ with 1 }}{{ template \"a\" }}{{ end }}{{ end }}",
               deep);
  expect_limit("x{{ template \"\" . }}", deep);
}

TEST(GoLimits, HugeTexts) {
  expect_limit("{{ printf \"%10000000d\" 1 }}", "bytes");
  expect_limit("{{ printf \"%.9000000f\" 1.5 }}", "bytes");
  expect_limit("{{ printf \"%.9000000e\" 1.5 }}", "bytes");
  expect_limit("{{ printf \"%.9000000x\" 1.5 }}", "bytes");
  expect_limit("{{ printf \"%#.9000000g\" 1.5 }}", "bytes");
  expect_limit("{{ printf \"%.9000000d\" 1 }}", "bytes");
  expect_limit("{{ printf \"%.9000000U\" 1 }}", "bytes");
  expect_limit("{{ printf \"%9000000s\" \"a\" }}", "bytes");
  expect_limit("{{ printf \"%09000000x\" \"a\" }}", "bytes");
  expect_limit("{{ range 100 }}{{ printf \"%1000000d\" 1 }}{{ end }}", "bytes");
  expect_limit("{{ $x := \"ab\" }}{{ range 60 }}{{ $x = print $x $x }}{{ end }}", "bytes");
  expect_limit("{{ $x := printf \"%1000000s\" \"<\" }}{{ $y := html $x $x $x $x $x $x }}", "bytes");
  expect_limit("{{ $x := printf \"%1000000d\" 1 }}{{ range 100000 }}{{ $y := js $x }}{{ end }}", "steps");
  expect_limit(repeat("{{ $x := printf \"%1000000d\" 1 }}", 100), "keeps more than");
  EXPECT_EQ(run("{{ len (printf `" + repeat("%[", 1'000'000) + "`) }}").value(), "1000000");
  // A width that is no width.
  EXPECT_EQ(run("{{ printf \"%99999999999999d\" 1 }}").value(), "%!(NOVERB)%!(EXTRA int=1)");
  EXPECT_EQ(run("{{ printf \"%*d\" 10000000 1 }}").value(), "%!(BADWIDTH)1");
  EXPECT_EQ(run("{{ printf \"%1000000d\" 1 }}").value().size(), 1'000'000u);
}

// All turns of a conversation together may take what one run may.
TEST(GoLimits, OneBudgetForAllTurns) {
  const auto t = GoTemplate::parse("{{ range 100000 }}{{ end }}{{ .Prompt }}{{ .Response }}", kTight);
  ASSERT_TRUE(t);
  std::vector<Message> messages = {{"user", "a"}, {"assistant", "b"}};
  EXPECT_EQ(render_go_chat(*t, {.messages = messages}).value(), "ab");
  for (int i = 0; i < 100; ++i) messages.insert(messages.end(), {{"user", "a"}, {"assistant", "b"}});
  const auto r = render_go_chat(*t, {.messages = messages});
  ASSERT_FALSE(r);
  EXPECT_NE(r.error().message.find("steps"), std::string::npos);
}

TEST(GoLimits, TemplatesThatAreTooLarge) {
  const std::string large(2000, 'x');
  EXPECT_FALSE(Program::parse(large, {.max_template_bytes = 1999}));
  EXPECT_TRUE(Program::parse(large, {.max_template_bytes = 2000}));
}

TEST(GoLimits, OddBytes) {
  EXPECT_EQ(run("\xff\xfe").value(), "\xff\xfe");
  EXPECT_EQ(run(std::string("a\0b", 3)).value(), std::string("a\0b", 3));
  EXPECT_EQ(run("{{ \"\xff\" }}{{ `\xff` }}").value(), "\xef\xbf\xbd\xff");
  EXPECT_FALSE(run("{{ \xff }}"));
  EXPECT_FALSE(run(std::string("{{ \0 }}", 7)));
  EXPECT_FALSE(run("{{ .\xff }}"));
  EXPECT_EQ(run("{{ .\xff }}").error().message, "template: :1: bad character U+FFFD '\xef\xbf\xbd'");
  EXPECT_FALSE(run("{{ template `\xff` }}"));
}

// Threads have as little as twice of what an interpreter may use.
TEST(GoLimits, FitsAThreadsStack) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  constexpr size_t kStack = 2 * NativeStack::kBytes;
  pthread_attr_setstacksize(&attributes, kStack);
  pthread_t thread;
  const auto body = [](void*) -> void* {
    expect_limit(
        "{{ define \"a\" }}{{ if 1 }}{{ template \"a\" (print (print 1)) }}{{ end }}{{ end }}{{ template "
        "\"a\" }}",
        "nests too deeply");
    expect_limit("{{ " + repeat("(", 100'000), "max expression depth exceeded");
    // What requests bring along, as deep as it may be.
    auto nested = [](int depth) {
      return nlohmann::ordered_json::parse(repeat("[", static_cast<size_t>(depth)) +
                                           repeat("]", static_cast<size_t>(depth)));
    };
    nlohmann::ordered_json tools = nlohmann::ordered_json::parse(R"([{"items": 0}])");
    const auto t = GoTemplate::parse(
        "{{ .Tools }}{{ json .Tools }}{{ printf \"%v\" (index .Tools 0).Items }}{{ .Messages }}");
    tools[0]["items"] = nested(kMaxJsonDepth);
    const auto deep = render_go_chat(*t, {.tools = &tools});
    EXPECT_TRUE(deep) << deep.error().message;
    tools[0]["items"] = nested(10 * kMaxJsonDepth);
    EXPECT_FALSE(render_go_chat(*t, {.tools = &tools}));
    std::string properties;
    for (int i = 0; i < 5000; ++i) properties += R"({"properties": {"p": )";
    tools = nlohmann::ordered_json::parse(R"([{"function": {"parameters": )" + properties + "{}" +
                                          repeat("}}", 5000) + "}}]");
    EXPECT_FALSE(render_go_chat(*t, {.tools = &tools}));
    return nullptr;
  };
  ASSERT_EQ(pthread_create(&thread, &attributes, body, nullptr), 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

TEST(GoLimits, OneProgramServesManyThreads) {
  const auto program = Program::parse("{{ range 1000 }}{{ . }}{{ end }}{{ define \"a\" }}{{ end }}");
  ASSERT_TRUE(program);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int k = 0; k < 20; ++k) {
        std::string out;
        EXPECT_TRUE(program->execute({}, 0, out));
        EXPECT_EQ(out.size(), 2890u);
      }
    });
  for (std::thread& t : threads) t.join();
}

}  // namespace
}  // namespace quipu::gotmpl
