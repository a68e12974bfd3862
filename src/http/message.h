// What goes over the wire, as values: headers, a request, an answer.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace quipu::http {

// Header lines in their order. Names are compared without regard to case.
class Headers {
 public:
  Headers() = default;
  Headers(std::initializer_list<std::pair<std::string, std::string>> lines) : lines_(lines) {}

  void add(std::string name, std::string value) { lines_.emplace_back(std::move(name), std::move(value)); }
  // The value of the first line of that name.
  std::optional<std::string_view> find(std::string_view name) const;
  bool contains(std::string_view name) const { return find(name).has_value(); }

  auto begin() const { return lines_.begin(); }
  auto end() const { return lines_.end(); }
  size_t size() const { return lines_.size(); }

 private:
  std::vector<std::pair<std::string, std::string>> lines_;
};

struct Request {
  std::string method = "GET";  // as written; any token is possible
  std::string target = "/";    // path and query, as written
  Headers headers = {};
  std::string body = {};
};

struct Response {
  int status = 200;
  Headers headers = {};
  std::string body = {};
};

// What the transport itself has to say, in the words that clients of Ollama know: "400 Bad Request", with a
// sentence behind it "413 Payload Too Large: …".
Response error_response(int status, std::string_view sentence);

bool equal_ignoring_case(std::string_view a, std::string_view b);

// The standard phrase of a status: "Not Found"; "Unknown" where there is none.
std::string_view status_phrase(int status);

// Whether an answer of this status may have a body at all.
bool status_has_body(int status);

// "Name: value\r\n" for every line. What could end a line early is replaced by a space, lines without a valid
// name and those that say how long the message is or whether the connection stays (the transport's own) are
// left out.
void append_header_lines(std::string& out, const Headers& headers);

}  // namespace quipu::http
