// How the kernel runs a thread that serves requests.
#pragma once

namespace forktail::server {

// Gives the calling thread the policy SCHED_BATCH (sched(7)): when it is woken it waits for its
// turn instead of interrupting whoever runs. That is mostly the web server, in the midst of sending
// further requests, which are then there together. The share of the processor is the same. What
// the thread starts inherits it. A policy that was chosen before (CPUSchedulingPolicy= of
// systemd, chrt) is left alone. Measured in docs/dispatch.md.
void wake_without_interrupting();

}  // namespace forktail::server
