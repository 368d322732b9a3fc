// The file that tells the master's pid, held locked as long as the master lives.
#pragma once

#include <string>

#include "forktail/api.h"
#include "server/os/descriptor.h"

namespace forktail::server {

class Pidfile {
 public:
  // Empty path: no file. Throws std::runtime_error when another living server holds it, whose file
  // is left untouched. The lock, not the number in the file, says who lives: numbers are used
  // again.
  explicit Pidfile(const std::string& path);
  ~Pidfile();
  Pidfile(const Pidfile&) = delete;
  Pidfile& operator=(const Pidfile&) = delete;

  // The same with the file of a predecessor that could not set it aside; its lock is taken over.
  Pidfile(std::string path, Descriptor inherited);

  // For an upgrade, as nginx and gunicorn do it: the file becomes PATH.oldbin, so that the new
  // master can have its own, and comes back if that one fails. In a directory that this user may
  // not write to (root opened the file) it stays where it is, and the new master inherits shared().
  // Throws std::runtime_error.
  void set_aside();
  void put_back();
  [[nodiscard]] int shared() const { return shared_ ? file_.get() : -1; }
  [[nodiscard]] const std::string& path() const FORKTAIL_LIFETIMEBOUND { return path_; }
  // The new master is in charge.
  void hand_over();

  // False with errno when the file stays.
  bool remove();

 private:
  void write_pid() const;
  [[nodiscard]] std::string old_path() const { return path_ + ".oldbin"; }

  std::string path_;
  Descriptor file_;
  bool aside_ = false;
  bool shared_ = false;  // with a successor
};

}  // namespace forktail::server
