// Chats with a model whose layers have windows: the runner finds where messages end, and from there a chat
// can be gone on with, whatever came behind it.
#include "runner/service_fixture.h"

namespace quipu::runner::test {
namespace {

class WindowTest : public ServiceTest {
 protected:
  static constexpr int64_t kWindow = 50;

  static void SetUpTestSuite() {
    gguf::RandomModel m = tiny_model();
    m.arch = "granite_swa";
    m.n_layers = 3;
    m.window = kWindow;
    write(m);
  }

  void SetUp() override { restart(true); }

  void restart(bool keep_prefixes) {
    service_.reset();
    load({.n_ctx = 2048, .n_parallel = 1, .n_threads = 2, .keep_prefixes = keep_prefixes});
    ServiceTest::SetUp();
  }

  // The file's template and tokenizer: two tokens around the role, one for each letter, the message's end and
  // a newline.
  static int64_t tokens_before(const Json& message) {
    return 2 + static_cast<int64_t>(message["role"].get_ref<const std::string&>().size());
  }
  static int64_t end_of(const Json& messages, size_t i) {
    int64_t n = 0;
    for (size_t k = 0; k <= i; ++k)
      n += tokens_before(messages[k]) +
           static_cast<int64_t>(messages[k]["content"].get_ref<const std::string&>().size()) + 2;
    return n - 1;
  }

  static std::string words(size_t n, char first) {
    std::string out(n, first);
    for (size_t i = 0; i < n; ++i)
      out[i] = static_cast<char>('a' + (i * i + i / 7 + static_cast<size_t>(first)) % 26);
    return out;
  }

  static Json request(const Json& messages) {
    return {{"messages", messages},
            {"logprobs", true},
            {"top_logprobs", 3},
            {"options", {{"temperature", 1.0}, {"seed", 5}, {"num_predict", 20}, {"repeat_guard", false}}}};
  }
};

TEST_F(WindowTest, ChatsAreGoneOnFromWhereMessagesEnd) {
  // The system message ends in the middle of a block, those behind it are all longer than the window.
  Json chat = Json::array({{{"role", "system"}, {"content", words(100, 's')}}});
  for (size_t i = 0; i < 3; ++i) {
    chat.push_back({{"role", "user"}, {"content", words(140 + 11 * i, static_cast<char>('a' + i))}});
    chat.push_back({{"role", "assistant"}, {"content", words(150 + 17 * i, static_cast<char>('k' + i))}});
  }
  chat.push_back({{"role", "user"}, {"content", words(120, 'z')}});
  const size_t last = chat.size() - 1;
  const auto edited = [&](size_t i) {
    Json out(Json::array());
    for (size_t k = 0; k < i; ++k) out.push_back(chat[k]);
    out.push_back({{"role", "user"}, {"content", "No: " + words(70, 'q')}});
    return out;
  };
  Json continued = chat;
  continued.push_back({{"role", "assistant"}, {"content", "Yes. " + words(60, 'm')}});
  continued.push_back({{"role", "user"}, {"content", words(80, 'n')}});

  struct FollowUp {
    const char* what;
    Json messages;
    int64_t least, most;  // tokens found
  };
  // What both have behind a message's end: the newline, and what stands before the text of the next.
  const int64_t more = 1 + tokens_before(chat[last]);
  const int64_t prompt = end_of(chat, last) + 1 + 2 + static_cast<int64_t>(std::string("assistant").size());
  const std::vector<FollowUp> all = {
      {"only the system message stays", edited(1), end_of(chat, 0), end_of(chat, 0) + more},
      {"another last question", edited(last), end_of(chat, last - 1), end_of(chat, last - 1) + more},
      {"it goes on", continued, prompt, prompt},
      // Not one of the last two ends: the whole block in which the system message ends.
      {"another question further back", edited(3), end_of(chat, 0), (end_of(chat, 0) + 31) / 32 * 32},
  };
  std::vector<Answer> with;
  for (const FollowUp& f : all) {
    ASSERT_TRUE(model().engine().fill(0, 1));
    const Answer first = generate(request(chat));
    EXPECT_EQ(first.done["cached_tokens"], 0);
    ASSERT_EQ(first.done["prompt_tokens"], prompt);
    with.push_back(generate(request(f.messages)));
    const int64_t cached = with.back().done["cached_tokens"];
    EXPECT_GE(cached, f.least) << f.what;
    EXPECT_LE(cached, f.most) << f.what;
  }
  restart(false);
  for (size_t i = 0; i < all.size(); ++i) {
    const Answer alone = generate(request(all[i].messages));
    EXPECT_EQ(alone.done["cached_tokens"], 0);
    EXPECT_EQ(with[i].text, alone.text) << all[i].what;
    EXPECT_EQ(with[i].logprobs, alone.logprobs) << all[i].what;
    EXPECT_EQ(with[i].done["generated_tokens"], alone.done["generated_tokens"]);
    // What was found matters to what is said.
    Json other = all[i].messages;
    other[0]["content"] = words(100, 't');
    EXPECT_NE(generate(request(other)).logprobs, alone.logprobs);
  }
}

}  // namespace
}  // namespace quipu::runner::test
