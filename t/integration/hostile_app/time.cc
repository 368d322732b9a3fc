// Time: that of others, taken.
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "hostile.h"

namespace hostile {

namespace {

constexpr Misbehaviour kTable[] = {
    {"/time/sleep", Harm::none, "sleeps for `ms` (100) milliseconds",
     [](const Parameters& given) {
       std::this_thread::sleep_for(std::chrono::milliseconds(number(given, "ms", 100)));
       return done();
     }},
    {"/time/slow-stream", Harm::none, "a stream of `pieces` (5) that sleeps `ms` (50) before each",
     [](const Parameters& given) {
       const std::chrono::milliseconds pause(number(given, "ms", 50));
       const long pieces = number(given, "pieces", 5);
       return Response::stream(200, "text/plain", [pause, pieces](forktail::Writer& writer) {
         for (long i = 0; i < pieces; ++i) {
           std::this_thread::sleep_for(pause);
           if (!writer.write("piece\n")) {
             return;
           }
         }
       });
     }},
    {"/time/forever", Harm::hangs, "never returns, and takes no processor time",
     [](const Parameters&) -> Response {
       for (;;) {
         pause();
       }
     }},
    {"/time/spin", Harm::hangs, "never returns, and takes all processor time that it gets",
     [](const Parameters&) {
       for (volatile bool over = false; !over;) {
       }
       return done();
     }},
    {"/time/deadlock", Harm::hangs, "waits for a lock that it holds",
     [](const Parameters&) {
       std::mutex mutex;
       const std::lock_guard first(mutex);
       const std::lock_guard second(mutex);  // NOLINT: what it is for
       return done();
     }},
    {"/time/forever-in-stream", Harm::hangs, "never returns from a stream that it has begun",
     [](const Parameters&) {
       return Response::stream(200, "text/plain", [](forktail::Writer& writer) {
         writer.write("begun\n");
         for (;;) {
           pause();
         }
       });
     }},
};

}  // namespace

std::span<const Misbehaviour> times() { return kTable; }

}  // namespace hostile
