// What happens in a worker when harakiri finds one of its requests overdue: the stuck thread's
// stack goes to the log, and the application's on_timeout() is called, both under the request's id.
//
// The master sends harakiri_signal() to the stuck thread. Its handler notes where the thread is and
// whom it serves, and wakes a thread that does what a signal handler may not.
#pragma once

#include "forktail/app.h"
#include "log/sink.h"

namespace forktail::server {

int harakiri_signal();

// Once, in the worker, before it serves: only with `harakiri` set is there anything to wait for.
// Both must outlive the process's threads.
void start_harakiri_watch(App& app, log::Sink& sink);

// Ends the watch's thread.
void stop_harakiri_watch();

}  // namespace forktail::server
