#include "store/create.h"

#include "store/config_blob.h"
#include "store/store_fixture.h"

namespace quipu::store {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using test::named;
using test::StoreTest;
using test::TinyGguf;
using Statuses = std::vector<std::string>;

class Create : public StoreTest {
 protected:
  // The statuses, with an error as the last one.
  Statuses create(const CreateRequest& request) {
    Statuses seen;
    hooks_.progress = [&](const CreateProgress& p) { seen.push_back(p.status); };
    const auto made = create_model(*store_, request, hooks_);
    if (!made) {
      seen.push_back("error: " + made.error().message);
      code_ = made.error().code;
    }
    return seen;
  }
  // Uploads a file and makes a model of it.
  Digest base(const std::string& name, const TinyGguf& file = {}) {
    const Digest digest = put(file.bytes());
    EXPECT_EQ(create({.model = name, .files = {{{"m.gguf", digest.text()}}}}).back(), "success");
    return digest;
  }
  Manifest manifest(std::string_view name) const {
    const auto stored = store_->read_manifest(named(name));
    EXPECT_TRUE(stored) << name;
    return stored ? stored->manifest : Manifest();
  }
  std::string text(const Layer& layer) const {
    return store_->read_blob(layer.digest, 1 << 20).value_or("(missing)");
  }
  // "model", "template", ...
  Statuses kinds(std::string_view name) const {
    Statuses out;
    for (const Layer& layer : manifest(name).layers)
      out.push_back(layer.media_type.substr(layer.media_type.rfind('.') + 1));
    return out;
  }
  ConfigBlob config(std::string_view name) const { return *parse_config(text(*manifest(name).config)); }

  static std::string using_(const Digest& digest) { return "using existing layer " + digest.text(); }
  static std::string creating(std::string_view content) {
    return "creating new layer " + digest_of(content).text();
  }

  CreateHooks hooks_;
  Code code_ = Code::kInternal;
};

TEST_F(Create, FromAFileThatStaysAsItIs) {
  const std::string bytes = TinyGguf().bytes();
  const Digest digest = put(bytes);
  test::set_age(store_->blob_path(digest), 2h);
  EXPECT_EQ(create({.model = "M", .files = {{{"m.gguf", digest.text()}}}, .parameters = {{"num_ctx", 512}}}),
            (Statuses{"parsing GGUF", using_(digest), creating("{\"num_ctx\":512}\n"), "writing manifest",
                      "success"}));
  const Manifest m = manifest("M");
  ASSERT_EQ(m.layers.size(), 2u);
  EXPECT_EQ(m.layers[0], (Layer{std::string(media::kModel), digest, bytes.size(), {}, {}}));
  EXPECT_EQ(text(*m.config),
            "{\"model_format\":\"gguf\",\"model_family\":\"llama\",\"model_families\":[\"llama\"],\"model_"
            "type\":\"2K\","
            "\"file_type\":\"F16\",\"architecture\":\"amd64\",\"os\":\"linux\"}\n");
  EXPECT_LT(test::age_of(store_->blob_path(digest)), 1min);
}

TEST_F(Create, FromAModel) {
  const Digest weights = base("smol");
  const std::string params = "{\"num_ctx\":512,\"stop\":[\"\\u003cend\\u003e\"]}\n";
  ASSERT_EQ(
      create({.model = "a", .from = "smol", .parameters = {{"num_ctx", 512}, {"stop", {"<end>"}}}}).back(),
      "success");
  EXPECT_EQ(create({.model = "t1",
                    .from = "A:local",
                    .system = "You are T1.",
                    .parameters = {{"top_k", 5}, {"num_ctx", 7}}}),
            (Statuses{using_(weights), creating("You are T1."),
                      creating("{\"num_ctx\":7,\"stop\":[\"\\u003cend\\u003e\"],\"top_k\":5}\n"),
                      "writing manifest", "success"}));
  const Manifest m = manifest("t1");
  EXPECT_EQ(m.layers[0].from, "a:latest");
  EXPECT_EQ(m.layers[1].from, "");
  EXPECT_EQ(text(manifest("a").layers[1]), params);
}

TEST_F(Create, LayersKeepTheirOrderAndReplacedOnesGoToTheEnd) {
  base("smol");
  ASSERT_EQ(create({.model = "b",
                    .from = "smol",
                    .template_text = "{{ .Prompt }}",
                    .system = "s",
                    .licenses = {"MIT"},
                    .parameters = {{"top_k", 1}}})
                .back(),
            "success");
  EXPECT_EQ(kinds("b"), (Statuses{"model", "template", "system", "license", "params"}));
  ASSERT_EQ(create({.model = "c",
                    .from = "b",
                    .template_text = "{{ .System }}",
                    .licenses = {"Apache", "", "BSD"},
                    .messages = json::parse(
                        R"([{"role":"USER","content":"<hi>"},{"content":"yo","role":"assistant","x":1}])")})
                .back(),
            "success");
  EXPECT_EQ(kinds("c"),
            (Statuses{"model", "system", "license", "template", "license", "license", "params", "messages"}));
  const Manifest m = manifest("c");
  EXPECT_EQ(text(m.layers[2]), "MIT");
  EXPECT_EQ(text(m.layers[3]), "{{ .System }}");
  EXPECT_EQ(text(m.layers[4]), "Apache");
  EXPECT_EQ(
      text(m.layers[7]),
      "[{\"role\":\"user\",\"content\":\"\\u003chi\\u003e\"},{\"role\":\"assistant\",\"content\":\"yo\"}]\n");
  EXPECT_EQ(m.layers[0].from, "b:latest");
}

TEST_F(Create, MessagesAndParametersOfTheBaseStay) {
  base("smol");
  create({.model = "b",
          .from = "smol",
          .parameters = {{"top_k", 1}},
          .messages = json::parse(R"([{"role":"user","content":"x"}])")});
  create({.model = "c", .from = "b"});
  EXPECT_EQ(kinds("c"), (Statuses{"model", "messages", "params"}));
  EXPECT_EQ(text(manifest("c").layers[2]), "{\"top_k\":1}\n");
}

TEST_F(Create, ATemplateIsDetectedAndCanBeReplaced) {
  // As in the tokenizers of many models.
  const std::string jinja =
      "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + "
      "'<|im_end|>' + "
      "'\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
  const Digest digest = put(TinyGguf{.chat_template = jinja}.bytes());
  const CreateRequest::Files files = {{"m.gguf", digest.text()}};
  EXPECT_EQ(create({.model = "m", .files = files}),
            (Statuses{"parsing GGUF", using_(digest), "using autodetected template chatml",
                      creating("{\"stop\":[\"\\u003c|im_start|\\u003e\",\"\\u003c|im_end|\\u003e\"]}\n"),
                      "writing manifest", "success"}));
  EXPECT_EQ(kinds("m"), (Statuses{"model", "template", "params"}));
  EXPECT_EQ(create({.model = "n", .files = files, .template_text = "mine", .parameters = {{"stop", {"x"}}}}),
            (Statuses{"parsing GGUF", using_(digest), creating("mine"), creating("{\"stop\":[\"x\"]}\n"),
                      "writing manifest", "success"}));
  const Digest unknown = put(TinyGguf{.chat_template = "other"}.bytes());
  EXPECT_EQ(create({.model = "o", .files = {{{"m.gguf", unknown.text()}}}}),
            (Statuses{"parsing GGUF", using_(unknown), "writing manifest", "success"}));
}

TEST_F(Create, ProjectorsAdaptersAndDrafts) {
  const Digest model = put(TinyGguf().bytes());
  const Digest projector = put(TinyGguf{.architecture = "clip", .kind = "mmproj", .blocks = 0}.bytes());
  const Digest adapter = put(TinyGguf{.kind = "adapter"}.bytes());
  const Digest draft = put(TinyGguf{.filling = 'd'}.bytes());
  EXPECT_EQ(create({.model = "m",
                    .files = {{{"m.gguf", model.text()}, {"p", projector.text()}}},
                    .adapters = {{{"a.gguf", adapter.text()}}},
                    .draft_files = {{{"d.gguf", draft.text()}}}})
                .back(),
            "success");
  EXPECT_EQ(kinds("m"), (Statuses{"model", "projector", "adapter", "draft"}));
  EXPECT_EQ(config("m").draft, (ConfigBlob::Draft{"gguf", "llama"}));
  EXPECT_EQ(config("m").model_families, Statuses{"llama"});
}

TEST_F(Create, PartsBecomeOneFile) {
  const auto part = [](uint32_t i) {
    return TinyGguf{.split_number = i,
                    .split_count = 2,
                    .tensors = {fmt::format("blk.{}.attn_q.weight", i)},
                    .filling = static_cast<char>('a' + i)};
  };
  const Digest first = put(part(0).bytes()), second = put(part(1).bytes());
  const CreateRequest request{
      .model = "m",
      .files = {{{"x-00002-of-00002.gguf", second.text()}, {"x-00001-of-00002.gguf", first.text()}}}};
  const Statuses statuses = create(request);
  ASSERT_EQ(statuses.back(), "success") << statuses.back();
  EXPECT_EQ(Statuses(statuses.begin(), statuses.begin() + 3),
            (Statuses{"parsing GGUF", "parsing GGUF", "merging split GGUF"}));
  const Manifest m = manifest("m");
  ASSERT_EQ(m.layers.size(), 1u);
  const auto merged = gguf::File::open(store_->blob_path(m.layers[0].digest));
  ASSERT_TRUE(merged) << merged.error().message;
  ASSERT_EQ((*merged)->tensors().size(), 2u);
  EXPECT_EQ((*merged)->tensors()[1].data.back(), std::byte{'b'});
  EXPECT_EQ((*merged)->find("split.count"), nullptr);
  EXPECT_NE((*merged)->find("tokenizer.ggml.tokens"), nullptr);
  EXPECT_FALSE(has(first));  // it is in the other one now
  EXPECT_EQ(config("m").model_type, "2K");

  put(part(0).bytes());
  EXPECT_EQ(create({.model = "n", .files = {{{"x-00001-of-00002.gguf", first.text()}}}}).back(),
            "error: invalid split GGUF: x has 1 of 2 parts");
  EXPECT_EQ(code_, Code::kInvalidArgument);
}

TEST_F(Create, RefusalsBeforeAnythingIsDone) {
  const std::string digest = digest_of("x").text();
  const auto refusal = [](const CreateRequest& request) {
    const auto checked = check_request(request);
    return checked ? std::string("none") : checked.error().message;
  };
  EXPECT_EQ(refusal({.model = "", .from = "x"}), "invalid model name");
  EXPECT_EQ(refusal({.model = "b@d", .from = "x"}), "invalid model name");
  for (const char* path :
       {"/abs.gguf", "../m.gguf", "a/../m.gguf", "a//m.gguf", "./m.gguf", "", ".", "a/", ".."})
    EXPECT_EQ(refusal({.model = "x", .files = {{{path, digest}}}}), "file path must be relative") << path;
  for (const char* bad : {"", "sha256:12", "../../etc/passwd"})
    EXPECT_EQ(refusal({.model = "x", .files = {{{"m.gguf", bad}}}}), "invalid digest format");
  EXPECT_EQ(refusal({.model = "x", .adapters = {{{"/m.gguf", digest}}}}), "file path must be relative");
  EXPECT_EQ(refusal({.model = "x", .draft_quantize = "q8_0"}), "--draft-quantize requires a DRAFT model");
  EXPECT_EQ(refusal({.model = "x", .files = {{{"a/b..c/m.gguf", digest}}}}), "none");
}

TEST_F(Create, RefusalsOnTheWay) {
  const Digest text = put("hello blob"), model = put(TinyGguf().bytes()),
               adapter = put(TinyGguf{.kind = "adapter"}.bytes());
  const auto whole = TinyGguf().bytes();
  const Digest cut = put(whole.substr(0, whole.size() - 100));
  const auto last = [&](const CreateRequest& request) { return create(request).back(); };
  EXPECT_EQ(create({.model = "x"}), Statuses{"error: neither 'from' or 'files' was specified"});
  EXPECT_EQ(create({.model = "x", .from = "a b"}), Statuses{"error: invalid model name"});
  EXPECT_EQ(create({.model = "x", .files = CreateRequest::Files()}), Statuses{"error: unknown type"});
  EXPECT_EQ(create({.model = "x", .files = {{{"notes", text.text()}}}}), Statuses{"error: unknown type"});
  EXPECT_EQ(create({.model = "x", .files = {{{"m.gguf", text.text()}}}}),
            (Statuses{"parsing GGUF", "error: supplied file was not in GGUF format"}));
  EXPECT_EQ(code_, Code::kInvalidArgument);
  EXPECT_EQ(last({.model = "x", .files = {{{"m.gguf", cut.text()}}}}).substr(0, 32),
            "error: m.gguf is incomplete: it ");
  EXPECT_EQ(last({.model = "x", .files = {{{"m.gguf", digest_of("gone").text()}}}}),
            "error: open " + store_->blob_path(digest_of("gone")) + ": no such file or directory");
  EXPECT_EQ(code_, Code::kIo);
  EXPECT_EQ(last({.model = "x", .files = {{{"model.safetensors", text.text()}}}}).substr(0, 21),
            "error: models in safe");
  EXPECT_EQ(code_, Code::kUnsupported);
  EXPECT_EQ(last({.model = "x", .from = "nope"}), "error: model 'nope:latest' not found");
  EXPECT_EQ(last({.model = "x", .from = "gpt-oss:20b-cloud"}),
            "error: ollama cloud is disabled: remote model is unavailable");
  base("smol");
  EXPECT_EQ(last({.model = "x",
                  .from = "smol",
                  .adapters = {{{"a.gguf", adapter.text()}, {"b.gguf", adapter.text()}}}}),
            "error: only one adapter is currently supported");
  EXPECT_EQ(last({.model = "x", .from = "smol", .adapters = {{{"a.gguf", model.text()}}}}),
            "error: a.gguf is no adapter");
  EXPECT_EQ(
      last({.model = "x", .from = "smol", .quantize = "Q3_K_M"}),
      "error: unsupported quantization type Q3_K_M - supported types are F32, F16, Q4_K_S, Q4_K_M, Q8_0");
  EXPECT_EQ(code_, Code::kUnsupported);
  EXPECT_EQ(create({.model = "x", .from = "smol", .template_text = "{{ .X"}),
            Statuses{"error: template error: template: :1: unclosed action"});
  EXPECT_EQ(code_, Code::kInvalidArgument);
  EXPECT_FALSE(store_->read_manifest(named("x")));
}

TEST_F(Create, FieldsOfInfo) {
  base("smol");
  ASSERT_EQ(
      create({.model = "x",
              .from = "smol",
              .info = json::parse(
                  R"({"capabilities":["vision"],"model_family":"f","base_name":"b","quantization_level":"Q",
                                            "parameter_size":"9B","context_length":11,"embedding_length":12.0,"else":1})")})
          .back(),
      "success");
  const ConfigBlob c = config("x");
  EXPECT_EQ(c.capabilities, Statuses{"vision"});
  EXPECT_EQ(c.model_family, "f");
  EXPECT_EQ(c.model_families, (Statuses{"f", "llama"}));
  EXPECT_EQ(c.model_type, "9B");
  EXPECT_EQ(c.file_type, "Q");
  EXPECT_EQ(c.base_name, "b");
  EXPECT_EQ(c.context_length, 11u);
  EXPECT_EQ(c.embedding_length, 12u);
  const auto refusal = [&](const char* info) {
    return create({.model = "y", .from = "smol", .info = json::parse(info)}).back();
  };
  EXPECT_EQ(refusal(R"({"model_family":1})"), "error: info field \"model_family\" must be a string");
  EXPECT_EQ(refusal(R"({"context_length":"1"})"), "error: info field \"context_length\" must be a number");
  EXPECT_EQ(refusal(R"({"context_length":-1})"),
            "error: info field \"context_length\" must be a non-negative integer");
  EXPECT_EQ(refusal(R"({"embedding_length":1.5})"),
            "error: info field \"embedding_length\" must be a non-negative integer");
  EXPECT_EQ(refusal(R"({"capabilities":"x"})"),
            "error: info field \"capabilities\" must be an array of strings");
  EXPECT_EQ(refusal(R"({"capabilities":["x",1]})"),
            "error: info field \"capabilities\" element 1 must be a string");
}

TEST_F(Create, ConfigOfTheBaseIsInherited) {
  base("smol");
  create({.model = "a",
          .from = "smol",
          .renderer = "r",
          .parser = "p",
          .requires_version = "0.14.0",
          .info = json::parse(R"({"capabilities":["tools"]})")});
  create({.model = "b", .from = "a", .parser = "other"});
  const ConfigBlob c = config("b");
  EXPECT_EQ(c.renderer, "r");
  EXPECT_EQ(c.parser, "other");
  EXPECT_EQ(c.requires_version, "0.14.0");
  EXPECT_EQ(c.capabilities, Statuses{"tools"});
}

TEST_F(Create, FamiliesWithBuiltInPrompts) {
  base("g", TinyGguf{.architecture = "gemma4"});
  EXPECT_EQ(config("g").renderer, "gemma4");
  EXPECT_EQ(config("g").parser, "gemma4");
  EXPECT_EQ(text(manifest("g").layers[1]), "{\"stop\":[\"\\u003cturn|\\u003e\"]}\n");
  base("n", TinyGguf{.architecture = "nemotron_h"});
  EXPECT_EQ(config("n").parser, "nemotron-3-nano");
  EXPECT_EQ(kinds("n"), Statuses{"model"});
}

TEST_F(Create, WhatTheReplacedManifestAloneNamedIsRemoved) {
  const Digest weights = base("smol");
  create({.model = "a", .from = "smol", .system = "one"});
  create({.model = "A", .from = "smol", .system = "two"});
  EXPECT_EQ(store_->list_names().size(), 2u);
  EXPECT_FALSE(has(digest_of("one")));
  EXPECT_TRUE(has(digest_of("two")));
  EXPECT_TRUE(has(weights));
  create({.model = "a", .from = "a", .system = "three"});
  EXPECT_FALSE(has(digest_of("two")));
  EXPECT_TRUE(has(weights));
  reopen({.no_prune = true});
  create({.model = "a", .from = "a", .system = "four"});
  EXPECT_TRUE(has(digest_of("three")));
}

TEST_F(Create, ABaseThatIsNotHereIsFetched) {
  int pulls = 0;
  hooks_.pull = [&](const ModelName& name) -> Result<void> {
    ++pulls;
    EXPECT_EQ(name.short_name(), "far:latest");
    write_model("far", {layer(media::kSystem, "s")});
    return {};
  };
  EXPECT_EQ(create({.model = "x", .from = "far"}).back(), "success");
  EXPECT_EQ(create({.model = "y", .from = "far"}).back(), "success");
  EXPECT_EQ(pulls, 1);
  hooks_.pull = [](const ModelName&) -> Result<void> {
    return error(Code::kNotFound, "pull model manifest: file does not exist");
  };
  EXPECT_EQ(create({.model = "z", .from = "farther"}),
            Statuses{"error: pull model manifest: file does not exist"});
}

TEST_F(Create, CanBeCancelled) {
  base("smol");
  hooks_.cancelled = [] { return true; };
  EXPECT_EQ(create({.model = "x", .from = "smol", .system = "s"}), Statuses{"error: cancelled"});
  EXPECT_EQ(code_, Code::kCancelled);
  EXPECT_FALSE(has(digest_of("s")));
}

TEST_F(Create, ABaseWithoutItsBlob) {
  const Digest weights = base("smol");
  std::filesystem::remove(store_->blob_path(weights));
  EXPECT_EQ(create({.model = "x", .from = "smol"}),
            Statuses{"error: open " + store_->blob_path(weights) + ": no such file or directory"});
}

}  // namespace
}  // namespace quipu::store
