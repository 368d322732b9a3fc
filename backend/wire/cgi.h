// The CGI variables of a request that no web server has seen: what nginx would have made of it.
//
// Pure functions for any process and thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "forktail/response.h"

namespace forktail::wire {

struct ClientRequest {
  std::string method = "GET";
  std::string uri = "/";        // the path, percent-encoded, and `?query` if there is one
  std::vector<Header> headers;  // those of one name are joined into one variable
  std::string body;
  std::vector<Header> variables;  // further variables; those of the same name are replaced
  bool keep = false;              // asks the server to keep the connection
};

// The variables that nginx sends for such a request from a client at 127.0.0.1, in nginx's order,
// and FORKTAIL_SENT and UWSGI_KEEP_CONN as forktail's nginx module adds them.
std::vector<Header> cgi_variables(const ClientRequest& request);

// %HH decoded; a `%` that two hex digits do not follow stands for itself.
std::string percent_decoded(std::string_view text);

}  // namespace forktail::wire
