#include <gtest/gtest.h>

#include <cstring>

#include "server/os/shared_flag.h"

namespace forktail::server {
namespace {

TEST(SharedFlag, IsWhatWasStored) {
  SharedFlag flag;
  EXPECT_FALSE(flag);
  flag = true;
  EXPECT_TRUE(flag);
  EXPECT_TRUE(flag.exchange(false));
  EXPECT_FALSE(flag.load());
}

TEST(SharedFlag, IsTrueForEachByteThatIsNot0) {
  for (const int byte : {1, 2, 37, 255}) {
    SharedFlag flag;
    std::memset(static_cast<void*>(&flag), byte, sizeof(flag));
    EXPECT_TRUE(flag) << byte;
    EXPECT_TRUE(flag.exchange(true)) << byte;
    EXPECT_TRUE(flag.load());
  }
}

}  // namespace
}  // namespace forktail::server
