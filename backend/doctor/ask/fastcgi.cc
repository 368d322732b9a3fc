#include "doctor/ask/fastcgi.h"

#include <algorithm>
#include <cstddef>
#include <stdexcept>

namespace forktail::doctor {

namespace {

constexpr char kVersion = 1;
constexpr std::size_t kHead = 8;
constexpr std::size_t kLargestContent = 65535;

enum RecordType : char {
  kBeginRequest = 1,
  kEndRequest = 3,
  kParams = 4,
  kStdin = 5,
  kStdout = 6,
};

void add_record(std::string& out, RecordType type, std::string_view content) {
  out += {kVersion, type, 0, 1};  // request 1
  out += static_cast<char>(content.size() >> 8U);
  out += static_cast<char>(content.size() & 0xffU);
  out += {0, 0};  // no padding
  out += content;
}

void add_length(std::string& out, std::size_t length) {
  constexpr std::size_t kShort = 127;
  if (length <= kShort) {
    out += static_cast<char>(length);
    return;
  }
  out += static_cast<char>(length >> 24U | 0x80U);
  out += static_cast<char>(length >> 16U & 0xffU);
  out += static_cast<char>(length >> 8U & 0xffU);
  out += static_cast<char>(length & 0xffU);
}

std::size_t byte_at(const std::string& text, std::size_t at) {
  return static_cast<unsigned char>(text[at]);
}

}  // namespace

std::string fastcgi_request(const std::vector<Header>& variables) {
  std::string params;
  for (const Header& variable : variables) {
    add_length(params, variable.name.size());
    add_length(params, variable.value.size());
    params += variable.name;
    params += variable.value;
  }
  std::string out;
  constexpr std::string_view kResponderThatCloses("\0\1\0\0\0\0\0\0", kHead);
  add_record(out, kBeginRequest, kResponderThatCloses);
  for (std::size_t at = 0; at < params.size(); at += kLargestContent) {
    add_record(out, kParams, std::string_view(params).substr(at, kLargestContent));
  }
  add_record(out, kParams, {});
  add_record(out, kStdin, {});
  return out;
}

void FastcgiReader::feed(std::string_view bytes, std::string& output) {
  buffer_ += bytes;
  std::size_t at = 0;
  while (buffer_.size() - at >= kHead && !over_) {
    if (buffer_[at] != kVersion) {
      throw std::runtime_error("the answer is not FastCGI");
    }
    const std::size_t content = byte_at(buffer_, at + 4) << 8U | byte_at(buffer_, at + 5);
    const std::size_t size = kHead + content + byte_at(buffer_, at + 6);
    if (buffer_.size() - at < size) {
      break;
    }
    over_ = buffer_[at + 1] == kEndRequest;
    if (buffer_[at + 1] == kStdout) {
      output.append(buffer_, at + kHead, content);
    }
    at += size;
  }
  buffer_.erase(0, at);
}

}  // namespace forktail::doctor
