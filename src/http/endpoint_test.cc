#include "http/endpoint.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "http/test_net.h"

namespace quipu::http {
namespace {

using test::SocketPath;

TEST(Endpoint, ReadsWhatItWrites) {
  for (const char* text : {"unix:///tmp/a.sock", "localhost:11434", "127.0.0.1:0", "[::1]:80", ":65535"}) {
    const auto endpoint = Endpoint::parse(text);
    ASSERT_TRUE(endpoint) << text;
    EXPECT_EQ(endpoint->to_string(), text);
  }
  EXPECT_EQ(Endpoint::parse("[::1]:80")->host, "::1");
  EXPECT_EQ(Endpoint::parse("unix:///tmp/a.sock")->host_header(), "localhost");
}

TEST(Endpoint, RefusesNonsense) {
  for (const std::string& text :
       {std::string("localhost"), std::string(""), std::string("a:"), std::string("a:65536"),
        std::string("a:-1"), std::string("a:+1"), std::string("a: 1"), std::string("::1:80"),
        std::string("[]:80"), std::string("a b:80"), std::string("a/b:80"), std::string("unix://relative"),
        std::string("unix://"), "unix:///" + std::string(200, 'x'), std::string("unix:///a\0b", 11),
        std::string("a\r\nHost\x3a b:80")}) {
    EXPECT_FALSE(Endpoint::parse(text)) << text;
  }
}

TEST(ListenSocket, UnixSocketIsPrivateAndLeavesNothingBehind) {
  const SocketPath path;
  {
    const auto socket = ListenSocket::open(path.endpoint());
    ASSERT_TRUE(socket) << socket.error().message;
    struct stat facts{};
    ASSERT_EQ(::stat(path.endpoint().path.c_str(), &facts), 0);
    EXPECT_TRUE(S_ISSOCK(facts.st_mode));
    EXPECT_EQ(facts.st_mode & 0777, 0600u);
    const auto second = ListenSocket::open(path.endpoint());
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Code::kUnavailable);
  }
  EXPECT_NE(::access(path.endpoint().path.c_str(), F_OK), 0);
}

TEST(ListenSocket, ReplacesTheSocketOfADeadServerOnly) {
  const SocketPath path;
  {
    auto socket = ListenSocket::open(path.endpoint());
    ASSERT_TRUE(socket);
    ASSERT_EQ(::rename(path.endpoint().path.c_str(), (path.endpoint().path + "2").c_str()), 0);
  }
  // Nobody listens there any more, but the file has stayed.
  ASSERT_EQ(::rename((path.endpoint().path + "2").c_str(), path.endpoint().path.c_str()), 0);
  {
    auto old = ListenSocket::open(path.endpoint());
    ASSERT_TRUE(old) << old.error().message;
    // Another one has taken the name: it is not the old one's to remove.
    ASSERT_EQ(::unlink(path.endpoint().path.c_str()), 0);
    const Fd file(::open(path.endpoint().path.c_str(), O_CREAT | O_WRONLY, 0600));
    ASSERT_TRUE(file.valid());
  }
  EXPECT_EQ(::access(path.endpoint().path.c_str(), F_OK), 0);
  const auto refused = ListenSocket::open(path.endpoint());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
}

TEST(ListenSocket, FindsAFreePortAndSaysWhenOneIsTaken) {
  const auto first = ListenSocket::open(test::local_tcp());
  ASSERT_TRUE(first);
  ASSERT_NE(first->endpoint().port, 0);
  const auto second = ListenSocket::open(first->endpoint());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kUnavailable);
}

TEST(ConnectTo, SaysWhyNot) {
  const SocketPath path;
  const auto fd = connect_to(path.endpoint(), test::kPatience, -1);
  ASSERT_FALSE(fd);
  EXPECT_EQ(fd.error().code, Code::kUnavailable);
  EXPECT_NE(fd.error().message.find("No such file"), std::string::npos);
}

}  // namespace
}  // namespace quipu::http
