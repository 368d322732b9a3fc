// The head of a response, as the server sends it.
//
// Pure functions for any process and thread.
#pragma once

#include <string>
#include <string_view>

#include "forktail/response.h"

namespace forktail::wire {

// Replaces `out` by the status line, X-Request-ID: `id`, the application's headers in their order,
// the framing, `Connection: keep-alive` or `close`, and the empty line. The framing and the id are
// the server's: Content-Length, Transfer-Encoding, Connection and X-Request-ID of the application
// are dropped, in any case.
//
// The framing is Content-Length; of a stream, `Transfer-Encoding: chunked` to a peer that takes
// `chunks`, and to any other nothing: its body ends with the connection, so it must not be kept.
// A connection that is to be kept is said to be: nginx 1.29.7 and later keep none by themselves;
// and `Keep-Alive: gives-back`, that a line end comes before such a connection is closed: where
// none came, the process has died, and forktail_pass does not send the request to another one.
// HEAD has what GET would have. 204 has none (RFC 9110, section 8.6), and 304 has one only when the
// application made a body: it would describe the 200's, which an empty one does not.
//
// `id` must be valid (id/validate.h). Returns false, and in `wrong` why, when the status is outside
// of 200 to 599, a header's name is no token or its value has a control character; `out` is then
// empty.
bool compose_head(const Response& response, std::string_view id, bool keep, bool chunks,
                  std::string& out, std::string& wrong);

// Whether the bytes of a body follow the head: not for HEAD, 1xx, 204 and 304 (RFC 9112,
// section 6.3).
bool body_allowed(int status, bool head_request);

// The phrase registered for `status`; else the name of its class (RFC 9110, section 15), since
// clients and logs show it to people; empty outside of 100 to 599.
std::string_view reason_phrase(int status);

}  // namespace forktail::wire
