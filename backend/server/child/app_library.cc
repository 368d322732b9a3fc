#include "server/child/app_library.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <array>
#include <exception>
#include <filesystem>
#include <stdexcept>

#include "server/child/app_image.h"
#include "server/child/foreign_loggers.h"

namespace forktail::server {

namespace {

// A path, not a name: dlopen would search the system's library folders for a bare file name.
std::string absolute(const std::string& path) { return std::filesystem::absolute(path).string(); }

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
  throw std::runtime_error(fmt::format("application {}: {}", path, why));
}

void check_stamp(const std::string& path, const AbiStamp& theirs) {
  if (theirs.version != kAbiStamp.version) {
    refuse(path,
           fmt::format("was built for version {} of forktail's headers, this server has version "
                       "{}: rebuild it against this server's include/forktail",
                       theirs.version, kAbiStamp.version));
  }
  if (theirs.library != kAbiStamp.library) {
    refuse(path,
           "was built with another standard library than this server's libstdc++: rebuild it "
           "without -stdlib=libc++");
  }
  if (theirs.string_abi != kAbiStamp.string_abi) {
    refuse(path, fmt::format("was built with _GLIBCXX_USE_CXX11_ABI={}, this server with {}: its "
                             "std::string is another class; rebuild it with the same",
                             theirs.string_abi, kAbiStamp.string_abi));
  }
  constexpr std::array<std::string_view, kAbiStamp.sizes.size()> kClasses{
      "Request", "Response", "Context", "Parameters::iterator", "Router"};
  for (std::size_t i = 0; i < kClasses.size(); ++i) {
    if (theirs.sizes[i] != kAbiStamp.sizes[i]) {
      refuse(path,
             fmt::format("its forktail::{} has {} bytes, this server's has {}: rebuild it against "
                         "this server's include/forktail, and without what changes the standard "
                         "library's classes (-D_GLIBCXX_DEBUG)",
                         kClasses[i], theirs.sizes[i], kAbiStamp.sizes[i]));
    }
  }
}

// Of dlopen(): of all that it says, this the user can not know to mean a mismatch.
std::string why_not_opened(std::string error) {
  if (error.find("undefined symbol") != std::string::npos) {
    error +=
        ": it was not linked with a library that it uses, or was built against other headers or "
        "another standard library than this server's";
  }
  return error;
}

}  // namespace

App& load_app(const std::string& path, int copy) {
  const std::string file = absolute(path);
  if (copy < 0 && !std::filesystem::exists(file)) {
    refuse(path, "no such file; `app` takes the path of a shared object (.so)");
  }
  void* library = open_app(file, copy);
  if (library == nullptr) {
    refuse(path, why_not_opened(dlerror()));  // NOLINT(concurrency-mt-unsafe): one a thread
  }
  const auto* entry = static_cast<const AppEntry*>(dlsym(library, "forktail_app_entry"));
  if (entry == nullptr) {
    refuse(path, "is no forktail application: it lacks FORKTAIL_APP(YourClass)");
  }
  check_stamp(path, entry->stamp);
  try {
    return *entry->load();
  } catch (const std::exception& error) {
    refuse(path, fmt::format("its constructor threw: {}", error.what()));
  } catch (...) {
    refuse(path, "its constructor threw something that is no std::exception");
  }
}

App& load_app(const std::string& path, int copy, log::Sink& sink) {
  const ForeignLoggers foreign;
  App& app = load_app(path, copy);
  for (const std::string& reason : foreign.found()) {
    sink.write(log::EventKind::foreign_logger, {},
               fmt::format("lines of the application {} do not come here: {}", path, reason),
               {{"path", path}, {"reason", reason}});
  }
  return app;
}

}  // namespace forktail::server
