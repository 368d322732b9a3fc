// A connection to Redis, made at load by Debian's client library.
#include <hiredis/hiredis.h>
#include <stdlib.h>

#include <stdexcept>

#include "fixture.h"

namespace {

redisContext* cache = nullptr;

}  // namespace

void fixture::at_load() {
  cache = redisConnect("127.0.0.1", atoi(getenv("FIXTURE_PORT")));  // made here
  if (cache == nullptr || cache->err != 0) {
    throw std::runtime_error("no Redis");
  }
}

std::string fixture::answer() {
  auto* reply = static_cast<redisReply*>(redisCommand(cache, "PING"));
  const std::string text = reply == nullptr ? "gone" : reply->str;
  freeReplyObject(reply);
  return text + "\n";
}
