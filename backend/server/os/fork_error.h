// What to tell of a fork that failed, with the cure where there is one.
#pragma once

#include <cerrno>
#include <string>
#include <system_error>

namespace forktail::server {

inline std::string fork_error(int error) {
  std::string text = std::generic_category().message(error);
  if (error == EAGAIN) {
    text += "; raise the limit of processes (LimitNPROC, ulimit -u, TasksMax)";
  }
  return text;
}

}  // namespace forktail::server
