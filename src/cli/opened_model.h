// A model that can be talked to: where it is served and what it is.
#pragma once

#include <memory>
#include <string>

#include "cli/api.h"
#include "cli/console.h"
#include "cli/show_text.h"

namespace quipu::cli {

struct OpenedModel {
  std::shared_ptr<Api> api;
  std::string name;         // as requests have it
  bool is_file = false;     // served by a private server for as long as this is held
  bool is_private = false;  // the server ends with this command
  Json shown;               // the answer of /api/show

  bool can(std::string_view capability) const { return has_capability(shown, capability); }
};

// Threads: the main thread.
class ModelOpener {
 public:
  virtual ~ModelOpener() = default;
  // kNotFound: there is no such model. Nothing is loaded yet.
  virtual Result<OpenedModel> open(const std::string& model) = 0;
};

// Files in private servers, names at the server of the environment, or where none listens in a private one on
// the user's store.
class EnvironmentOpener : public ModelOpener {
 public:
  // verbose: says who serves. threads: of private servers; 0: they decide.
  EnvironmentOpener(bool verbose, int64_t threads, Console& console)
      : verbose_(verbose), threads_(threads), console_(console) {}

  Result<OpenedModel> open(const std::string& model) override;
  // The same, but a model that the server lacks is pulled first.
  Result<OpenedModel> open_or_pull(const std::string& model, bool insecure);

 private:
  Result<OpenedModel> open_file(const std::string& file);
  Result<std::shared_ptr<Api>> server();

  const bool verbose_;
  const int64_t threads_;
  Console& console_;
  std::shared_ptr<Api> server_;  // once it was needed
  bool server_is_private_ = false;
};

// Whether `text` is to be taken for a file rather than a name; errors: it looks like a file that cannot be
// used.
Result<bool> names_file(const std::string& text);

}  // namespace quipu::cli
