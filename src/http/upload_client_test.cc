// The client's side of large bodies.
#include <sys/eventfd.h>

#include <atomic>
#include <fstream>
#include <vector>

#include "http/client.h"
#include "http/protocol_fixture.h"

namespace quipu::http {
namespace {

using std::chrono::milliseconds;
using test::Event;

Upload of_text(std::string text, size_t step = 1000) {
  Upload upload;
  upload.bytes = text.size();
  upload.read = [text = std::move(text), step,
                 at = size_t{0}](std::span<char> into) mutable -> Result<size_t> {
    const size_t n = text.copy(into.data(), std::min(step, into.size()), at);
    at += n;
    return n;
  };
  return upload;
}

class UploadClient : public test::EchoServer {
 protected:
  Result<Response> upload(const Upload& body, const Waiting& waiting = {},
                          const ClientOptions& options = {}) {
    return Client(server_->endpoint(), options).upload({.method = "POST", .target = "/u"}, body, waiting);
  }
};

TEST_F(UploadClient, SendsWhatTheCallbackGives) {
  start();
  std::vector<uint64_t> progress;
  Upload body = of_text("hello world", 4);
  body.on_sent = [&](uint64_t sent) { progress.push_back(sent); };
  const auto answer = upload(body);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->body, "POST /u [hello world]");
  EXPECT_EQ(progress, (std::vector<uint64_t>{4, 8, 11}));
  EXPECT_EQ(upload(of_text(""))->body, "POST /u []");
}

TEST_F(UploadClient, SendsAFile) {
  start({}, [](const std::shared_ptr<Exchange>& e) { e->respond({.body = e->request().body}); });
  const std::string path = testing::TempDir() + "quipu-upload-" + std::to_string(::getpid());
  std::string text;
  for (int i = 0; i < 400'000; ++i) text += std::to_string(i);
  std::ofstream(path) << text;
  auto body = Upload::of_file(path);
  ASSERT_TRUE(body) << body.error().message;
  const auto answer = upload(*body);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->body, text);

  body = Upload::of_file(path);
  ASSERT_EQ(::truncate(path.c_str(), 1000), 0);
  const auto shorter = upload(*body);
  ASSERT_FALSE(shorter);
  EXPECT_EQ(shorter.error().code, Code::kIo);
  EXPECT_NE(shorter.error().message.find("became shorter"), std::string::npos);
  ::unlink(path.c_str());
  EXPECT_EQ(Upload::of_file(path).error().code, Code::kNotFound);
  EXPECT_EQ(Upload::of_file("/").error().code, Code::kInvalidArgument);
}

TEST_F(UploadClient, ABodyThatEndsEarlyIsNoRequest) {
  std::atomic<int> handled = 0;
  start({}, [&](const std::shared_ptr<Exchange>& e) {
    ++handled;
    e->respond({});
  });
  Upload body = of_text("short");
  body.bytes = 10;
  const auto answer = upload(body);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kIo);
  body.read = [](std::span<char>) -> Result<size_t> { return error(Code::kCorrupt, "unreadable"); };
  EXPECT_EQ(upload(body).error().code, Code::kCorrupt);
  server_.reset();
  EXPECT_EQ(handled, 0);
}

TEST_F(UploadClient, AnEarlyAnswerEndsTheUpload) {
  start({.admit = [](const Request&) {
    return Admission{.answer = Response{.status = 200, .body = "there"}};
  }});
  // It ends only because the answer does end it.
  Upload endless;
  endless.bytes = uint64_t{1} << 50;
  endless.read = [](std::span<char> into) -> Result<size_t> { return into.size(); };
  const auto answer = upload(endless);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->body, "there");
}

TEST_F(UploadClient, CanBeCancelled) {
  // A sink that takes nothing at first, and one that takes everything.
  class Sink : public BodySink {
   public:
    explicit Sink(Event& go) : go_(go) {}
    bool write(std::string_view) override { return go_.wait(); }

   private:
    Event& go_;
  };
  Event go;
  start({.max_body_bytes = uint64_t{1} << 60,
         .admit = [&](const Request&) { return Admission{.sink = std::make_shared<Sink>(go)}; }});
  Upload endless;
  endless.bytes = uint64_t{1} << 50;
  for (const bool stuck : {true, false}) {
    if (!stuck) go.set();
    const Fd cancel(::eventfd(0, EFD_CLOEXEC));
    uint64_t read = 0;
    endless.read = [&](std::span<char> into) -> Result<size_t> {
      read += into.size();
      const uint64_t one = 1;
      if (read > (uint64_t{1} << 20)) {
        EXPECT_EQ(::write(cancel.get(), &one, sizeof one), ssize_t{sizeof one});
      }
      return into.size();
    };
    const auto answer = upload(endless, {.cancel = cancel.get()});
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Code::kCancelled);

    endless.read = [&](std::span<char> into) -> Result<size_t> { return into.size(); };
    const auto idle = upload(endless, {.on_idle = [] { return false; }});
    ASSERT_FALSE(idle);
    EXPECT_EQ(idle.error().code, Code::kCancelled);
  }
  server_.reset();  // the sinks with it
}

TEST_F(UploadClient, AServerThatTakesNothingMore) {
  auto listener = ListenSocket::open(test::local_tcp());
  ASSERT_TRUE(listener);
  Upload endless;
  endless.bytes = uint64_t{1} << 50;
  endless.read = [](std::span<char> into) -> Result<size_t> { return into.size(); };
  const auto answer =
      Client(listener->endpoint(), {.silence_timeout = milliseconds(50)}).upload({.method = "POST"}, endless);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kUnavailable);
}

}  // namespace
}  // namespace quipu::http
