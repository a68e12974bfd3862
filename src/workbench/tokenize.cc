#include <iostream>
#include <nlohmann/json.hpp>

#include "tokenizer/tokenizer.h"
#include "workbench/command_line.h"
#include "workbench/commands.h"

namespace quipu::workbench {

namespace {

struct Options {
  std::string file, text, text_file, decode;
  bool has_text = false, has_decode = false, no_parse_special = false, no_add_special = false, json = false;
};

bool is_utf8(const std::string& s) {
  Utf8Stream stream;
  return stream.push(s) + stream.finish() == s;
}

// A token's bytes: a JSON string where they are text, else {"hex":"..."}.
nlohmann::ordered_json piece_json(const std::string& piece) {
  if (is_utf8(piece)) return piece;
  std::string hex;
  for (unsigned char c : piece) hex += fmt::format("{:02x}", c);
  return {{"hex", hex}};
}

Result<std::string> input(const Options& o) {
  if (!o.text_file.empty()) return read_text(o.text_file);
  if (!o.has_text || o.text == "-") return read_text("-");
  return o.text;
}

Result<void> run(const Options& o) {
  gguf::File::Options open;
  open.require_tensor_data = false;
  gguf::guard_mappings();
  QUIPU_ASSIGN(const auto file, gguf::File::open(o.file, open));
  QUIPU_ASSIGN(const auto tokenizer, Tokenizer::load(*file));
  if (o.has_decode) {
    QUIPU_ASSIGN(const auto ids, parse_ids(o.decode));
    for (Token id : ids)
      if (id >= tokenizer->size())
        return error(Code::kInvalidArgument, "token {} is not in the vocabulary of {}", id,
                     tokenizer->size());
    const std::string text = tokenizer->decode(ids, false, true);
    if (o.json)
      std::cout << nlohmann::ordered_json({{"text", piece_json(text)}}).dump() << "\n";
    else
      std::cout << text;
    return {};
  }
  QUIPU_ASSIGN(const std::string text, input(o));
  const std::vector<Token> ids = tokenizer->encode(text, !o.no_add_special, !o.no_parse_special);
  if (o.json) {
    nlohmann::ordered_json out;
    out["tokens"] = ids;
    out["pieces"] = nlohmann::json::array();
    for (Token id : ids) out["pieces"].push_back(piece_json(tokenizer->piece(id, true)));
    std::cout << out.dump() << "\n";
  } else {
    for (Token id : ids) std::cout << id << "\t" << tokenizer->piece(id, true) << "\n";
  }
  return {};
}

}  // namespace

int tokenize_command(std::span<const std::string> args) {
  Options o;
  CLI::App app("Text to token ids (ID<TAB>PIECE a line), and back", "quipu tokenize");
  app.add_option("FILE", o.file, "GGUF file; a vocabulary without tensors is enough")->required();
  CLI::Option* text = app.add_option("TEXT", o.text, "the text; - or nothing: standard input");
  CLI::Option* from = app.add_option("--file", o.text_file, "read the text from a file")->excludes(text);
  app.add_flag("--no-parse-special", o.no_parse_special, "special tokens written in the text are plain text");
  app.add_flag("--no-add-special", o.no_add_special, "no BOS or EOS around the text");
  CLI::Option* decode =
      app.add_option("--decode", o.decode, "ids to text: 1,2,3")->excludes(text)->excludes(from);
  app.add_flag("--json", o.json, "one JSON object");
  int code = kOk;
  if (!parse(app, args, &code)) return code;
  o.has_text = text->count() > 0;
  o.has_decode = decode->count() > 0;
  return finish([&] { return run(o); });
}

}  // namespace quipu::workbench
