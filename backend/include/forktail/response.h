// What an application answers: a string, a file or a stream.
//
// A plain value: made, changed and returned by one thread; copies share the file.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "forktail/api.h"
#include "forktail/cookie.h"
#include "forktail/header.h"
#include "forktail/writer.h"

namespace forktail {

// An open regular file, closed with the last response that refers to it.
class FORKTAIL_API ResponseFile {
 public:
  explicit ResponseFile(int descriptor) : descriptor_(descriptor) {}  // takes it over
  ~ResponseFile();
  ResponseFile(const ResponseFile&) = delete;
  ResponseFile& operator=(const ResponseFile&) = delete;

  [[nodiscard]] int descriptor() const { return descriptor_; }
  [[nodiscard]] std::uint64_t size() const { return size_; }

 private:
  friend class Response;

  int descriptor_;
  std::uint64_t size_ = 0;
};

class FORKTAIL_API Response {
 public:
  using Stream = std::function<void(Writer&)>;

  Response() = default;

  // The short form: status (200 to 599; anything else makes the answer a 500),
  // content type ("" for none), body (bytes).
  Response(int status, std::string_view content_type, std::string body)
      : status_(status), body_(std::move(body)) {
    if (!content_type.empty()) {
      add_header("Content-Type", content_type);
    }
  }

  // 200 with the bytes of a file, which go from the page cache to the socket by sendfile(2). The
  // file is opened here, so status() tells at once what became of it: 404 when there is none or it
  // is no regular file (a directory, a FIFO), 403 when it may not be read. Throws std::system_error
  // naming the path when it can not be opened for a reason that is not the file's (no descriptors
  // left). Content-Length is the size that the file has now; one that is cut while it is being sent
  // cuts the response. Ranges are nginx's: they are answered where its configuration says so.
  //
  // `path` is taken as it is: never build it from a request without making sure that no part of it
  // is "..".
  static Response file(const std::string& path, std::string_view content_type);

  // `produce` writes the body, after handle() has returned, in the same thread and with the same
  // request current. The head is sent with the first write(): what `produce` throws before it is a
  // 500, like an exception of handle(); what it throws after it cuts the connection and leaves a
  // log line. It is not called where no body may be sent (HEAD, 204, 304).
  //
  // The length being unknown, the body is chunked to a peer that understands it (one that keeps
  // connections: forktail_pass); to any other it ends with the connection, which can not tell a
  // whole body from a cut one.
  static Response stream(int status, std::string_view content_type, Stream produce) {
    Response response(status, content_type, {});
    response.stream_ = std::move(produce);
    return response;
  }

  // Adds a header; the same name may be added again. Content-Length, Transfer-Encoding, Connection
  // and the id header are the server's: given here they are dropped. A name that is no token or a
  // value with a control character makes the answer a 500 and a log line, since it could split the
  // response (RFC 9110, section 5.5).
  Response& add_header(std::string_view name, std::string_view value) {
    headers_.push_back({std::string(name), std::string(value)});
    return *this;
  }

  // Adds a Set-Cookie header (RFC 6265, section 4.1). Throws std::invalid_argument, naming the
  // culprit, when `name` is no token, `value` has more than cookie-octets (no blank, quote, comma,
  // semicolon, backslash or control character: encode it first), or an attribute a semicolon or
  // control character.
  Response& set_cookie(std::string_view name, std::string_view value,
                       const CookieAttributes& attributes = {});

  [[nodiscard]] int status() const { return status_; }
  [[nodiscard]] const std::vector<Header>& headers() const { return headers_; }

  // The body is one of these three.
  [[nodiscard]] const std::string& body() const { return body_; }
  [[nodiscard]] const ResponseFile* file() const { return file_.get(); }
  [[nodiscard]] const Stream& stream() const { return stream_; }

  // The body's length; nothing for a stream.
  [[nodiscard]] std::optional<std::uint64_t> content_length() const {
    if (stream_) {
      return std::nullopt;
    }
    return file_ != nullptr ? file_->size() : body_.size();
  }

 private:
  int status_ = 200;
  std::vector<Header> headers_;
  std::string body_;
  std::shared_ptr<const ResponseFile> file_;
  Stream stream_;
};

}  // namespace forktail
