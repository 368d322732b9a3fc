#include "server/child/app_library.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <exception>
#include <filesystem>
#include <stdexcept>

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
  if (theirs.compiler != kAbiStamp.compiler || theirs.string_abi != kAbiStamp.string_abi ||
      theirs.sizes != kAbiStamp.sizes) {
    refuse(path,
           "was built with another compiler, standard library or set of headers than this "
           "server (ABI stamps differ): rebuild it with the same");
  }
}

}  // namespace

App& load_app(const std::string& path) {
  const std::string file = absolute(path);
  if (!std::filesystem::exists(file)) {
    refuse(path, "no such file; `app` takes the path of a shared object (.so)");
  }
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    refuse(path, dlerror());  // NOLINT(concurrency-mt-unsafe): glibc keeps one a thread
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

}  // namespace forktail::server
