#include "server/os/scheduling.h"

#include <sched.h>

namespace forktail::server {

void wake_without_interrupting() {
  if (sched_getscheduler(0) == SCHED_OTHER) {
    const sched_param none{};
    sched_setscheduler(0, SCHED_BATCH, &none);
  }
}

}  // namespace forktail::server
