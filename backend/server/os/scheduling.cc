#include "server/os/scheduling.h"

#include <sched.h>

namespace forktail::server {

void apply_scheduling(Scheduling scheduling) {
  if (scheduling == Scheduling::batch && sched_getscheduler(0) == SCHED_OTHER) {
    const sched_param none{};
    sched_setscheduler(0, SCHED_BATCH, &none);
  }
}

}  // namespace forktail::server
