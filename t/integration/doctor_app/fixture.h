// One fixture of the doctor's: an application that does one thing, at load, in a worker or in its
// answers. What a fixture does not define does nothing.
#pragma once

#include <string>

namespace fixture {

void at_load();          // in the constructor
void at_worker_start();  // in on_worker_start()
std::string answer();    // the body of every answer
void at_worker_stop();   // in on_worker_stop()

}  // namespace fixture
