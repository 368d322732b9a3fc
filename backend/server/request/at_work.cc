#include "server/request/at_work.h"

namespace forktail::server {

namespace {
thread_local bool at_work = false;
}  // namespace

bool application_at_work() noexcept { return at_work; }

AtWork::AtWork() noexcept { at_work = true; }

AtWork::~AtWork() { at_work = false; }

}  // namespace forktail::server
