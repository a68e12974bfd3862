// The service over a real socket: what it answers, and what it does with clients that ask badly, hang up or
// do not read.
#include <poll.h>
#include <sys/socket.h>

#include "runner/service_fixture.h"

namespace quipu::runner::test {
namespace {

TEST_F(ServiceTest, SaysHowItIs) {
  EXPECT_EQ(get("/health"), Json({{"status", "ok"}}));
  EXPECT_EQ(get("/health?x=1"), Json({{"status", "ok"}}));
  const Json info = get("/info");
  EXPECT_EQ(info["architecture"], "llama");
  EXPECT_EQ(info["name"], "random-llama");
  EXPECT_EQ(info["n_ctx_train"], 8192);
  EXPECT_EQ(info["num_ctx"], 256);
  EXPECT_EQ(info["n_vocab"], 259);
  EXPECT_EQ(info["embedding_length"], 64);
  EXPECT_EQ(info["quantization"], "F32");
  EXPECT_EQ(info["tokenizer"], true);
  EXPECT_EQ(info["kv_cache_type"], "f16:f16");
  EXPECT_EQ(info["threads"], 2);
  EXPECT_EQ(info["parallel"], 2);
  EXPECT_NE(info["chat_template"].get<std::string>().find("start_of_role"), std::string::npos);
  EXPECT_FALSE(info.contains("tokenizer_error"));
  EXPECT_GT(get("/memory")["total"]["measured"].get<uint64_t>(), 0u);
}

TEST_F(ServiceTest, TokenisesAndBack) {
  EXPECT_EQ(post("/tokenize", {{"text", "<|end_of_text|>"}})["tokens"], Json::array({0}));
  EXPECT_EQ(post("/tokenize", {{"text", "<|end_of_text|>"}, {"parse_special", false}})["tokens"].size(), 15u);
  EXPECT_EQ(post("/tokenize", Json::object())["tokens"], Json::array());
  const std::string text = "Grüße, 世界 🙂\n";
  EXPECT_EQ(post("/detokenize", {{"tokens", post("/tokenize", {{"text", text}})["tokens"]}})["text"], text);
  EXPECT_EQ(refusal("/tokenize", R"({"text":7})"), "400 invalid_argument");
  for (const char* body :
       {R"({})", R"({"tokens":"1"})", R"({"tokens":[-1]})", R"({"tokens":[259]})", R"({"tokens":[1.5]})",
        R"({"tokens":[null]})", R"({"tokens":[18446744073709551615]})"})
    EXPECT_EQ(refusal("/detokenize", body), "400 invalid_argument") << body;
}

TEST_F(ServiceTest, StreamsAnAnswer) {
  const Json request = {{"prompt", "abc"},
                        {"options", {{"temperature", 0.9}, {"seed", 3}, {"num_predict", 40}}}};
  const Answer a = generate(request);
  EXPECT_EQ(a.done["done"], true);
  EXPECT_EQ(a.done["prompt_tokens"], 5 + 4 + 3 + 1 + 9);
  EXPECT_EQ(a.done["dropped_messages"], 0);
  for (const char* key : {"cached_tokens", "dropped_tokens", "context_shifts", "kv_bytes", "prompt_ns",
                          "generate_ns", "total_ns"})
    EXPECT_TRUE(a.done[key].is_number_unsigned()) << key;
  EXPECT_GE(a.done["total_ns"].get<int64_t>(), a.done["generate_ns"].get<int64_t>());
  EXPECT_EQ(a.done["stop"] == "length", a.done["generated_tokens"] == 40);
  // The same again: the prompt is in the cache now, and nothing else changes.
  const Answer b = generate(request);
  EXPECT_EQ(b.text, a.text);
  EXPECT_EQ(b.done["cached_tokens"], 5 + 4 + 3 + 1 + 9 - 1);
  Json other = request;
  other["options"]["seed"] = 4;
  EXPECT_NE(generate(other).text, a.text);
}

TEST_F(ServiceTest, EveryPieceIsWholeText) {
  // Random bytes are rarely UTF-8; what goes out always is, or JSON would not have parsed.
  Json request = endless();
  request["options"].update({{"num_predict", 300}, {"temperature", 100}});
  const Answer a = generate(request);
  EXPECT_FALSE(a.pieces.empty());
}

TEST_F(ServiceTest, SaysWhatWasDropped) {
  Json messages = Json::array();
  for (int i = 0; i < 20; ++i) messages.push_back({{"role", "user"}, {"content", std::string(30, 'x')}});
  const Answer a = generate({{"messages", messages}, {"options", {{"num_predict", 1}}}});
  EXPECT_GT(a.done["dropped_messages"].get<int>(), 10);
  EXPECT_LT(a.done["prompt_tokens"].get<int>(), 256);
  const Answer b =
      generate({{"prompt", std::string(1000, 'x')}, {"raw", true}, {"options", {{"num_predict", 1}}}});
  EXPECT_EQ(b.done["prompt_tokens"].get<int>() + b.done["dropped_tokens"].get<int>(), 1000);
}

TEST_F(ServiceTest, ADefaultContextIsForWhoAsksForNone) {
  const auto prompt_tokens = [](const Json& more) {
    Json body = {{"prompt", std::string(280, 'x')}, {"raw", true}, {"options", {{"num_predict", 1}}}};
    body.merge_patch(more);
    return generate(body).done["prompt_tokens"].get<int>();
  };
  EXPECT_LT(prompt_tokens(Json::object()), 256);
  EXPECT_EQ(prompt_tokens({{"default_num_ctx", 300}}), 280);
  EXPECT_EQ(prompt_tokens({{"default_num_ctx", int64_t{1} << 62}}), 280) << "as much of it as there is";
  EXPECT_LT(prompt_tokens({{"default_num_ctx", 300}, {"options", {{"num_ctx", 64}}}}), 64);
  EXPECT_EQ(refusal("/generate", R"({"prompt":"x","default_num_ctx":-1})"), "400 invalid_argument");
}

TEST_F(ServiceTest, RefusesBeforeTheFirstLine) {
  for (const char* body :
       {"", "{", "[]", R"({"prompt":5})", R"({"prompt":"x","options":[]})",
        R"({"prompt":"x","options":{"num_ctx":"8"}})", R"({"prompt":"x","options":{"kv_cache_type":"f8"}})",
        R"({"prompt":"x","options":{"num_ctx":8193}})", R"({"prompt":"x","options":{"repeat_penalty":-1}})",
        R"({"prompt":"x","shift":1})", R"({"messages":[]})", R"({"prompt":"","raw":true})",
        R"({"prompt":"x","template":"{{ raise_exception('no') }}"})"})
    EXPECT_EQ(refusal("/generate", body), "400 invalid_argument") << body;
  EXPECT_EQ(refusal("/generate", R"({"prompt":"x","options":{"kv_cache_type":"q5_0"}})"),
            "400 invalid_argument");
  EXPECT_EQ(refusal("/generate", Json({{"prompt", std::string(300, 'x')}, {"truncate", false}}).dump()),
            "400 invalid_argument");
  EXPECT_EQ(refusal("/generate", "{\"a\":" + std::string(1'000'000, '[')), "400 invalid_argument");
}

TEST_F(ServiceTest, UnknownRoutesAndMethods) {
  EXPECT_EQ(refusal("/nothing", "{}"), "404 not_found");
  EXPECT_EQ(refusal("/", "{}"), "404 not_found");
  EXPECT_EQ(refusal("/generate/", "{}"), "404 not_found");
  for (const auto& [method, target, allowed] : {std::tuple{"GET", "/generate", "POST"},
                                                {"POST", "/info", "GET"},
                                                {"DELETE", "/memory", "GET"},
                                                {"BREW", "/health", "GET"}}) {
    const auto answer = ask(method, target);
    EXPECT_EQ(answer.status, 405) << method << " " << target;
    EXPECT_EQ(answer.headers.find("Allow").value_or(""), allowed);
  }
}

TEST_F(ServiceTest, FillsTheCacheForMemoryTests) {
  const Json full = post("/debug/fill", {{"tokens", 256}, {"sequences", 2}});
  EXPECT_EQ(full["kv"]["in_use"], full["kv"]["ceiling"]);
  EXPECT_EQ(post("/debug/fill", {{"tokens", 0}})["kv"]["measured"], 0);
  for (const char* body :
       {R"({})", R"({"tokens":-1})", R"({"tokens":257})", R"({"tokens":1,"sequences":3})",
        R"({"tokens":1,"sequences":0})", R"({"tokens":4611686018427387904,"sequences":4611686018427387904})"})
    EXPECT_EQ(refusal("/debug/fill", body), "400 invalid_argument") << body;
}

TEST_F(ServiceTest, HangingUpCancels) {
  for (int i = 0; i < 3; ++i) {
    int lines = 0;
    const auto answer = http::Client(socket()).stream_lines(
        {.method = "POST", .target = "/generate", .headers = {}, .body = endless().dump()},
        [&](std::string_view) { return ++lines < 3; });
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Code::kCancelled);
    EXPECT_TRUE(eventually(idle));
  }
  // And before anything came: by closing while the prompt is still waiting in the queue.
  for (int i = 0; i < 20; ++i) {
    auto fd = http::connect_to(socket(), kPatience, -1);
    ASSERT_TRUE(fd);
    const std::string request = request_text(endless());
    ASSERT_EQ(send(fd->get(), request.data(), request.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(request.size()));
  }
  EXPECT_EQ(generate({{"prompt", "x"}, {"options", {{"num_predict", 1}}}}).done["done"], true);
  EXPECT_TRUE(eventually(idle));
}

TEST_F(ServiceTest, AClientThatDoesNotReadHoldsUpNobody) {
  service_.reset();
  http::ServerOptions small = Service::server_options();
  small.stream_queue_bytes = 4096;
  auto service = Service::start(model(), socket().path, small);
  ASSERT_TRUE(service);
  service_ = std::move(*service);
  auto fd = http::connect_to(socket(), kPatience, -1);
  ASSERT_TRUE(fd);
  const std::string request = request_text(endless());
  ASSERT_EQ(send(fd->get(), request.data(), request.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(request.size()));
  // It has begun, and may have ended already.
  ASSERT_EQ(http::wait_ready(fd->get(), POLLIN, kPatience, -1), http::Ready::kReady);
  // Others get their answers, and its own sequence ends when the queue is full: it does not wait for the
  // client.
  EXPECT_EQ(generate({{"prompt", "x"}, {"options", {{"num_predict", 5}}}}).done["done"], true);
  EXPECT_TRUE(eventually(idle));
  // What was in the queue may still come; that it was all, no client can think.
  std::string got;
  char buffer[4096];
  while (http::wait_ready(fd->get(), POLLIN, kPatience, -1) == http::Ready::kReady) {
    const ssize_t n = recv(fd->get(), buffer, sizeof buffer, 0);
    if (n <= 0) break;
    got.append(buffer, static_cast<size_t>(n));
  }
  EXPECT_EQ(got.find("\"done\""), std::string::npos);
  EXPECT_FALSE(got.ends_with("0\r\n\r\n"));
}

TEST_F(ServiceTest, ManyAtOnce) {
  const Json request = {{"prompt", "abc"},
                        {"options", {{"temperature", 0.9}, {"seed", 3}, {"num_predict", 40}}}};
  const std::string alone = generate(request).text;
  std::vector<std::future<Answer>> answers;
  for (int i = 0; i < 8; ++i)
    answers.push_back(std::async(std::launch::async, [&] { return generate(request); }));
  for (auto& a : answers) EXPECT_EQ(a.get().text, alone);
  EXPECT_TRUE(eventually(idle));
}

TEST_F(ServiceTest, EndsInTheMiddleOfAnswers) {
  std::vector<std::future<bool>> cut;
  for (int i = 0; i < 3; ++i)  // two run, one waits
    cut.push_back(std::async(std::launch::async, [] {
      const auto answer = http::Client(socket()).stream_lines(
          {.method = "POST", .target = "/generate", .headers = {}, .body = endless().dump()},
          [](std::string_view) { return true; });
      return !answer;
    }));
  EXPECT_TRUE(eventually([] { return !idle(); }));
  service_.reset();
  for (auto& c : cut) EXPECT_TRUE(c.get()) << "a client must not take a cut answer for a whole one";
  EXPECT_TRUE(eventually(idle));
}

TEST_F(ServiceTest, ASecondOneOnTheSameSocketIsRefused) {
  const auto second = Service::start(model(), socket().path);
  ASSERT_FALSE(second);
  EXPECT_EQ(get("/health")["status"], "ok") << "the first is still there";
}

TEST_F(ServiceTest, WhatIsCachedIsGivenBackWhenOthersNeedIt) {
  generate({{"prompt", std::string(100, 'a')}, {"raw", true}, {"options", {{"num_predict", 2}}}});
  ASSERT_TRUE(eventually(idle));
  EXPECT_GT(get("/memory")["kv"]["cached"].get<uint64_t>(), 0u);
  const Json after = post("/trim", Json::object());
  EXPECT_EQ(after["kv"]["cached"], 0);
  EXPECT_EQ(after["kv"]["measured"], 0);
  EXPECT_EQ(ask("POST", "/trim", "").status, 200) << "it needs no body";
}

}  // namespace
}  // namespace quipu::runner::test
