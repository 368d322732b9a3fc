"""An application whose requests last as long as the test wants them to."""

from lib import uwsgi
from lib.waiting import wait_for

# GET /hold notes its id and pid in the file `held`, and is answered once there is a file `gate`.
SOURCE = r"""
#include <fcntl.h>
#include <forktail/app.h>
#include <unistd.h>

class Hold : public forktail::App {
 public:
  forktail::Response handle(const forktail::Request& request, forktail::Context& context) override {
    if (request.path() == "/hold") {
      const std::string line = std::string(context.id()) + " " + std::to_string(getpid()) + "\n";
      const int held = open("held", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
      if (write(held, line.data(), line.size()) < 0) {
        return {500, "text/plain", "cannot write\n"};
      }
      close(held);
      while (access("gate", F_OK) != 0) {
        usleep(1000);
      }
    }
    return {200, "text/plain", std::to_string(getpid()) + "\n"};
  }
};
FORKTAIL_APP(Hold)
"""


def held(server):
    """The requests that have come so far, as id: pid of the worker."""
    path = server.home / "held"
    return dict(line.split() for line in path.read_text().splitlines()) if path.exists() else {}


def wait_held(server, count=1):
    wait_for(lambda: len(held(server)) >= count, f"{count} requests that are held")
    return held(server)


def release(server):
    (server.home / "gate").touch()


class Held:
    """A request that a worker handles from here on until release()."""

    def __init__(self, server, request_id):
        self.id = request_id
        self.socket = uwsgi.connect(server.dial())
        self.socket.sendall(uwsgi.packet(uwsgi.variables("/hold", REQUEST_ID=request_id)))
        self.pid = int(wait_for(lambda: held(server).get(request_id), "held request"))

    def answer(self):
        """All that comes back, b"" when the connection was just closed."""
        with self.socket:
            return uwsgi.read_to_end(self.socket)
