// The allow-list: what workers share on purpose. False alarms are what kills a doctor.
//
// Pure but for what asks who else has a file, which reads /proc.
#pragma once

#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "doctor/open_file.h"
#include "doctor/server_kind.h"
#include "doctor/socket_table.h"

namespace forktail::doctor {

// A file that all write to at its end.
constexpr std::string_view kLog = "log";

// Decides file by file of those that it was given, in their order: some rows of a server's list
// stand for one file only, and the next of the same kind is the application's.
class Purposes {
 public:
  Purposes(const Family& family, const std::vector<OpenFile>& files, const SocketTable& sockets);

  // What a file is for: "listener", "standard stream"; nothing when nobody is known to mean it.
  using Purpose = std::optional<std::string_view>;
  Purpose of(const OpenFile& file);

 private:
  Purpose of_any_server(const OpenFile& file) const;
  Purpose of_this_server(const OpenFile& file);
  Purpose of_uwsgi(const OpenFile& file);
  Purpose of_gunicorn(const OpenFile& file);
  Purpose of_apache(const OpenFile& file);
  Purpose of_php_fpm(const OpenFile& file);
  [[nodiscard]] bool leads_out(const OpenFile& file) const;
  [[nodiscard]] bool made_by_master(const OpenFile& file) const;
  // The lowest descriptor by which the master listens.
  [[nodiscard]] int first_listener() const;
  // True for the first file that asks for the row, and for the other end of that pipe or pair.
  bool only(std::string_view row, const OpenFile& file);

  const Family& family_;
  const std::vector<OpenFile>& files_;
  const SocketTable& sockets_;
  OutsideFiles outside_;
  std::map<std::string_view, const OpenFile*> taken_;  // rows for one thing, and which it is
  const OpenFile* saved_stderr_;
  bool gunicorn_controls_;
};

// Whether gunicorn's master has a control socket (25 and later), and with it a thread, an event
// loop and a pair of sockets of its own.
bool has_gunicorn_control(const Family& family, const std::vector<OpenFile>& files,
                          const SocketTable& sockets);

}  // namespace forktail::doctor
