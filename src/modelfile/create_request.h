// From a Modelfile to the body of POST /api/create, as the command line makes it: paths become digests of the
// files that lie there, parameters get their types. Spec: ollama-compat 7.2, 3.7.
//
// Threads: reads files; no state.
#pragma once

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/result.h"
#include "modelfile/modelfile.h"

namespace quipu::modelfile {

using FileDigests = std::map<std::string, Digest>;  // by the file's absolute path

struct StoredMessage {
  std::string role, content;
};

struct CreateRequest {
  std::string from;  // a model's name; files count only where it is empty
  FileDigests files, adapters, draft_files;
  std::string template_text, system, renderer, parser, requires_version;
  std::vector<std::string> licenses;
  nlohmann::json parameters = nlohmann::json::object();
  std::vector<StoredMessage> messages;

  std::vector<std::string> warnings;  // for the user: "warning: parameter mirostat is deprecated"
};

// Paths are taken from `folder`, which is where the Modelfile lies. Hashes every file it names, so it may
// take long: go_on, if there is one, is called between pieces of a file, and false ends it (kCancelled).
Result<CreateRequest> make_create_request(const Modelfile& modelfile, const std::string& folder,
                                          const std::function<bool()>& go_on = {});

// The names under which files are sent: relative to the folder that all of them lie in.
std::map<std::string, std::string> names_below_common_folder(const FileDigests& files);

// The body, without "model" and with names as above; fields that say nothing are left out.
nlohmann::ordered_json to_json(const CreateRequest& request);

}  // namespace quipu::modelfile
