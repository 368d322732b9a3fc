// Boost.Beast: one event loop a process, a handler that blocks as a database call does.
//
//   beast SOCKET PROCESSES
#include <boost/asio.hpp>
#include <boost/beast.hpp>
#include <memory>
#include <optional>

#include "processes.h"

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Socket = asio::local::stream_protocol::socket;

namespace {

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  explicit Connection(Socket socket) : socket_(std::move(socket)) {}

  void read() {
    parser_.emplace();
    parser_->body_limit(16 << 20);
    http::async_read(socket_, buffer_, *parser_,
                     [self = shared_from_this()](beast::error_code error, std::size_t) {
                       if (!error) {
                         self->write();
                       }
                     });
  }

 private:
  void write() {
    const auto& request = parser_->get();
    std::size_t size = 0;
    const char* const body = answer(request.target().data(), request.target().size(), &size);
    response_ = {http::status::ok, request.version()};
    response_.set(http::field::content_type, "text/plain");
    response_.keep_alive(request.keep_alive());
    response_.body() = {body, size};
    response_.prepare_payload();
    http::async_write(socket_, response_,
                      [self = shared_from_this()](beast::error_code error, std::size_t) {
                        if (!error && self->response_.keep_alive()) {
                          self->read();
                        }
                      });
  }

  Socket socket_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  http::response<http::span_body<const char>> response_;
};

void accept(asio::local::stream_protocol::acceptor& acceptor) {
  acceptor.async_accept([&acceptor](beast::error_code error, Socket socket) {
    if (!error) {
      std::make_shared<Connection>(std::move(socket))->read();
    }
    accept(acceptor);
  });
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: beast SOCKET PROCESSES\n", stderr);
    return 2;
  }
  const int listener = listen_at(argv[1]);
  be_processes(std::atoi(argv[2]));
  asio::io_context context{1};
  asio::local::stream_protocol::acceptor acceptor(context, asio::local::stream_protocol{},
                                                  listener);
  accept(acceptor);
  context.run();
}
