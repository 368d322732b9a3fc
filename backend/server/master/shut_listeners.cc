#include "server/master/shut_listeners.h"

#include <fmt/format.h>

#include <exception>
#include <string>
#include <string_view>

namespace forktail::server {

void ShutListeners::watch(std::vector<pollfd>& watched) const {
  for (const Listener& listener : listeners_) {
    if (!lost_.contains(listener.descriptor.get())) {
      watched.push_back({listener.descriptor.get(), 0, 0});  // its end is reported in any case
    }
  }
}

bool ShutListeners::mend() {
  std::vector<pollfd> watched;
  watch(watched);
  if (poll(watched.data(), watched.size(), 0) <= 0) {
    return false;
  }
  bool anew = false;
  for (Listener& listener : listeners_) {
    pollfd one{listener.descriptor.get(), 0, 0};
    if (!lost_.contains(one.fd) && poll(&one, 1, 0) > 0) {
      anew |= mend(listener);
    }
  }
  return anew;
}

bool ShutListeners::mend(Listener& listener) {
  try {
    const bool anew = listen_again(listener, options_);
    sink_.write(
        log::EventKind::listener_mended, {},
        fmt::format("{} was shut down, which the application must have done; it listens again",
                    listener.address.text),
        {{"socket", listener.address.text}});
    return anew;
  } catch (const std::exception& error) {
    lost_.insert(listener.descriptor.get());
    sink_.write(log::EventKind::listener_lost, {},
                fmt::format("{} was shut down, which the application must have done, and can not "
                            "listen again: {}; restart the server",
                            listener.address.text, error.what()),
                {{"socket", listener.address.text}, {"reason", std::string_view(error.what())}});
    return false;
  }
}

}  // namespace forktail::server
