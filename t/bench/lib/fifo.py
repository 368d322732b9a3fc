"""What no dispatcher can beat: requests that wait in one queue for whichever worker is free next."""

import heapq
import random


def fast_p99(workers, rate, slow_part, slow_seconds, fast_seconds, requests=200_000):
    """The 99th percentile, in ms, of the time that the fast requests take from their arrival (Poisson, `rate` a
    second) to their end."""
    choose = random.Random(1)
    free_at = [0.0] * workers
    now, times = 0.0, []
    for _ in range(requests):
        now += choose.expovariate(rate)
        slow = choose.random() < slow_part
        end = max(now, heapq.heappop(free_at)) + (slow_seconds if slow else fast_seconds)
        heapq.heappush(free_at, end)
        if not slow:
            times.append(end - now)
    times.sort()
    return times[int(len(times) * 0.99)] * 1000
