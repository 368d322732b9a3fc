// Where the body of a request is while a thread serves it: in memory, or, above a limit, in a
// temporary file that has no name, mapped so that it can be read as one piece all the same.
//
// One object a thread, used by that thread only, for one body after the other; it keeps the memory
// of the last one. Nothing throws but what allocates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "forktail/api.h"
#include "server/os/descriptor.h"

namespace forktail::server {

class BodyStore {
 public:
  // Bodies above `memory_limit` bytes go to files in `directory`.
  BodyStore(std::uint64_t memory_limit, std::string directory)
      : memory_limit_(memory_limit), directory_(std::move(directory)) {}
  ~BodyStore() { release(); }
  BodyStore(const BodyStore&) = delete;
  BodyStore& operator=(const BodyStore&) = delete;

  // Begins a body of `size` bytes, of which `beginning` has come already, and perhaps something
  // behind it. False with errno when the body needs a file and there is none to have.
  [[nodiscard]] bool begin(std::uint64_t size, std::string_view beginning);

  // Room for the next bytes of the body, and for one more: to see whether something follows it.
  std::span<char> room() FORKTAIL_LIFETIMEBOUND;

  // The first `count` bytes of room() have been filled. False with errno when the file did not take
  // them or can not be mapped.
  [[nodiscard]] bool add(std::size_t count);

  [[nodiscard]] std::uint64_t size() const { return size_; }
  [[nodiscard]] std::uint64_t received() const { return received_; }
  [[nodiscard]] bool complete() const { return received_ == size_; }
  [[nodiscard]] bool surplus() const { return surplus_; }  // more came than the body has
  [[nodiscard]] const std::string& directory() const FORKTAIL_LIFETIMEBOUND { return directory_; }

  // The complete body, and the file that it is in; -1: in none. Valid until release().
  [[nodiscard]] std::string_view view() const FORKTAIL_LIFETIMEBOUND;
  [[nodiscard]] int file() const { return file_.get(); }

  // Gives the file back.
  void release();

 private:
  [[nodiscard]] bool write_out(std::string_view bytes) const;
  [[nodiscard]] bool count(std::size_t bytes);

  const std::uint64_t memory_limit_;
  const std::string directory_;
  std::uint64_t size_ = 0;
  std::uint64_t received_ = 0;
  bool surplus_ = false;
  std::string memory_;  // the body, or what is about to be written to the file
  Descriptor file_;
  void* mapping_ = nullptr;
};

}  // namespace forktail::server
