// What a server needs beside plain text: logprobs, contexts, embeddings, types of cache for each request; and
// that clients who ask for too much or go away disturb nobody.
#include <poll.h>
#include <sys/socket.h>

#include <cmath>
#include <random>

#include "runner/service_fixture.h"

namespace quipu::runner::test {
namespace {

class NativeTest : public ServiceTest {
 protected:
  static Json sampled(int seed, int n) {
    return {{"prompt", "abc"}, {"options", {{"temperature", 0.9}, {"seed", seed}, {"num_predict", n}}}};
  }

  static std::string text_of_post(const std::string& target, const Json& body) {
    const std::string text = body.dump();
    return fmt::format("POST {} HTTP/1.1\r\nHost: r\r\nContent-Length: {}\r\n\r\n{}", target, text.size(),
                       text);
  }

  // A connection with a request that nobody has read the answer of yet.
  static http::Fd send_only(const std::string& target, const Json& body) {
    auto fd = http::connect_to(socket(), kPatience, -1);
    EXPECT_TRUE(fd);
    const std::string request = text_of_post(target, body);
    for (size_t sent = 0; sent < request.size();) {
      const ssize_t n = send(fd->get(), request.data() + sent, request.size() - sent, MSG_NOSIGNAL);
      if (n > 0)
        sent += static_cast<size_t>(n);
      else if (http::wait_ready(fd->get(), POLLOUT, kPatience, -1) != http::Ready::kReady)
        break;
    }
    return std::move(*fd);
  }

  // Takes as many steps as a template may, without writing anything.
  static Json hostile() {
    return {{"prompt", "x"},
            {"template",
             "{% for a in range(100000) %}{% for b in range(100000) %}{% set c = a + b %}{% endfor %}{% "
             "endfor %}"},
            {"options", {{"num_predict", 1}}}};
  }
};

TEST_F(NativeTest, LogprobsComeWithTheirText) {
  Json request = sampled(3, 30);
  request["logprobs"] = true;
  request["top_logprobs"] = 2;
  const Answer a = generate(request);
  EXPECT_EQ(a.text, generate(sampled(3, 30)).text) << "and change nothing";
  size_t n = 0;
  for (const Json& line : a.logprobs)
    for (const Json& entry : line) {
      ++n;
      EXPECT_TRUE(entry["token"].is_string());
      EXPECT_LE(entry["logprob"].get<double>(), 0);
      EXPECT_FALSE(entry["bytes"].empty());
      ASSERT_EQ(entry["top_logprobs"].size(), 2u);
      EXPECT_GE(entry["top_logprobs"][0]["logprob"], entry["top_logprobs"][1]["logprob"]);
      EXPECT_FALSE(entry["top_logprobs"][0].contains("top_logprobs"));
    }
  EXPECT_EQ(n, a.done["generated_tokens"].get<size_t>() - (a.done["stop"] == "eos" ? 1 : 0));
  request["top_logprobs"] = 0;
  const Answer b = generate(request);
  ASSERT_FALSE(b.logprobs.empty());
  EXPECT_FALSE(b.logprobs[0][0].contains("top_logprobs"));
  request["logprobs"] = false;
  EXPECT_TRUE(generate(request).logprobs.empty());
}

TEST_F(NativeTest, RendersOnly) {
  Json request = sampled(3, 30);
  request["render_only"] = true;
  const Json rendered = post("/generate", request);
  EXPECT_EQ(
      rendered["prompt"],
      "<|start_of_role|>user<|end_of_role|>abc<|end_of_text|>\n<|start_of_role|>assistant<|end_of_role|>");
  EXPECT_EQ(rendered["prompt_tokens"], 5 + 4 + 3 + 1 + 9);
  EXPECT_EQ(rendered["dropped_messages"], 0);
  EXPECT_EQ(model().engine().kv_use().committed, 0u) << "nothing is computed";
}

TEST_F(NativeTest, TellsThinkingFromText) {
  // The prompt ends with the opening tag, so that everything up to a closing one is thinking.
  constexpr const char* kThinks =
      "{{ range .Messages }}{{ if .Thinking }}<a>{{ .Thinking }}</a>{{ end }}{{ .Content }}{{ end }}<a>";
  Json request = sampled(3, 30);
  request["template"] = {{"kind", "go"}, {"text", kThinks}};
  const Answer plain = generate(request);
  EXPECT_TRUE(plain.thinking.empty());
  request["think"] = true;
  request["logprobs"] = true;
  request["return_context"] = true;
  const Answer thinks = generate(request);
  EXPECT_TRUE(plain.text.ends_with(thinks.thinking));
  EXPECT_FALSE(thinks.thinking.empty());
  EXPECT_EQ(thinks.text, "") << "at most lines that only bring logprobs";
  size_t n = 0;
  for (const Json& line : thinks.logprobs) n += line.size();
  EXPECT_EQ(n, thinks.done["generated_tokens"].get<size_t>() - (thinks.done["stop"] == "eos" ? 1 : 0));
  EXPECT_EQ(thinks.done["context"],
            post("/tokenize", {{"text", "abc<a>" + plain.text}, {"add_special", false}})["tokens"]);
}

TEST_F(NativeTest, ReturnsTheContextAndTakesIt) {
  Json request = sampled(3, 20);
  request["return_context"] = true;
  const Answer a = generate(request);
  request["render_only"] = true;
  const std::string prompt = post("/generate", request)["prompt"];
  EXPECT_EQ(a.done["context"],
            post("/tokenize", {{"text", prompt + a.text}, {"add_special", false}})["tokens"]);
  const Json again =
      post("/generate", {{"prompt", "d"}, {"context", a.done["context"]}, {"render_only", true}});
  EXPECT_TRUE(again["prompt"].get<std::string>().starts_with(prompt + a.text + "<|start_of_role|>user"));
  EXPECT_FALSE(generate(sampled(3, 1)).done.contains("context"));
}

TEST_F(NativeTest, EveryRequestMayHaveItsTypeOfCache) {
  const auto with = [](int seed, const char* type) {
    Json request = sampled(seed, 40);
    request["options"]["kv_cache_type"] = type;
    return request;
  };
  const std::vector<const char*> types = {"f16", "f32", "f16:f32", "f32:f16"};
  std::vector<std::string> alone;
  for (const char* type : types) alone.push_back(generate(with(1, type)).text);
  // Each type has its own.
  EXPECT_EQ(generate(with(1, "f32")).done["cached_tokens"], 5 + 4 + 3 + 1 + 9 - 1);
  EXPECT_EQ(generate(with(1, "bf16")).done["cached_tokens"], 0);
  std::vector<std::future<Answer>> answers;
  for (int i = 0; i < 12; ++i)
    answers.push_back(std::async(std::launch::async, [&, i] { return generate(with(1, types[i % 4])); }));
  for (size_t i = 0; i < answers.size(); ++i) EXPECT_EQ(answers[i].get().text, alone[i % 4]);
  EXPECT_TRUE(eventually(idle));
  EXPECT_EQ(get("/info")["kv_cache_type"], "f16:f16") << "the model's own";
}

TEST_F(NativeTest, Embeds) {
  const Json both = post("/embed", {{"input", {"abc", "Grüße"}}});
  ASSERT_EQ(both["embeddings"].size(), 2u);
  EXPECT_EQ(both["prompt_tokens"], 3 + 7);
  for (const Json& v : both["embeddings"]) {
    ASSERT_EQ(v.size(), 64u);
    double sum = 0;
    for (const Json& x : v) sum += x.get<double>() * x.get<double>();
    EXPECT_NEAR(sum, 1, 1e-5);
  }
  EXPECT_EQ(post("/embed", {{"input", "Grüße"}})["embeddings"][0], both["embeddings"][1]);
  EXPECT_EQ(post("/embed", {{"input", {"abc"}}, {"dimensions", 10}})["embeddings"][0].size(), 10u);
  const Json raw = post("/embed", {{"input", {"abc"}}, {"normalise", false}})["embeddings"][0];
  EXPECT_NEAR(raw[0].get<double>() * both["embeddings"][0][1].get<double>(),
              raw[1].get<double>() * both["embeddings"][0][0].get<double>(), 1e-5)
      << "the same direction";
  EXPECT_EQ(post("/embed", Json::object()), Json({{"embeddings", Json::array()}, {"prompt_tokens", 0}}));
  const std::string text(300, 'x');
  EXPECT_EQ(post("/embed", {{"input", text}})["prompt_tokens"], 256);
  EXPECT_EQ(post("/embed", {{"input", text}, {"num_ctx", 300}})["prompt_tokens"], 300);
  EXPECT_EQ(refusal("/embed", Json({{"input", text}, {"truncate", false}}).dump()), "400 invalid_argument");
  EXPECT_EQ(refusal("/embed", R"({"input":7})"), "400 invalid_argument");
  EXPECT_EQ(post("/embed", {{"input", {"abc", "Grüße"}}, {"max_seconds", 600}})["embeddings"],
            both["embeddings"]);
  EXPECT_EQ(refusal("/embed", R"({"input":"abc","max_seconds":1e-9})"), "503 unavailable");
  for (const char* wrong : {"-1", "\"1\"", "[]"})
    EXPECT_EQ(refusal("/embed", std::string(R"({"input":"abc","max_seconds":)") + wrong + "}"),
              "400 invalid_argument");
  EXPECT_EQ(model().engine().kv_use().in_use + model().engine().kv_use().cached, 0u);
}

TEST_F(NativeTest, EmbedsManyBesideAnswers) {
  Json input = Json::array();
  for (int i = 0; i < 60; ++i)
    input.push_back("text " + std::to_string(i) + std::string(static_cast<size_t>(i) * 4, 'x'));
  const Json want = post("/embed", {{"input", input}})["embeddings"];
  const std::string answer = generate(sampled(3, 60)).text;
  auto embedding = std::async(std::launch::async, [&] { return post("/embed", {{"input", input}}); });
  std::vector<std::future<Answer>> answers;
  for (int i = 0; i < 4; ++i)
    answers.push_back(std::async(std::launch::async, [&] { return generate(sampled(3, 60)); }));
  for (auto& a : answers) EXPECT_EQ(a.get().text, answer);
  EXPECT_EQ(embedding.get()["embeddings"], want);
  EXPECT_TRUE(eventually(idle));
}

TEST_F(NativeTest, HangingUpEndsAnEmbedding) {
  Json input = Json::array();
  for (int i = 0; i < 300; ++i) input.push_back(std::string(8000, 'x'));
  {
    const http::Fd fd = send_only("/embed", {{"input", input}, {"num_ctx", 8192}});
    ASSERT_TRUE(eventually([] { return !idle(); }));
  }
  EXPECT_TRUE(eventually(idle));
  EXPECT_EQ(post("/embed", {{"input", "abc"}})["prompt_tokens"], 3);
}

// More of them than there are places in the queue, and an answer comes before any of theirs.
TEST_F(NativeTest, HostileTemplatesHoldUpNobody) {
  std::vector<http::Fd> slow;
  for (size_t i = 0; i < WorkQueue::kPlaces + 1; ++i) slow.push_back(send_only("/generate", hostile()));
  EXPECT_EQ(generate(sampled(1, 1)).done["done"], true);
  EXPECT_EQ(get("/info")["architecture"], "llama");
  for (const http::Fd& fd : slow) {
    pollfd p{fd.get(), POLLIN, 0};
    EXPECT_EQ(poll(&p, 1, 0), 0);
  }
  slow.clear();  // who hangs up ends it
  for (int i = 0; i < 10; ++i) EXPECT_EQ(generate(sampled(1, 1)).done["done"], true);
}

// Whatever they ask for and whenever they go, nothing is left of them.
TEST_F(NativeTest, RandomHangUpsLeaveNothingBehind) {
  std::mt19937 random(3);
  const auto below = [&](uint32_t n) { return static_cast<uint32_t>(random() % n); };
  std::vector<http::Fd> open;
  const char* types[] = {"f16", "f32", "f16:f32"};
  for (int i = 0; i < 200; ++i) {
    Json request = sampled(i, 1 + static_cast<int>(below(100)));
    request["prompt"] = std::string(below(600), 'a');
    request["options"]["kv_cache_type"] = types[below(3)];
    request["logprobs"] = below(2) == 0;
    request["return_context"] = below(2) == 0;
    if (below(10) == 0) request["template"] = hostile()["template"];
    Json input = Json::array();
    for (uint32_t k = 0; k < below(6); ++k) input.push_back(std::string(1 + below(300), 'b'));
    http::Fd fd = below(4) == 0 ? send_only("/embed", {{"input", input}}) : send_only("/generate", request);
    if (below(3) == 0) {
      char buffer[256];
      const bool ready =
          http::wait_ready(fd.get(), POLLIN, milliseconds(below(30)), -1) == http::Ready::kReady;
      EXPECT_TRUE(!ready || recv(fd.get(), buffer, below(256), 0) >= 0);
    }
    open.push_back(std::move(fd));
    if (open.size() > 12) open.erase(open.begin() + below(12));
  }
  open.clear();
  EXPECT_TRUE(eventually(idle));
  const Answer a = generate(sampled(3, 20)), b = generate(sampled(3, 20));
  EXPECT_EQ(a.text, b.text);
  // Those that were still in the queue may come once more before they are noticed to be gone.
  EXPECT_TRUE(eventually(
      [] { return idle() && model().engine().fill(0, 1) && model().engine().kv_use().committed == 0; }));
  EXPECT_EQ(model().ledger().bytes(memory::Category::kKv), 0u);
}

}  // namespace
}  // namespace quipu::runner::test
