#include <gmock/gmock.h>

#include <map>

#include "log/target.h"
#include "log_support.h"

namespace forktail::log {
namespace {

using ::testing::HasSubstr;

TEST(LogTarget, HasACureForEachWayThatOpeningFails) {
  const std::map<int, const char*> cures{
      {ENOENT, "create its directory"},
      {ENOTDIR, "create its directory"},
      {EACCES, "let the user"},
      {EPERM, "let the user"},
      {EISDIR, "name a file"},
      {ENXIO, "use \"stderr\""},
      {EROFS, "has room"},
      {ENOSPC, "has room"},
      {EDQUOT, "has room"},
      {EMFILE, "choose another file"},
  };
  for (const auto& [error, words] : cures) {
    EXPECT_THAT(cure(error), HasSubstr(words)) << error_text(error);
  }
}

TEST(LogTarget, HasATextForErrorsOfLaterKernelsToo) {
  EXPECT_STREQ(error_text(ENOENT), "No such file or directory");
  EXPECT_STREQ(error_text(99999), "unknown error");
}

}  // namespace
}  // namespace forktail::log
