#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <exception>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <system_error>

#include "forktail/response.h"
#include "log_support.h"

namespace forktail {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::FieldsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

std::string cookie(std::string_view value, const CookieAttributes& attributes = {}) {
  return Response().set_cookie("sid", value, attributes).headers().at(0).value;
}

TEST(SetCookie, IsCarefulUnlessToldOtherwise) {
  EXPECT_EQ(cookie("abc"), "sid=abc; Path=/; Secure; HttpOnly; SameSite=Lax");
}

TEST(SetCookie, HasAllAttributes) {
  EXPECT_EQ(cookie("", {.max_age = 1h,
                        .path = "/shop",
                        .domain = "example.org",
                        .secure = false,
                        .http_only = false,
                        .same_site = SameSite::strict}),
            "sid=; Max-Age=3600; Path=/shop; Domain=example.org; SameSite=Strict");
  EXPECT_EQ(cookie("x", {.max_age = 0s, .path = "", .same_site = SameSite::none}),
            "sid=x; Max-Age=0; Secure; HttpOnly; SameSite=None");
}

TEST(SetCookie, MayBeCalledAgain) {
  Response response;
  response.set_cookie("a", "1").set_cookie("b", "2");
  EXPECT_THAT(response.headers(), ElementsAre(FieldsAre("Set-Cookie", HasSubstr("a=1;")),
                                              FieldsAre("Set-Cookie", HasSubstr("b=2;"))));
}

TEST(SetCookie, RefusesWhatWouldBeAnotherCookieOrAttribute) {
  for (const std::string_view value :
       {"a b", "a;b", "a,b", "a\"b", "a\\b", "a\r\nb", "\x7f", "\xe4"}) {
    EXPECT_THAT([&] { cookie(value); },
                ThrowsMessage<std::invalid_argument>(
                    HasSubstr("the cookie sid can not be set: its value has a character")))
        << value;
  }
  for (const std::string name : {"", "a b", "a=b", "a;"}) {
    EXPECT_THAT([&] { Response().set_cookie(name, "x"); },
                ThrowsMessage<std::invalid_argument>(HasSubstr("its name is not a token")));
  }
  EXPECT_THAT([] { cookie("x", {.path = "/;Domain=evil"}); },
              ThrowsMessage<std::invalid_argument>(HasSubstr("its path or domain")));
  EXPECT_THAT([] { cookie("x", {.domain = "a\nb"}); },
              ThrowsMessage<std::invalid_argument>(HasSubstr("its path or domain")));
}

class FileResponse : public testing::Test {
 protected:
  std::string make(const std::string& name, const std::string& content) {
    std::ofstream(folder_ / name) << content;
    return folder_ / name;
  }

  log::TemporaryDirectory directory_;
  const std::filesystem::path folder_ = directory_ / "";
};

TEST_F(FileResponse, HasTheFilesLengthAndType) {
  const Response response = Response::file(make("a.txt", "hello"), "text/plain");
  EXPECT_EQ(response.status(), 200);
  EXPECT_EQ(response.content_length(), 5U);
  EXPECT_THAT(response.headers(), ElementsAre(FieldsAre("Content-Type", "text/plain")));
  ASSERT_NE(response.file(), nullptr);
}

TEST_F(FileResponse, IsClosedWithItsLastCopyAndNotInheritedByPrograms) {
  int descriptor = -1;
  {
    const Response first = Response::file(make("a.txt", "hello"), "");
    descriptor = first.file()->descriptor();
    EXPECT_EQ(fcntl(descriptor, F_GETFD), FD_CLOEXEC);
    { const Response copy = first; }
    EXPECT_EQ(fcntl(descriptor, F_GETFD), FD_CLOEXEC);
  }
  EXPECT_EQ(fcntl(descriptor, F_GETFD), -1);
}

TEST_F(FileResponse, Is404ForWhatIsNoRegularFile) {
  make("file", "x");
  ASSERT_EQ(mkfifo((folder_ / "fifo").c_str(), 0600), 0);
  std::filesystem::create_symlink("loop", folder_ / "loop");
  const int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{AF_UNIX, {}};
  (folder_ / "socket").string().copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  close(listener);
  for (const std::string& path :
       {std::string("missing"), std::string("file/below"), std::string("."), std::string("fifo"),
        std::string("loop"), std::string("socket"), std::string(300, 'x')}) {
    const Response response = Response::file(folder_ / path, "text/html");
    EXPECT_EQ(response.status(), 404) << path;
    EXPECT_EQ(response.file(), nullptr) << path;
    EXPECT_EQ(response.headers().at(0).value, "text/plain");
  }
  EXPECT_EQ(Response::file("", "").status(), 404);
}

TEST_F(FileResponse, FollowsALinkToARegularFile) {
  make("file", "x");
  std::filesystem::create_symlink("file", folder_ / "link");
  EXPECT_EQ(Response::file(folder_ / "link", "").status(), 200);
}

TEST_F(FileResponse, Is403ForOneThatMayNotBeRead) {
  if (geteuid() == 0) {
    GTEST_SKIP() << "root may read everything";
  }
  const std::string path = make("secret", "x");
  ASSERT_EQ(chmod(path.c_str(), 0), 0);
  EXPECT_EQ(Response::file(path, "").status(), 403);
}

TEST_F(FileResponse, ThrowsWhenTheProcessCanOpenNoMore) {
  const std::string path = make("a", "x");
  rlimit old{};
  getrlimit(RLIMIT_NOFILE, &old);
  rlimit none = old;
  none.rlim_cur = 0;
  // Nothing else within: a sanitizer wants descriptors for its checks.
  std::exception_ptr thrown;
  setrlimit(RLIMIT_NOFILE, &none);
  try {
    Response::file(path, "");
  } catch (...) {
    thrown = std::current_exception();
  }
  setrlimit(RLIMIT_NOFILE, &old);
  ASSERT_TRUE(thrown);
  EXPECT_THAT([&] { std::rethrow_exception(thrown); },
              ThrowsMessage<std::system_error>(HasSubstr("can not open " + path + ": ")));
}

TEST(StreamResponse, HasNoLength) {
  const Response response = Response::stream(200, "text/csv", [](Writer&) {});
  EXPECT_EQ(response.content_length(), std::nullopt);
  EXPECT_EQ(response.file(), nullptr);
  EXPECT_TRUE(response.stream());
}

TEST(StringResponse, HasTheLengthOfItsBody) {
  EXPECT_EQ(Response(200, "", "hello").content_length(), 5U);
  EXPECT_EQ(Response().content_length(), 0U);
  EXPECT_FALSE(Response().stream());
}

}  // namespace
}  // namespace forktail
