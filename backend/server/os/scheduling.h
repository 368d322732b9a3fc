// How the kernel runs a thread that serves requests.
#pragma once

namespace forktail::server {

// Of the threads that serve.
enum class Scheduling {
  inherit,  // what the server was started with
  batch,    // SCHED_BATCH, unless another policy was chosen for the server
};

// With `batch` the calling thread gets the policy SCHED_BATCH (sched(7)): when it is woken it waits
// for its turn instead of interrupting whoever runs, which may be the web server in the midst of
// sending further requests. The share of the processor is the same. What the thread starts inherits
// it. A policy that was chosen for the server (CPUSchedulingPolicy= of systemd, chrt) is left
// alone. Measured in docs/dispatch.md.
void apply_scheduling(Scheduling scheduling);

}  // namespace forktail::server
