// The bytes of a log from front to back, whatever they are packed in.
//
// A stream belongs to one thread. Reading never throws: what is wrong is told by trouble(), and
// what came before it has been read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace forktail::story {

class ByteStream {
 public:
  virtual ~ByteStream() = default;
  // How many bytes were read; 0 at the end.
  virtual std::size_t read(std::span<char> out) = 0;
  // Why it ended too early; empty when it did not.
  [[nodiscard]] const std::string& trouble() const { return trouble_; }

 protected:
  std::string trouble_;
};

// From `from` up to `to` of a regular file, by pread(2). The descriptor stays the caller's.
std::unique_ptr<ByteStream> read_range(int descriptor, std::uint64_t from, std::uint64_t to);

// A pipe, terminal or socket.
std::unique_ptr<ByteStream> read_descriptor(int descriptor);

// Decompress `packed`. Memory is bounded whatever is in it; one that unpacks to far more than logs
// do is given up with trouble().
std::unique_ptr<ByteStream> unpack_gzip(std::unique_ptr<ByteStream> packed);
// None when forktail was built without libzstd.
std::unique_ptr<ByteStream> unpack_zstd(std::unique_ptr<ByteStream> packed);

// Logs shrink to a tenth or a fiftieth. More than `kBombRatio` of more than `kBombSize` is no log.
constexpr std::uint64_t kBombRatio = 400;
constexpr std::uint64_t kBombSize = UINT64_C(64) << 20;

}  // namespace forktail::story
