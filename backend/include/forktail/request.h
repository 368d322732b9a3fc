// One request, as it came over the uwsgi protocol.
//
// All views point into memory that belongs to the server and lives until the answer has been sent:
// through handle(), and through the function of a Response::stream(). Copy what must outlive that.
// A Request never changes, so any thread may read it for as long as it lives. Nothing throws unless
// it says so.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "forktail/api.h"
#include "forktail/body_stream.h"
#include "forktail/header.h"
#include "forktail/parameters.h"

namespace forktail {

// One CGI variable (RFC 3875, section 4.1) as the web server sent it; values are bytes, not text.
struct Variable {
  std::string_view name;
  std::string_view value;
};

class FORKTAIL_API Request {
 public:
  // What it is given must outlive it. `body_file` holds the same bytes as `body`, from its start;
  // -1 when the body is in memory.
  Request(std::span<const Variable> variables, std::string_view body, int body_file = -1);

  // REQUEST_METHOD, as sent: methods are case-sensitive (RFC 9110, section 9.1).
  [[nodiscard]] std::string_view method() const FORKTAIL_LIFETIMEBOUND { return method_; }

  // PATH_INFO: the decoded and normalised path, without the query. It may hold any byte.
  [[nodiscard]] std::string_view path() const FORKTAIL_LIFETIMEBOUND { return path_; }

  // QUERY_STRING, still percent-encoded; empty when there is none.
  [[nodiscard]] std::string_view query_string() const FORKTAIL_LIFETIMEBOUND { return query_; }

  // The query string's names and values, decoded.
  [[nodiscard]] Parameters query() const { return Parameters(query_); }

  // The first value of `name` in the query string, decoded; nothing when it is not there.
  [[nodiscard]] std::optional<std::string> query(std::string_view name) const {
    return query().get(name);
  }

  // The names and values of a posted form: of a body whose Content-Type is
  // application/x-www-form-urlencoded. Empty for any other.
  [[nodiscard]] Parameters form() const;

  // The header `name` ("User-Agent", any case); empty when it was not sent. A header that was sent
  // several times is one value, joined as RFC 9110, section 5.3 says, if the web server joins them,
  // as forktail_pass does; else the last one.
  [[nodiscard]] std::string_view header(std::string_view name) const FORKTAIL_LIFETIMEBOUND;

  // All headers, as the web server passed them on, with names in lower case ("user-agent").
  // An underscore in a name can not be told from a hyphen: CGI writes both as `_`.
  [[nodiscard]] std::vector<Header> headers() const;

  // The value of the first cookie `name` as the client sent it, with its quotes if it has any;
  // nothing when it sent none (RFC 6265, section 5.4). Names are case-sensitive.
  [[nodiscard]] std::optional<std::string_view> cookie(std::string_view name) const
      FORKTAIL_LIFETIMEBOUND;

  // The variable `name` ("REMOTE_ADDR", exact case); empty when it was not sent. Of several of one
  // name the last counts, as with uWSGI.
  [[nodiscard]] std::string_view variable(std::string_view name) const FORKTAIL_LIFETIMEBOUND;
  [[nodiscard]] std::span<const Variable> variables() const FORKTAIL_LIFETIMEBOUND {
    return variables_;
  }

  // The whole body: exactly CONTENT_LENGTH bytes, all of which had come before handle() was called.
  // One above `post-buffering` lies in a temporary file that has no name, and is mapped from there:
  // reading it costs page cache, not memory of the worker.
  [[nodiscard]] std::string_view body() const FORKTAIL_LIFETIMEBOUND { return body_; }

  // The same, to be read piece by piece.
  [[nodiscard]] BodyStream body_stream() const { return {body_, body_file_}; }

 private:
  std::span<const Variable> variables_;
  std::string_view body_;
  int body_file_;
  std::string_view method_;
  std::string_view path_;
  std::string_view query_;
};

}  // namespace forktail
