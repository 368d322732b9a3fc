// The lines of an id as they are written: files that grow, are rotated, truncated or removed, and
// pipes.
//
// One thread; it polls, since a log may lie on a file system that tells nothing.
#pragma once

#include <csignal>
#include <functional>
#include <memory>
#include <vector>

#include "story/search/find.h"

namespace forktail::story {

class Follower {
 public:
  // Follows from where each source's size() ends; packed ones do not grow and are left out.
  Follower(const Sources& sources, const IdQuery& query, const FindOptions& options);
  ~Follower();
  Follower(const Follower&) = delete;
  Follower& operator=(const Follower&) = delete;

  // Looks at each source once, and calls `visit` with each new line that bears the id.
  void look(const std::function<void(const Event&)>& visit);

  // Nothing is left to follow: all were pipes, and have ended.
  [[nodiscard]] bool over() const;

 private:
  struct Tail;

  void read_new(Tail& tail, const std::function<void(const Event&)>& visit);
  void take_lines(Tail& tail, const std::function<void(const Event&)>& visit);
  static bool follow_name(Tail& tail);

  const IdQuery& query_;
  const FindOptions& options_;
  std::vector<std::unique_ptr<Tail>> tails_;
};

}  // namespace forktail::story
