// The head of a request: its variables, parsed and checked, and those that the server itself reads.
//
// A RequestHead belongs to one connection's thread and is meant to be used again and again: reading
// a head keeps the memory of the last one. All views point into the packet's bytes.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "forktail/request.h"

namespace forktail::wire {

struct RequestHead {
  std::vector<Variable> variables;
  std::string_view method;           // REQUEST_METHOD, a token
  std::string_view path;             // PATH_INFO; empty when it was not sent
  std::string_view query;            // QUERY_STRING
  std::string_view request_id;       // REQUEST_ID, unchecked; empty when it was not sent
  std::string_view header_id;        // HTTP_X_REQUEST_ID, unchecked: what the client says
  std::string_view traceparent;      // HTTP_TRACEPARENT, unchecked
  std::uint64_t content_length = 0;  // CONTENT_LENGTH
  std::string_view tls_peer;         // kTlsPeerSubject, as the server has added it
  bool keep = false;                 // UWSGI_KEEP_CONN is "1": the peer can keep the connection
  // FORKTAIL_SENT: when the web server made the packet, since the epoch; nothing when it was not
  // sent or is no time.
  std::optional<std::chrono::milliseconds> sent;

  // Forgets the request but keeps the memory.
  void clear();
};

// What the server itself knows of the peer: the subject of the certificate that it has shown.
constexpr std::string_view kTlsPeerSubject = "TLS_PEER_SUBJECT";

// Parses `data` (what follows the packet's header). Returns what is wrong, as a phrase for a log
// line; empty when the request may be served. Refused are, besides malformed packets, a method that
// is no token (RFC 9110, section 9.1), a CONTENT_LENGTH that is not digits alone, and either of
// them given twice with different values: two readers could disagree on where the request ends.
// Of any other variable that comes twice, the last counts, as with uWSGI. A kTlsPeerSubject that
// was sent is left out.
std::string_view read_head(std::string_view data, RequestHead& out);

}  // namespace forktail::wire
