#include "server/request/at_work.h"

namespace forktail::server {

namespace {
thread_local bool thread_at_work = false;
}  // namespace

bool application_at_work() noexcept { return thread_at_work; }

AtWork::AtWork() noexcept { thread_at_work = true; }

AtWork::~AtWork() { thread_at_work = false; }

}  // namespace forktail::server
