// Made at load: under fork-mode = preload each worker gets a copy of it, or shares it.
#include <forktail/app.h>
#include <hiredis/hiredis.h>

#include <cstdlib>
#include <random>
#include <stdexcept>
#include <string>

class Shop : public forktail::App {
 public:
  Shop() : cache_(redisConnect("127.0.0.1", std::atoi(std::getenv("REDIS_PORT")))) {
    if (cache_ == nullptr || cache_->err != 0) {
      throw std::runtime_error("Redis does not answer");
    }
  }

  forktail::Response handle(const forktail::Request&, forktail::Context&) override {
    return {200, "text/plain", "token " + std::to_string(numbers_()) + "\n"};
  }

 private:
  redisContext* cache_;
  std::mt19937 numbers_{std::random_device{}()};
};
FORKTAIL_APP(Shop)
