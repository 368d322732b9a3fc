#include <zlib.h>

#include <array>
#include <new>

#include "story/source/byte_stream.h"
#if FORKTAIL_ZSTD
#include <zstd.h>
#endif

namespace forktail::story {
namespace {

constexpr const char* kBomb = "unpacks to far more than a log does: given up";
constexpr const char* kCutShort = "ends in the middle of its compressed data";

// What a decompressor has taken and given, to tell a bomb.
struct Ratio {
  std::uint64_t in = 0;
  std::uint64_t out = 0;
  bool absurd() const { return out > kBombSize && out / kBombRatio > in; }
};

class GzipStream final : public ByteStream {
 public:
  explicit GzipStream(std::unique_ptr<ByteStream> packed) : packed_(std::move(packed)) {
    constexpr int kGzipOrZlib = 15 + 32;
    if (inflateInit2(&state_, kGzipOrZlib) != Z_OK) {
      throw std::bad_alloc();
    }
  }
  ~GzipStream() override { inflateEnd(&state_); }
  GzipStream(const GzipStream&) = delete;
  GzipStream& operator=(const GzipStream&) = delete;

  std::size_t read(std::span<char> out) override {
    state_.next_out = reinterpret_cast<Bytef*>(out.data());
    state_.avail_out = static_cast<uInt>(out.size());
    while (!over_ && state_.avail_out == out.size()) {
      step();
    }
    ratio_.out += out.size() - state_.avail_out;
    if (ratio_.absurd()) {
      trouble_ = kBomb;
      over_ = true;
    }
    return out.size() - state_.avail_out;
  }

 private:
  void step() {
    if (state_.avail_in == 0) {
      const std::size_t count = packed_->read(input_);
      ratio_.in += count;
      if (count == 0) {
        over_ = true;
        trouble_ = !packed_->trouble().empty() ? packed_->trouble() : in_member_ ? kCutShort : "";
        return;
      }
      state_.next_in = reinterpret_cast<Bytef*>(input_.data());
      state_.avail_in = static_cast<uInt>(count);
    }
    in_member_ = true;
    const int outcome = inflate(&state_, Z_NO_FLUSH);
    if (outcome == Z_STREAM_END) {
      in_member_ = false;  // another may follow: logs are appended to
      inflateReset(&state_);
    } else if (outcome != Z_OK && outcome != Z_BUF_ERROR) {
      over_ = true;
      trouble_ = "is no valid gzip data from here on";
    }
  }

  std::unique_ptr<ByteStream> packed_;
  std::array<char, 65536> input_;
  z_stream state_{};
  Ratio ratio_;
  bool over_ = false;
  bool in_member_ = false;
};

#if FORKTAIL_ZSTD
class ZstdStream final : public ByteStream {
 public:
  explicit ZstdStream(std::unique_ptr<ByteStream> packed) : packed_(std::move(packed)) {
    if (state_ == nullptr) {
      throw std::bad_alloc();
    }
    ZSTD_DCtx_setParameter(state_, ZSTD_d_windowLogMax, 24);  // 16 MB: all that zstd -19 asks for
  }
  ~ZstdStream() override { ZSTD_freeDCtx(state_); }
  ZstdStream(const ZstdStream&) = delete;
  ZstdStream& operator=(const ZstdStream&) = delete;

  std::size_t read(std::span<char> out) override {
    ZSTD_outBuffer target{out.data(), out.size(), 0};
    while (!over_ && target.pos == 0) {
      step(target);
    }
    ratio_.out += target.pos;
    if (ratio_.absurd()) {
      trouble_ = kBomb;
      over_ = true;
    }
    return target.pos;
  }

 private:
  void step(ZSTD_outBuffer& target) {
    if (source_.pos == source_.size) {
      const std::size_t count = packed_->read(input_);
      ratio_.in += count;
      source_ = {input_.data(), count, 0};
      if (count == 0) {
        over_ = true;
        trouble_ = !packed_->trouble().empty() ? packed_->trouble() : wanted_ != 0 ? kCutShort : "";
        return;
      }
    }
    wanted_ = ZSTD_decompressStream(state_, &target, &source_);
    if (ZSTD_isError(wanted_) != 0) {
      over_ = true;
      trouble_ = std::string("can not be unpacked: ") + ZSTD_getErrorName(wanted_);
    }
  }

  std::unique_ptr<ByteStream> packed_;
  std::array<char, 65536> input_;
  ZSTD_DCtx* state_ = ZSTD_createDCtx();
  ZSTD_inBuffer source_{nullptr, 0, 0};
  std::size_t wanted_ = 0;
  Ratio ratio_;
  bool over_ = false;
};
#endif

}  // namespace

std::unique_ptr<ByteStream> unpack_gzip(std::unique_ptr<ByteStream> packed) {
  return std::make_unique<GzipStream>(std::move(packed));
}

std::unique_ptr<ByteStream> unpack_zstd([[maybe_unused]] std::unique_ptr<ByteStream> packed) {
#if FORKTAIL_ZSTD
  return std::make_unique<ZstdStream>(std::move(packed));
#else
  return nullptr;
#endif
}

}  // namespace forktail::story
