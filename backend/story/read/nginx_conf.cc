// The log_formats of an nginx configuration.
#include <fmt/format.h>
#include <glob.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "story/read/access_format.h"

namespace forktail::story {
namespace {

constexpr std::size_t kLargestConfiguration = 4U << 20;
constexpr int kMostFiles = 500;
constexpr int kDeepestInclude = 8;

class ConfigurationReader {
 public:
  void read(const std::filesystem::path& path, int depth) {
    if (base_.empty()) {
      base_ = path.parent_path();
    }
    std::ifstream file(path, std::ios::binary);
    if (!file || ++files_ > kMostFiles || depth > kDeepestInclude) {
      trouble = fmt::format("{}: can not be read, or is one include too many", path.string());
      return;
    }
    std::string text(kLargestConfiguration, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(file.gcount()));
    std::vector<std::string> words;
    for (std::size_t at = 0; next_word(text, at);) {
      if (word_ != ";" && word_ != "{" && word_ != "}") {
        words.push_back(word_);
        continue;
      }
      directive(words, depth);
      words.clear();
    }
  }

  AccessFormats formats;
  std::string trouble;

 private:
  void directive(const std::vector<std::string>& words, int depth) {
    if (words.size() > 2 && words[0] == "log_format") {
      std::string text;
      for (std::size_t i = 2; i < words.size(); ++i) {
        text += words[i].starts_with("escape=") ? "" : words[i];
      }
      formats.emplace_back(words[1], text);
    } else if (words.size() == 2 && words[0] == "include") {
      include(words[1], depth);
    }
  }

  void include(const std::string& pattern, int depth) {
    const std::string full = pattern.starts_with('/') ? pattern : (base_ / pattern).string();
    glob_t found{};
    if (glob(full.c_str(), 0, nullptr, &found) == 0) {
      for (std::size_t i = 0; i < found.gl_pathc; ++i) {
        read(found.gl_pathv[i], depth + 1);
      }
    }
    globfree(&found);
  }

  // nginx's words: quoted ones keep their blanks, a backslash hides the quote behind it.
  bool next_word(const std::string& text, std::size_t& at) {
    word_.clear();
    static constexpr std::string_view kBlanks = " \t\r\n";
    while (at < text.size() &&
           (kBlanks.find(text[at]) != std::string_view::npos || text[at] == '#')) {
      at = text[at] == '#' ? std::min(text.find('\n', at), text.size()) : at + 1;
    }
    if (at >= text.size()) {
      return false;
    }
    if (std::string_view(";{}").find(text[at]) != std::string_view::npos) {
      word_ = text[at++];
      return true;
    }
    if (text[at] == '"' || text[at] == '\'') {
      quoted(text, at);
      return true;
    }
    while (at < text.size() && (kBlanks.find(text[at]) == std::string_view::npos) &&
           text[at] != ';' && (text[at] != '{' || (at > 0 && text[at - 1] == '$'))) {
      word_ += text[at++];
    }
    return true;
  }

  void quoted(const std::string& text, std::size_t& at) {
    const char quote = text[at++];
    for (; at < text.size() && text[at] != quote; ++at) {
      if (text[at] == '\\' && at + 1 < text.size()) {
        ++at;
        const char kind = text[at];
        word_ += kind == 't' ? '\t' : kind == 'n' ? '\n' : kind == 'r' ? '\r' : kind;
        continue;
      }
      word_ += text[at];
    }
    ++at;
  }

  std::filesystem::path base_;
  std::string word_;
  int files_ = 0;
};

}  // namespace

AccessFormats formats_of_configuration(const std::string& path, std::string& trouble) {
  ConfigurationReader reader;
  reader.read(path, 0);
  trouble = reader.trouble;
  return std::move(reader.formats);
}

}  // namespace forktail::story
