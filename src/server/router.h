// Which handler a path and a method lead to, and what is answered where none is: Ollama's 404, 405 and
// redirects. Spec: ollama-compat 1.1, 1.2.
//
// Threads: immutable once built.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "http/message.h"

namespace quipu::server {

// A path as the routes see it: decoded, without the query.
struct Target {
  std::string path;
  std::string query;
  bool valid = true;  // false: an escape that is none
};
Target parse_target(std::string_view target);

template <class Handler>
class Router {
 public:
  // "/api/tags"; a last part ":name" matches any one part.
  void add(std::string_view method, std::string_view pattern, Handler handler) {
    routes_.push_back({std::string(method), std::string(pattern), handler});
  }

  struct Match {
    Handler handler;
    std::string parameter;
    std::string_view pattern;  // the router's own
  };
  struct Otherwise {
    bool known = false;    // the path, with other methods
    std::string allow;     // these
    std::string redirect;  // the path that was meant
    bool cleaned = false;  // it is another spelling, of whatever there is; else this method's route
  };

  std::variant<Match, Otherwise> find(std::string_view method, std::string_view path) const;

 private:
  struct Route {
    std::string method, pattern;
    Handler handler;
  };
  // The part that a ":name" stands for; nothing if the pattern does not fit.
  static bool fits(std::string_view pattern, std::string_view path, std::string* parameter) {
    const size_t colon = pattern.find("/:");
    if (colon == pattern.npos) return pattern == path;
    if (!path.starts_with(pattern.substr(0, colon + 1))) return false;
    const std::string_view rest = path.substr(colon + 1);
    if (rest.empty() || rest.find('/') != rest.npos) return false;
    *parameter = std::string(rest);
    return true;
  }
  bool exists(std::string_view method, std::string_view path) const {
    std::string unused;
    for (const Route& r : routes_)
      if (r.method == method && fits(r.pattern, path, &unused)) return true;
    return false;
  }

  std::vector<Route> routes_;
};

// Without "//", "." and ".." parts; a slash at the end stays.
std::string clean_path(std::string_view path);

// As it stands in a URL: percent-encoded.
std::string escape_path(std::string_view path);

template <class Handler>
std::variant<typename Router<Handler>::Match, typename Router<Handler>::Otherwise> Router<Handler>::find(
    std::string_view method, std::string_view path) const {
  Otherwise no;
  if (std::string clean = clean_path(path); clean != path) {
    no.redirect = std::move(clean);
    no.cleaned = true;
    return no;
  }
  for (const Route& r : routes_) {
    std::string parameter;
    if (!fits(r.pattern, path, &parameter)) continue;
    if (r.method == method) return Match{r.handler, std::move(parameter), r.pattern};
    no.known = true;
    no.allow += (no.allow.empty() ? "" : ", ") + r.method;
  }
  if (no.known) return no;
  std::string other(path);
  if (other.size() > 1 && other.ends_with('/'))
    other.pop_back();
  else
    other += '/';
  if (exists(method, other)) no.redirect = std::move(other);
  return no;
}

}  // namespace quipu::server
