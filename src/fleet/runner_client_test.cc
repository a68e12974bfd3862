#include "fleet/runner_client.h"

#include <gtest/gtest.h>

#include <thread>

#include "http/test_net.h"

namespace quipu::fleet {
namespace {

using http::Exchange;
using http::test::Event;
using http::test::eventually;
using std::chrono::milliseconds;

class RunnerClientTest : public testing::Test {
 protected:
  RunnerClient& client(http::Handler handler, milliseconds silence = milliseconds(-1)) {
    server_.reset();
    server_ = http::test::serve(path_.endpoint(), {}, std::move(handler));
    link_->socket_path = path_.endpoint().path;
    client_ = std::make_unique<RunnerClient>(link_, silence);
    return *client_;
  }
  // One that answers this, whatever is asked, and keeps the question.
  RunnerClient& answers(int status, const std::string& body) {
    return client([this, status, body](const std::shared_ptr<Exchange>& e) {
      asked_ = e->request().method + " " + e->request().target + " " + e->request().body;
      e->respond({.status = status, .body = body});
    });
  }
  // Lines, in pieces.
  RunnerClient& streams(std::vector<std::string> pieces) {
    return client([pieces = std::move(pieces)](const std::shared_ptr<Exchange>& e) {
      e->start(200, {});
      for (const std::string& piece : pieces) e->push(piece);
      e->finish();
    });
  }
  Answer<Json> generate(const Json& request = Json::object()) {
    lines_.clear();
    return client_->generate(request, [&](const Json& line) {
      lines_.push_back(line.dump());
      return line.value("text", "") != "STOP";
    });
  }

  http::test::SocketPath path_;
  std::shared_ptr<RunnerLink> link_ = std::make_shared<RunnerLink>();
  std::string asked_;
  std::vector<std::string> lines_;
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<RunnerClient> client_;
};

TEST_F(RunnerClientTest, Calls) {
  EXPECT_EQ(answers(200, R"({"tokens":[1,2]})").tokenize("a\xff", true, false), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(asked_,
            "POST /tokenize {\"text\":\"a\xef\xbf\xbd\",\"add_special\":true,\"parse_special\":false}");
  const int64_t ids[] = {7, 8};
  EXPECT_EQ(answers(200, R"({"text":"x"})").detokenize(ids), "x");
  EXPECT_EQ(asked_, R"(POST /detokenize {"tokens":[7,8]})");
  EXPECT_EQ(answers(200, R"({"total":1})").memory(), Json({{"total", 1}}));
  EXPECT_EQ(asked_, "GET /memory ");
  EXPECT_EQ(answers(200, R"({"embeddings":[[1.5]]})").embed({{"input", {"a"}}}),
            Json::parse(R"({"embeddings":[[1.5]]})"));
  EXPECT_EQ(asked_, R"(POST /embed {"input":["a"]})");
  EXPECT_EQ(answers(200, R"({"prompt":"p"})").render({{"prompt", "a"}}), Json({{"prompt", "p"}}));
  EXPECT_EQ(asked_, R"(POST /generate {"prompt":"a","render_only":true})");
}

TEST_F(RunnerClientTest, Refusals) {
  const auto refused = answers(507, R"({"error":"no","code":"out_of_memory","plan":{"a":1}})").embed({});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kOutOfMemory);
  EXPECT_EQ(refused.error().message, "no");
  EXPECT_EQ(refused.error().plan, Json({{"a", 1}}));
  EXPECT_EQ(generate().error().message, "no");
  EXPECT_EQ(answers(503, "<html>").memory().error().message, "the runner answered with status 503");
  for (const char* odd :
       {"<html>", "[1]", "{}", R"({"tokens":1,"text":1})", R"({"tokens":[1.5],"text":[]})"}) {
    EXPECT_EQ(answers(200, odd).tokenize("").error().code, Code::kInternal);
    EXPECT_EQ(client_->detokenize({}).error().code, Code::kInternal);
  }
}

TEST_F(RunnerClientTest, Streams) {
  streams({"{\"started\":true}\n{\"text\":\"Hel", "lo\"}\n", "{\"done\":true,\"stop\":\"eos\"}\n"});
  const auto done = generate();
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ((*done)["stop"], "eos");
  EXPECT_EQ(lines_, (std::vector<std::string>{R"({"started":true})", R"({"text":"Hello"})"}));

  streams({"{\"text\":\"half\"}\n{\"error\":\"no memory\",\"code\":\"out_of_memory\"}\n"});
  EXPECT_EQ(generate().error().code, Code::kOutOfMemory);
  EXPECT_EQ(lines_.size(), 1u);
  for (const char* odd : {"nonsense\n", "[1]\n", "{\"done\":true}\n{\"text\":\"more\"}\n", "\xff\n"}) {
    streams({odd});
    EXPECT_EQ(generate().error().code, Code::kInternal) << odd;
  }
}

TEST_F(RunnerClientTest, TheCallbackEndsIt) {
  Event gone;
  std::shared_ptr<Exchange> kept;
  client([&](const std::shared_ptr<Exchange>& e) {
    e->on_gone([&] { gone.set(); });
    e->start(200, {});
    e->push("{\"text\":\"STOP\"}\n{\"text\":\"more\"}\n");
    kept = e;
  });
  EXPECT_EQ(generate().error().code, Code::kCancelled);
  EXPECT_EQ(lines_.size(), 1u);
  EXPECT_TRUE(gone.wait());
  EXPECT_FALSE(client_->cancelled());
  server_.reset();
}

TEST_F(RunnerClientTest, CancellingEndsWhatWaits) {
  Event asked, gone;
  std::shared_ptr<Exchange> kept;
  client([&](const std::shared_ptr<Exchange>& e) {
    e->on_gone([&] { gone.set(); });
    kept = e;  // and no answer
    asked.set();
  });
  std::jthread canceller([&] {
    asked.wait();
    client_->cancel();
    client_->cancel();
  });
  const auto ended = generate();
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, Code::kCancelled);
  EXPECT_EQ(ended.error().message, "request canceled");
  EXPECT_TRUE(gone.wait());
  EXPECT_EQ(client_->memory().error().code, Code::kCancelled);
  EXPECT_EQ(generate().error().code, Code::kCancelled);
  server_.reset();
}

TEST_F(RunnerClientTest, Silence) {
  std::shared_ptr<Exchange> kept;
  client([&](const std::shared_ptr<Exchange>& e) { kept = e; }, milliseconds(30));
  EXPECT_EQ(client_->memory().error().code, Code::kInternal);
  server_.reset();
}

TEST_F(RunnerClientTest, BrokenOrEnded) {
  streams({"{\"text\":\"half\"}\n"});
  EXPECT_EQ(generate().error().message,
            "an error was encountered while running the model: the answer ended before it was complete");
  link_->end->set("it burnt");
  const auto ended = generate();
  EXPECT_EQ(ended.error().code, Code::kInternal);
  EXPECT_TRUE(ended.error().message.starts_with("model runner has unexpectedly stopped, ") &&
              ended.error().message.ends_with("logs for details: it burnt"))
      << ended.error().message;
  server_.reset();
  EXPECT_EQ(client_->memory().error().message, ended.error().message);
}

}  // namespace
}  // namespace quipu::fleet
