// A log to read: a file, perhaps packed, or what comes on a pipe.
//
// Owns its descriptor, so that a file that is renamed or removed while it is read stays readable.
// A Source may be read by several threads at once, each by a stream of its own; a pipe by one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "story/source/byte_stream.h"
#include "story/time.h"

namespace forktail::story {

enum class Packing : std::uint8_t { none, gzip, zstd, pipe };

class Source {
 public:
  Source(std::string name, int descriptor, Packing packing, std::uint64_t size, Micros written);
  ~Source();
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] Packing packing() const { return packing_; }
  // Whether any place of it can be read without what stands before.
  [[nodiscard]] bool seekable() const { return packing_ == Packing::none; }
  [[nodiscard]] std::uint64_t size() const { return size_; }
  // When it was last written to.
  [[nodiscard]] Micros written() const { return written_; }
  [[nodiscard]] int descriptor() const { return descriptor_; }
  // Looks again how long a file has become.
  void refresh();
  // How it is going to be read: what the kernel reads ahead is a waste, or welcome.
  void expect_jumps() const;
  void expect_all() const;

  // All of it, unpacked.
  [[nodiscard]] std::unique_ptr<ByteStream> stream() const;
  [[nodiscard]] std::unique_ptr<ByteStream> range(std::uint64_t from, std::uint64_t to) const;

 private:
  std::string name_;
  int descriptor_;
  Packing packing_;
  std::uint64_t size_;
  Micros written_;
};

using Sources = std::vector<std::unique_ptr<Source>>;

struct Discovery {
  Sources sources;
  std::vector<std::string> troubles;  // what was named and can not be read, and why
};

// What `paths` name: files with their rotated ones (`NAME.1`, `NAME.2.gz`, `NAME-20261128`), the
// logs in directories, `-` for the standard input. Without any the usual places.
Discovery discover(const std::vector<std::string>& paths, bool with_rotated);

// FORKTAIL_LOGS: paths with colons between.
std::vector<std::string> paths_from_environment();

}  // namespace forktail::story
