// Whether the calling process was made by the server, or is a copy that the application has made of
// one by fork() and that comes back into the server's code, as the child of a failed exec does. A
// copy has everything of its original, connections and orders included, and must do nothing with
// it: it ends where it comes back.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "log/sink.h"
#include "server/shared/thrown_by.h"

namespace forktail::server {

// This process is the server's own. By the main thread of a template or a worker, before it runs
// any code of the application.
void claim_process() noexcept;

// Costs a look at a byte, which the kernel clears in each copy.
[[nodiscard]] bool is_copy() noexcept;

// Ends the process if it is a copy, with a line in the log: `where` is what it came back from.
void end_if_copy(log::Sink& sink, std::string_view request_id, std::string_view where) noexcept;

// Runs code of the application's: returns what it threw, see thrown_by(), to its original alone.
template <typename Step>
std::optional<std::string> thrown_by_application(log::Sink& sink, std::string_view request_id,
                                                 std::string_view where, Step step) {
  std::optional<std::string> thrown = thrown_by(step);
  end_if_copy(sink, request_id, where);
  return thrown;
}

}  // namespace forktail::server
