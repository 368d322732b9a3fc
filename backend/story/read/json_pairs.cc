#include "story/read/json_pairs.h"

#include <algorithm>
#include <charconv>

#include "story/text.h"

namespace forktail::story {
namespace {

void append_utf8(std::string& out, unsigned code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0U | code >> 6U);
    out += static_cast<char>(0x80U | (code & 0x3fU));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xe0U | code >> 12U);
    out += static_cast<char>(0x80U | (code >> 6U & 0x3fU));
    out += static_cast<char>(0x80U | (code & 0x3fU));
  } else {
    out += static_cast<char>(0xf0U | code >> 18U);
    out += static_cast<char>(0x80U | (code >> 12U & 0x3fU));
    out += static_cast<char>(0x80U | (code >> 6U & 0x3fU));
    out += static_cast<char>(0x80U | (code & 0x3fU));
  }
}

bool is_json_scalar(std::string_view text) {
  if (text == "true" || text == "false" || text == "null") {
    return true;
  }
  text.remove_prefix(text.starts_with('-') ? 1 : 0);
  if (text.empty() || !is_digit(text[0]) ||
      (text.size() > 1 && text[0] == '0' && is_digit(text[1]))) {
    return false;
  }
  return std::all_of(text.begin(), text.end(), [](char c) {
    return is_digit(c) || c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-';
  });
}

class Scan {
 public:
  explicit Scan(std::string_view text, JsonPairs& out) : text_(text), out_(out) {}

  void run() {
    skip_blanks();
    if (peek() != '{') {
      return;
    }
    out_.is_object = true;
    object("", 0);
    skip_blanks();
    out_.broken |= at_ != text_.size();
  }

 private:
  static constexpr int kDeepest = 8;

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool at_end() const { return at_ >= text_.size(); }

  void skip_blanks() {
    while (peek() == ' ' || peek() == '\t' || peek() == '\r' || peek() == '\n') {
      ++at_;
    }
  }

  void object(const std::string& prefix, int depth) {
    ++at_;
    for (;;) {
      skip_blanks();
      if (peek() == '}') {
        ++at_;
        return;
      }
      if (peek() != '"' || !member(prefix, depth)) {
        out_.broken = true;
        if (!resynchronise()) {
          return;
        }
        continue;
      }
      skip_blanks();
      if (peek() == ',') {
        ++at_;
      } else if (peek() != '}') {
        out_.broken = true;
        if (!resynchronise()) {
          return;
        }
      }
    }
  }

  bool member(const std::string& prefix, int depth) {
    std::string key = prefix;
    string(key);
    skip_blanks();
    if (peek() != ':' || out_.pairs.size() >= kMostPairs) {
      return false;
    }
    ++at_;
    skip_blanks();
    std::string value;
    bool quoted = false;
    if (peek() == '{' && depth < kDeepest) {
      object(key + ".", depth + 1);
      return true;
    }
    if (peek() == '"') {
      string(value);
      quoted = true;
    } else if (peek() == '[' || peek() == '{') {
      bracketed(value);
    } else {
      bare(value);
    }
    out_.pairs.push_back({std::move(key), std::move(value), quoted});
    return true;
  }

  void string(std::string& out) {
    ++at_;
    while (!at_end() && peek() != '"') {
      if (peek() == '\\') {
        escape(out);
      } else {
        out += text_[at_++];
      }
    }
    out_.broken |= at_end();
    ++at_;
  }

  unsigned hex(std::size_t from, std::size_t count) const {
    unsigned code = 0;
    if (from + count <= text_.size()) {
      std::from_chars(text_.data() + from, text_.data() + from + count, code, 16);
    }
    return code;
  }

  void escape(std::string& out) {
    const char kind = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
    at_ += 2;
    switch (kind) {
      case 'n':
        out += '\n';
        return;
      case 't':
        out += '\t';
        return;
      case 'r':
        out += '\r';
        return;
      case 'b':
        out += '\b';
        return;
      case 'f':
        out += '\f';
        return;
      case 'u':
        unicode(out);
        return;
      case 'x':  // nginx without escape=json
        out_.broken = true;
        out += static_cast<char>(hex(at_, 2));
        at_ += 2;
        return;
      default:
        out_.broken |= kind != '"' && kind != '\\' && kind != '/';
        out += kind;
    }
  }

  void unicode(std::string& out) {
    unsigned code = hex(at_, 4);
    at_ += 4;
    const bool pair =
        code >= 0xd800 && code < 0xdc00 && text_.substr(std::min(at_, text_.size()), 2) == "\\u";
    if (pair) {
      const unsigned low = hex(at_ + 2, 4);
      if (low >= 0xdc00 && low < 0xe000) {
        code = 0x10000 + ((code - 0xd800) << 10U) + (low - 0xdc00);
        at_ += 6;
      }
    }
    append_utf8(out, code);
  }

  // A list, or an object that lies too deep, as it stands there.
  void bracketed(std::string& out) {
    int depth = 0;
    const std::size_t from = at_;
    for (bool in_string = false; !at_end(); ++at_) {
      const char c = peek();
      if (in_string) {
        at_ += c == '\\' ? 1 : 0;
        in_string = c != '"';
      } else if (c == '"') {
        in_string = true;
      } else if (c == '[' || c == '{') {
        ++depth;
      } else if ((c == ']' || c == '}') && --depth == 0) {
        ++at_;
        break;
      }
    }
    at_ = std::min(at_, text_.size());
    out_.broken |= depth != 0;
    out = text_.substr(from, at_ - from);
  }

  // Up to the comma in front of the next key, or the end of the object.
  void bare(std::string& out) {
    const std::size_t from = at_;
    while (!at_end() && peek() != '}' && !(peek() == ',' && key_follows(at_ + 1))) {
      ++at_;
    }
    out = trimmed(text_.substr(from, at_ - from));
    if (!is_json_scalar(out)) {
      out_.broken = true;
      while (out.ends_with('"')) {
        out.pop_back();
      }
    } else if (out == "null") {
      out.clear();
    }
  }

  bool key_follows(std::size_t at) const {
    while (at < text_.size() && (text_[at] == ' ' || text_[at] == '\t')) {
      ++at;
    }
    return at < text_.size() && text_[at] == '"';
  }

  // To the next key of a line that is none of JSON.
  bool resynchronise() {
    while (!at_end() && !(peek() == ',' && key_follows(at_ + 1))) {
      ++at_;
    }
    at_ += at_end() ? 0 : 1;
    return !at_end();
  }

  std::string_view text_;
  JsonPairs& out_;
  std::size_t at_ = 0;
};

}  // namespace

const std::string* JsonPairs::find(std::string_view key) const {
  for (const Pair& pair : pairs) {
    if (pair.key == key) {
      return &pair.value;
    }
  }
  return nullptr;
}

JsonPairs json_pairs(std::string_view line) {
  JsonPairs out;
  Scan(line, out).run();
  return out;
}

}  // namespace forktail::story
