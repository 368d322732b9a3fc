// The same shop, mended: what a worker must have for itself is made in each worker, on first use.
#include <forktail/app.h>
#include <forktail/per_worker.h>
#include <hiredis/hiredis.h>

#include <cstdlib>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>

using Redis = std::unique_ptr<redisContext, decltype(&redisFree)>;

class Shop : public forktail::App {
 public:
  void on_worker_start(const forktail::Worker&) override {
    if (*cache_ == nullptr || (*cache_)->err != 0) {
      throw std::runtime_error("Redis does not answer");
    }
  }

  forktail::Response handle(const forktail::Request&, forktail::Context&) override {
    return {200, "text/plain", "token " + std::to_string((*numbers_)()) + "\n"};
  }

 private:
  forktail::per_worker<Redis> cache_{[] {
    return Redis(redisConnect("127.0.0.1", std::atoi(std::getenv("REDIS_PORT"))), redisFree);
  }};
  forktail::per_worker<std::mt19937> numbers_{[] { return std::mt19937(std::random_device{}()); }};
};
FORKTAIL_APP(Shop)
