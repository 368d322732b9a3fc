#include "wire/response_reader.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "wire/http.h"
#include "wire/packet.h"
#include "wire/response_head.h"

namespace forktail::wire {
namespace {

[[noreturn]] void malformed(const std::string& what) { throw MalformedResponse(what); }

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) {
    return {};
  }
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// "404 Not Found": three digits and, after a blank, anything.
int parse_status(std::string_view text) {
  int status = 0;
  const char* end = text.data() + std::min<std::size_t>(text.size(), 3);
  const auto [stop, error] = std::from_chars(text.data(), end, status);
  const bool ends = text.size() == 3 || (text.size() > 3 && text[3] == ' ');
  if (error != std::errc() || stop != end || !ends || status < 100 || status > 599) {
    malformed("the status \"" + std::string(text) + "\" is not one of 100 to 599");
  }
  return status;
}

bool lists(std::string_view value, std::string_view item) {
  while (!value.empty()) {
    const std::size_t comma = value.find(',');
    if (equals_ignoring_case(trimmed(value.substr(0, comma)), item)) {
      return true;
    }
    value.remove_prefix(comma == std::string_view::npos ? value.size() : comma + 1);
  }
  return false;
}

// The Content-Length that all of these headers agree on; nothing when there is none.
std::optional<std::uint64_t> content_length(const std::vector<Header>& headers) {
  std::optional<std::uint64_t> length;
  for (const Header& header : headers) {
    if (!equals_ignoring_case(header.name, "Content-Length")) {
      continue;
    }
    const auto value = parse_content_length(header.value);
    if (header.value.empty() || !value) {
      malformed("the Content-Length \"" + header.value + "\" is not a number");
    }
    if (length.value_or(*value) != *value) {
      malformed("Content-Length is given twice with different values");
    }
    length = value;
  }
  return length;
}

}  // namespace

std::string_view ClientResponse::header(std::string_view name) const {
  const auto found = std::find_if(headers.begin(), headers.end(), [&](const Header& header) {
    return equals_ignoring_case(header.name, name);
  });
  return found == headers.end() ? std::string_view() : std::string_view(found->value);
}

void ResponseReader::feed(std::string_view bytes) {
  buffer_ += bytes;
  while (!complete() && step()) {
  }
  buffer_.erase(0, position_);
  position_ = 0;
  if (complete() && !buffer_.empty()) {
    if (buffer_.find_first_not_of("\r\n") != std::string::npos) {
      malformed(std::to_string(buffer_.size()) + " bytes follow the end of the response");
    }
    response_.kept = false;
  }
}

void ResponseReader::end() {
  switch (part_) {
    case Part::done:
      return;
    case Part::endless_body:
      return finish();
    case Part::first_line:
    case Part::headers:
      if (response_.head.empty() && buffer_.empty()) {
        malformed("the connection was closed before an answer came");
      }
      malformed("the connection was closed within the response's head");
    default:
      malformed("the connection was closed within the body, after " +
                std::to_string(response_.body.size()) + " bytes of it");
  }
}

// Reads one line or one piece of the body; false when it is not all there yet.
bool ResponseReader::step() {
  if (part_ == Part::sized_body || part_ == Part::chunk_data || part_ == Part::endless_body) {
    return take_data();
  }
  std::string_view line;
  if (!take_line(line)) {
    return false;
  }
  switch (part_) {
    case Part::first_line:
      if (!line.empty()) {
        read_first_line(line);
      }
      break;
    case Part::headers:
      line.empty() ? finish_head() : read_header(line);
      break;
    case Part::chunk_size:
      read_chunk_size(line);
      break;
    case Part::chunk_end:
      if (!line.empty()) {
        malformed("a chunk is longer than its size says");
      }
      part_ = Part::chunk_size;
      break;
    default:  // the trailer: lines up to an empty one, of no interest
      if (line.empty()) {
        finish();
      }
  }
  return true;
}

// Takes a line without its end, which may lack the CR (RFC 9112, section 2.2).
bool ResponseReader::take_line(std::string_view& line) {
  const std::size_t end = buffer_.find('\n', position_);
  const std::size_t size = std::min(end, buffer_.size()) - position_;
  if (response_.head.size() + size > kMaxHead) {
    malformed("a line or the head is longer than " + std::to_string(kMaxHead) + " bytes");
  }
  if (end == std::string::npos) {
    return false;
  }
  line = std::string_view(buffer_).substr(position_, size);
  position_ = end + 1;
  if (line.ends_with('\r')) {
    line.remove_suffix(1);
  }
  return true;
}

bool ResponseReader::take_data() {
  const std::size_t came = buffer_.size() - position_;
  if (part_ == Part::endless_body) {
    response_.body.append(buffer_, position_, came);
    position_ += came;
    return false;
  }
  const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, came));
  response_.body.append(buffer_, position_, size);
  position_ += size;
  remaining_ -= size;
  if (remaining_ > 0) {
    return false;
  }
  if (part_ == Part::sized_body) {
    finish();
  } else {
    part_ = Part::chunk_end;
  }
  return true;
}

void ResponseReader::read_first_line(std::string_view line) {
  part_ = Part::headers;
  if (!line.starts_with("HTTP/")) {
    return read_header(line);  // CGI: the status is a header
  }
  persistent_ = line.starts_with("HTTP/1.1 ");
  if (!persistent_ && !line.starts_with("HTTP/1.0 ")) {
    malformed("the status line does not begin with HTTP/1.1 or HTTP/1.0 and a blank");
  }
  constexpr std::size_t kVersionSize = 9;
  response_.status = parse_status(line.substr(kVersionSize));
  response_.head.append(line).append("\r\n");
}

void ResponseReader::read_header(std::string_view line) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) {
    malformed("a header line does not begin with a name and a colon");
  }
  const std::string_view value = trimmed(line.substr(colon + 1));
  if (!is_field_value(value)) {
    malformed("the header " + std::string(line.substr(0, colon)) + " has a control character");
  }
  response_.headers.push_back({std::string(line.substr(0, colon)), std::string(value)});
  response_.head.append(line).append("\r\n");
}

void ResponseReader::finish_head() {
  response_.head += "\r\n";
  if (response_.status >= 100 && response_.status < 200) {
    response_ = {};
    part_ = Part::first_line;
    return;
  }
  if (response_.status == 0) {
    if (const std::string_view status = response_.header("Status"); !status.empty()) {
      response_.status = parse_status(status);
      if (response_.status < 200) {
        malformed("the header Status announces an interim response");
      }
    } else {
      response_.status = response_.header("Location").empty() ? 200 : 302;
    }
  }
  begin_body();
}

void ResponseReader::begin_body() {
  const std::string_view coding = response_.header("Transfer-Encoding");
  const auto length = content_length(response_.headers);
  if (!coding.empty() && !equals_ignoring_case(coding, "chunked")) {
    malformed("the Transfer-Encoding \"" + std::string(coding) + "\" is not \"chunked\"");
  }
  if (!coding.empty() && length) {
    malformed("both Content-Length and Transfer-Encoding are given");
  }
  response_.kept = persistent_ && !lists(response_.header("Connection"), "close");
  if (!body_allowed(response_.status, head_request_)) {
    finish();
  } else if (!coding.empty()) {
    part_ = Part::chunk_size;
  } else if (length) {
    remaining_ = *length;
    part_ = Part::sized_body;
  } else {
    response_.kept = false;
    part_ = Part::endless_body;
  }
}

void ResponseReader::read_chunk_size(std::string_view line) {
  const char* end = line.data() + line.size();
  const auto [stop, error] = std::from_chars(line.data(), end, remaining_, 16);
  if (error != std::errc() || (stop != end && *stop != ';' && *stop != ' ' && *stop != '\t')) {
    malformed("a chunk does not begin with its size in hexadecimal digits");
  }
  part_ = remaining_ == 0 ? Part::trailer : Part::chunk_data;
}

void ResponseReader::finish() { part_ = Part::done; }

}  // namespace forktail::wire
