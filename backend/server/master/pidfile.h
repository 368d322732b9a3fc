// The file that tells the master's pid, held locked as long as the master lives.
#pragma once

#include <string>

#include "server/os/descriptor.h"

namespace forktail::server {

class Pidfile {
 public:
  // Empty path: no file. Throws std::runtime_error when another living server holds it, whose file
  // is left untouched. The lock, not the number in the file, says who lives: numbers are used
  // again.
  explicit Pidfile(std::string path);
  ~Pidfile();
  Pidfile(const Pidfile&) = delete;
  Pidfile& operator=(const Pidfile&) = delete;

  // For an upgrade, as nginx and gunicorn do it: the file becomes PATH.oldbin, so that the new
  // master can have its own, and comes back if that one fails. Throws std::runtime_error.
  void set_aside();
  void put_back();

  // False with errno when the file stays.
  bool remove();

 private:
  [[nodiscard]] std::string old_path() const { return path_ + ".oldbin"; }

  std::string path_;
  Descriptor file_;
  bool aside_ = false;
};

}  // namespace forktail::server
