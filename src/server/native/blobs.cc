// /api/blobs/:digest. Spec: ollama-compat 1.14.
#include "server/native/handlers.h"
#include "server/service.h"

namespace quipu::server::native {

namespace {

// Writes an upload to the store. The digest is checked when all of it is there.
class BlobSink final : public http::BodySink {
 public:
  // `text`: the digest as the client wrote it.
  BlobSink(store::Store& store, Digest expected, std::string text)
      : store_(store), expected_(expected), text_(std::move(text)) {}

  bool write(std::string_view piece) override {
    if (!result_) return false;
    if (!writer_) {
      auto writer = store_.write_blob();
      if (!writer) {
        result_ = std::unexpected(writer.error());
        return false;
      }
      writer_.emplace(std::move(*writer));
    }
    result_ = writer_->append(piece);
    return result_.has_value();
  }

  Result<store::Store::WrittenBlob> finish() {
    QUIPU_TRY(result_);
    if (!writer_) {
      QUIPU_ASSIGN(auto writer, store_.write_blob());
      writer_.emplace(std::move(writer));
    }
    QUIPU_ASSIGN(const auto written, writer_->finish(nullptr, expected_));
    // Ollama compares texts, and a client that goes by its answer must not believe to know the blob's name.
    if (text_ != expected_.text())
      return error(Code::kInvalidArgument, "digest mismatch, expected \"{}\", got \"{}\"", text_,
                   expected_.text());
    return written;
  }

 private:
  store::Store& store_;
  const Digest expected_;
  const std::string text_;
  std::optional<store::Store::BlobWriter> writer_;
  Result<void> result_;
};

// Gigabytes; what a disk holds is the real limit.
constexpr uint64_t kMostBytes = uint64_t{1} << 44;

// A file of that name is there. Upper case names none: blobs are stored in lower case.
bool may_exist(const std::string& text, const Digest& digest) {
  return text == digest.text() || text == digest.file_name();
}

http::Response answer(int status, http::Headers headers, const std::string& sentence = {}) {
  if (sentence.empty()) return {.status = status, .headers = std::move(headers), .body = {}};
  headers.add("Content-Type", "application/json; charset=utf-8");
  return {.status = status, .headers = std::move(headers), .body = go_json(Json{{"error", sentence}})};
}

}  // namespace

http::Admission admit_blob(store::Store& store, const std::string& text, http::Headers headers) {
  const auto digest = Digest::parse(text);
  if (!digest)
    return {
        .max_body_bytes = 0, .sink = {}, .answer = answer(400, std::move(headers), digest.error().message)};
  if (may_exist(text, *digest) && store.use_blob(*digest))
    return {.max_body_bytes = 0, .sink = {}, .answer = answer(200, std::move(headers))};
  return {
      .max_body_bytes = kMostBytes, .sink = std::make_shared<BlobSink>(store, *digest, text), .answer = {}};
}

void head_blob(Service& service, const ReplyPtr& reply, Parameter text) {
  const auto digest = Digest::parse(text);
  if (!digest) return reply->error(400, digest.error().message);
  if (!may_exist(text, *digest) || !service.store().blob_bytes(*digest))
    return reply->error(404, fmt::format("blob \"{}\" not found", text));
  reply->empty(200);
}

void post_blob(Service&, const ReplyPtr& reply, Parameter) {
  auto* sink = dynamic_cast<BlobSink*>(reply->exchange()->sink().get());
  if (sink == nullptr) return reply->error(500, "the upload has nowhere to go");
  const auto written = sink->finish();
  if (!written)
    return reply->error(written.error().code == Code::kInvalidArgument ? 400 : 500, written.error().message);
  reply->empty(written->was_there ? 200 : 201);
}

}  // namespace quipu::server::native
