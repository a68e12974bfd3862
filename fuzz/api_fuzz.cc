// Any bytes as the body of each endpoint of the native API, up to where a runner would begin: the server's
// own handlers over a store with a few small models, whose fleet takes no jobs. The first byte chooses the
// endpoint (fuzz/make_api_corpus.py knows their order).
#include <sys/stat.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/log.h"
#include "gguf/writer.h"
#include "http/exchange_state.h"
#include "server/native/handlers.h"
#include "server/router.h"
#include "server/service.h"
#include "store/create.h"

namespace {

using namespace quipu;
namespace fs = std::filesystem;
namespace native = server::native;

void require(bool condition) {
  if (!condition) std::abort();
}

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// A file with nothing but what the store looks at.
std::string tiny_gguf(const char* architecture, bool pooling, bool projector) {
  gguf::Writer w;
  const std::string a = architecture;
  w.add_string("general.architecture", a);
  w.add_uint32("general.file_type", 1);
  w.add_uint32(a + ".block_count", 1);
  w.add_uint32(a + ".context_length", 128);
  w.add_uint32(a + ".embedding_length", 32);
  if (pooling) w.add_uint32(a + ".pooling_type", 1);
  if (projector) w.add_bool(a + ".has_vision_encoder", true);
  const std::vector<std::string> tokens = {"a", "b<", "\xff"};
  w.add_strings("tokenizer.ggml.tokens", tokens);
  const std::vector<std::byte> data(size_t{32} * 32 * 2);
  const std::array<int64_t, 2> shape = {32, 32};
  require(w.add_tensor("token_embd.weight", TensorType::kF16, shape, data).has_value());
  const auto bytes = w.bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The folder of a store, put back to what it was after whatever a request did to it.
class Snapshot {
 public:
  explicit Snapshot(const fs::path& root) : root_(root) {
    for (const auto& entry : fs::recursive_directory_iterator(root))
      if (entry.is_regular_file()) files_[entry.path()] = read_file(entry.path());
  }

  void restore() const {
    std::vector<fs::path> added;
    for (const auto& entry : fs::recursive_directory_iterator(root_))
      if (entry.is_regular_file() && !files_.contains(entry.path())) added.push_back(entry.path());
    for (const fs::path& path : added) fs::remove(path);
    for (const auto& [path, content] : files_) {
      // Blobs are named by their content, and manifests are small.
      const bool blob = path.parent_path().filename() == "blobs";
      if (fs::exists(path) && (blob || read_file(path) == content)) continue;
      fs::create_directories(path.parent_path());
      std::ofstream(path, std::ios::binary) << content;
    }
  }

 private:
  const fs::path root_;
  std::map<fs::path, std::string> files_;
};

// A server that listens where nobody asks, and whose fleet has ended: a job fails where it would be queued.
class World {
 public:
  World() {
    std::string name = (fs::temp_directory_path() / "quipu-api-fuzz-XXXXXX").string();
    require(mkdtemp(name.data()) != nullptr);
    folder_ = name;
    server::Config config;
    config.host.endpoint = {.path = (folder_ / "s").string(), .host = {}, .port = 0};
    config.models = (folder_ / "models").string();
    auto started = server::Service::start(std::move(config));
    require(started.has_value());
    service_ = std::move(*started);
    service_->fleet().stop(std::chrono::milliseconds(0));
    make_models();
    snapshot_ = std::make_unique<Snapshot>(folder_ / "models");
  }
  ~World() {
    service_.reset();
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  server::Service& service() { return *service_; }
  void restore() { snapshot_->restore(); }

 private:
  std::string put(const std::string& content) {
    const auto written = service_->store().put_blob(content);
    require(written.has_value());
    return written->digest.text();
  }

  void make_models() {
    const std::string weights = put(tiny_gguf("llama", false, false));
    const store::CreateRequest::Files files = {{"m.gguf", weights}};
    store::CreateRequest all = {.model = "all", .files = files};
    all.template_text =
        "{{ range .Messages }}{{ .Role }} {{ .Content }}{{ .Thinking }}{{ range .ToolCalls }}"
        "{{ .Function.Name }}{{ end }}{{ end }}{{ .Tools }}{{ if .Suffix }}{{ .Suffix }}{{ end }}"
        "{{ .Prompt }}{{ if .IsThinkSet }}{{ .Think }}{{ end }}";
    all.system = "S";
    all.parameters = {{"temperature", 0.5}, {"stop", {"x"}}, {"num_ctx", 64}};
    all.messages = {{{"role", "user"}, {"content", "hi"}}, {{"role", "assistant"}, {"content", "yo"}}};
    all.info = {{"model_family", "qwen3"}, {"capabilities", {"vision", "thinking", "tools", "insert"}}};
    const store::CreateRequest models[] = {
        all,
        {.model = "plain", .files = files},
        {.model = "embed", .files = {{{"m.gguf", put(tiny_gguf("bert", true, false))}}}},
        {.model = "seen", .files = {{{"m.gguf", weights}, {"p.gguf", put(tiny_gguf("clip", false, true))}}}}};
    for (const auto& m : models) require(store::create_model(service_->store(), m, {}).has_value());
  }

  fs::path folder_;
  std::unique_ptr<server::Service> service_;
  std::unique_ptr<Snapshot> snapshot_;
};

// What a handler says to one request, read as a connection would.
class Conversation {
 public:
  explicit Conversation(std::string body, std::shared_ptr<http::BodySink> sink = {})
      : state_(std::make_shared<http::ExchangeState>(
            http::Request{.method = "POST", .target = "/", .headers = {}, .body = std::move(body)},
            std::move(sink), SIZE_MAX, std::this_thread::get_id(), [this] {
              const std::lock_guard lock(mutex_);
              woken_ = true;
              changed_.notify_one();
            })) {}
  ~Conversation() { state_->detach(); }

  server::ReplyPtr reply() {
    return std::make_shared<server::Reply>(std::make_shared<http::Exchange>(state_), "/", http::Headers());
  }

  // Waits for the end. An answer is JSON, a stream's lines are, and whatever went wrong is said in a
  // sentence.
  void check() {
    int status = 0;
    std::string body;
    bool whole = false, json = false;
    for (bool last = false; !last;) {
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return woken_; });
        woken_ = false;
      }
      const auto step = state_->take();
      require(!step.aborted);
      if (step.has_head) {
        status = step.head.status;
        whole = step.whole;
        body = step.head.body;
        json = step.head.headers.find("Content-Type").value_or("").starts_with("application/");
      }
      body += step.data;
      last = step.last;
    }
    require(status >= 200 && status < 600);
    if (status >= 400) {
      require(whole);
      if (status == 500 && body == "500 Internal Server Error: no answer was given") std::abort();
    }
    if (!json) return require(body.empty());
    for (size_t at = 0; at < body.size();) {
      const size_t end = std::min(body.find('\n', at), body.size());
      const auto object = nlohmann::json::parse(body.substr(at, end - at), nullptr, false);
      require(object.is_object());
      if (status >= 400) require(object["error"].is_string() && !object["error"].get<std::string>().empty());
      at = end + 1;
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;
  const std::shared_ptr<http::ExchangeState> state_;
};

using Handle = void (*)(server::Service&, const server::ReplyPtr&, native::Parameter);

struct Endpoint {
  Handle handle;
  bool changes_store = false;
};

// fuzz/make_api_corpus.py has the same order. One more, behind these, is an upload.
constexpr Endpoint kEndpoints[] = {{native::generate},   {native::chat},         {native::embed},
                                   {native::embeddings}, {native::show},         {native::create, true},
                                   {native::copy, true}, {native::remove, true}, {native::pull},
                                   {native::push},       {native::tokenize},     {native::detokenize},
                                   {native::head_blob},  {native::tags},         {native::ps}};

// The digest, a line's end, and the content.
void upload(World& world, std::string_view text) {
  const size_t line = std::min(text.find('\n'), text.size());
  const std::string digest(text.substr(0, line));
  const http::Admission admission = native::admit_blob(world.service().store(), digest, {});
  if (admission.answer) return require(admission.answer->status == 400 || admission.answer->status == 200);
  text.remove_prefix(std::min(line + 1, text.size()));
  for (const std::string_view piece : {text.substr(0, text.size() / 2), text.substr(text.size() / 2)})
    require(admission.sink->write(piece));
  Conversation conversation({}, admission.sink);
  native::post_blob(world.service(), conversation.reply(), digest);
  conversation.check();
}

void ask(World& world, const Endpoint& endpoint, std::string_view text) {
  Conversation conversation{std::string(text)};
  try {
    endpoint.handle(world.service(), conversation.reply(), std::string(text));
  } catch (const std::bad_alloc&) {
    return;
  }
  conversation.check();
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  spdlog::set_level(spdlog::level::off);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  static World world;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  (void)server::clean_path(server::parse_target(text).path);
  const size_t chosen = data[0] % (std::size(kEndpoints) + 1);
  const bool is_upload = chosen == std::size(kEndpoints);
  if (is_upload)
    upload(world, text);
  else
    ask(world, kEndpoints[chosen], text);
  if (is_upload || kEndpoints[chosen].changes_store) world.restore();
  return 0;
}
