#include "server/request/body_store.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

namespace forktail::server {

namespace {

constexpr std::size_t kPiece = 65536;

Descriptor open_unnamed(const std::string& directory) {
  std::string path = directory + "/forktail-body-XXXXXX";
  Descriptor file(mkostemp(path.data(), O_CLOEXEC));
  if (file) {
    unlink(path.c_str());
  }
  return file;
}

}  // namespace

bool BodyStore::begin(std::uint64_t size, std::string_view beginning) {
  release();
  size_ = size;
  received_ = 0;
  surplus_ = beginning.size() > size;
  beginning = beginning.substr(0, size);
  if (size <= memory_limit_) {
    memory_ = beginning;
    return count(beginning.size());
  }
  file_ = open_unnamed(directory_);
  return file_ && write_out(beginning) && count(beginning.size());
}

std::span<char> BodyStore::room() {
  const std::size_t wanted = size_ - received_ + 1;
  if (file_) {
    memory_.resize(kPiece);
    return std::span(memory_).first(std::min(wanted, kPiece));
  }
  // Memory follows the bytes that came, not the number that a peer claims.
  memory_.resize(received_ + std::min(wanted, std::max<std::size_t>(received_, kPiece)));
  return std::span(memory_).subspan(received_);
}

bool BodyStore::add(std::size_t count_with_surplus) {
  const std::size_t useful = std::min<std::uint64_t>(count_with_surplus, size_ - received_);
  surplus_ = count_with_surplus > useful;
  return (!file_ || write_out({memory_.data(), useful})) && count(useful);
}

bool BodyStore::count(std::size_t bytes) {
  received_ += bytes;
  if (file_ && complete()) {
    void* mapping = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file_.get(), 0);
    mapping_ = mapping == MAP_FAILED ? nullptr : mapping;
    return mapping_ != nullptr;
  }
  return true;
}

bool BodyStore::write_out(std::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t size = write(file_.get(), bytes.data(), bytes.size());
    if (size >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(size));
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

std::string_view BodyStore::view() const {
  return {mapping_ != nullptr ? static_cast<const char*>(mapping_) : memory_.data(), size_};
}

void BodyStore::release() {
  if (mapping_ != nullptr) {
    munmap(mapping_, size_);
    mapping_ = nullptr;
  }
  file_.reset();
}

}  // namespace forktail::server
