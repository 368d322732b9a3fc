#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <string>

#include "wire/address.h"

namespace {

using forktail::wire::Address;
using forktail::wire::names_path;
using forktail::wire::parse_address;
using testing::AllOf;
using testing::HasSubstr;

std::string refusal_of(std::string_view text) {
  try {
    parse_address(text);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  ADD_FAILURE() << "took \"" << text << '"';
  return {};
}

sockaddr_in ipv4(const Address& address) {
  sockaddr_in copy{};
  EXPECT_EQ(address.size, sizeof(copy));
  std::memcpy(&copy, &address.storage, sizeof(copy));
  return copy;
}

TEST(UnixAddress, IsAPathHoweverItIsWritten) {
  for (const std::string text : {"/run/x.sock", "./x.sock", "x.sock", "/run/a:3031",
                                 "unix:/run/x.sock", "unix:x.sock", "./127.0.0.1:3031"}) {
    const Address address = parse_address(text);
    const std::string path = text.starts_with("unix:") ? text.substr(5) : text;
    EXPECT_TRUE(address.is_unix()) << text;
    EXPECT_FALSE(address.is_loopback());
    EXPECT_EQ(address.path(), path);
    EXPECT_EQ(address.text, path);
    sockaddr_un socket{};
    std::memcpy(&socket, &address.storage, sizeof(socket));
    EXPECT_STREQ(socket.sun_path, path.c_str());
    EXPECT_EQ(address.size, offsetof(sockaddr_un, sun_path) + path.size() + 1);
  }
}

TEST(UnixAddress, MayBeAbstract) {
  for (const auto* text : {"@tail", "unix:@tail"}) {
    const Address address = parse_address(text);
    EXPECT_TRUE(address.is_unix());
    EXPECT_EQ(address.path(), "@tail");
    sockaddr_un socket{};
    std::memcpy(&socket, &address.storage, sizeof(socket));
    EXPECT_EQ(std::string(socket.sun_path, 5), std::string("\0tail", 5));
    EXPECT_EQ(address.size, offsetof(sockaddr_un, sun_path) + 5) << "a longer one is another name";
  }
}

TEST(UnixAddress, IsAtMostOneHundredAndSevenCharactersLong) {
  EXPECT_EQ(parse_address('/' + std::string(106, 'x')).path().size(), 107U);
  EXPECT_EQ(parse_address('@' + std::string(106, 'x')).size, offsetof(sockaddr_un, sun_path) + 107);
  EXPECT_THAT(refusal_of('/' + std::string(107, 'x')),
              AllOf(HasSubstr("/xxx"), HasSubstr("108 characters"), HasSubstr("at most 107")));
}

TEST(UnixAddress, NeedsAPath) {
  EXPECT_THAT(refusal_of("unix:"), HasSubstr("\"unix:\" has no path"));
  EXPECT_THAT(refusal_of("@"), HasSubstr("has no path"));
  EXPECT_THAT(refusal_of(std::string_view("/run/\0x", 7)), HasSubstr("NUL"));
}

TEST(TcpAddress, IsHostAndPort) {
  const Address address = parse_address("127.0.0.1:3031");
  EXPECT_FALSE(address.is_unix());
  EXPECT_EQ(address.path(), "");
  EXPECT_EQ(address.text, "127.0.0.1:3031");
  EXPECT_EQ(ntohs(ipv4(address).sin_port), 3031);
  EXPECT_EQ(ntohl(ipv4(address).sin_addr.s_addr), INADDR_LOOPBACK);
}

TEST(TcpAddress, WithoutAHostIsAllIpv4Addresses) {
  const Address address = parse_address(":3031");
  EXPECT_EQ(ipv4(address).sin_addr.s_addr, htonl(INADDR_ANY));
  EXPECT_FALSE(address.is_loopback());
}

TEST(TcpAddress, TakesIpv6InBrackets) {
  const Address address = parse_address("[::1]:3031");
  EXPECT_EQ(address.storage.ss_family, AF_INET6);
  EXPECT_EQ(address.size, sizeof(sockaddr_in6));
  EXPECT_THAT(refusal_of("::1:3031"), HasSubstr("brackets"));
}

TEST(TcpAddress, KnowsWhatOnlyThisMachineCanReach) {
  for (const auto* text : {"127.0.0.1:1", "127.8.9.10:1", "[::1]:1", "[::ffff:127.0.0.1]:1"}) {
    EXPECT_TRUE(parse_address(text).is_loopback()) << text;
  }
  for (const auto* text :
       {"0.0.0.0:1", "10.0.0.1:1", "[::]:1", "[::ffff:10.0.0.1]:1", "[fe80::1]:1"}) {
    EXPECT_FALSE(parse_address(text).is_loopback()) << text;
  }
}

TEST(TcpAddress, NeedsAPortFromOneTo65535) {
  EXPECT_EQ(ntohs(ipv4(parse_address("127.0.0.1:65535")).sin_port), 65535);
  for (const std::string port : {"", "0", "65536", "-1", "+1", "80x", "http", " 80"}) {
    EXPECT_THAT(refusal_of("127.0.0.1:" + port),
                AllOf(HasSubstr("port \"" + port + '"'), HasSubstr("1 to 65535")));
  }
}

TEST(TcpAddress, NeedsAHostThatResolves) {
  EXPECT_THAT(refusal_of("no.such.host.invalid:3031"),
              AllOf(HasSubstr("\"no.such.host.invalid:3031\" does not resolve"),
                    HasSubstr("127.0.0.1:3031")));
  EXPECT_THAT(refusal_of("[]:3031"), HasSubstr("does not resolve"));
}

TEST(Address, RefusesWhatIsNeitherPathNorPort) {
  EXPECT_THAT(refusal_of(""), HasSubstr("neither a path nor host:port"));
  EXPECT_THAT(refusal_of("3031"), AllOf(HasSubstr("\"3031\""), HasSubstr("neither a path")));
}

TEST(Address, KnowsAPathWithoutResolvingIt) {
  for (const auto* text : {"/run/x.sock", "./x:1", "x.sock", "unix:/run/x.sock", "unix:x:1"}) {
    EXPECT_TRUE(names_path(text)) << text;
  }
  for (const auto* text :
       {"", "unix:", "@name", "unix:@name", "3031", ":3031", "no.such.host:3031"}) {
    EXPECT_FALSE(names_path(text)) << text;
  }
}

}  // namespace
