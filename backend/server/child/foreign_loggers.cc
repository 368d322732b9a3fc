#include "server/child/foreign_loggers.h"

#include <link.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "app/logger.h"

namespace forktail::server {

namespace {

// What every copy of spdlog's code has among its constants, whatever its symbols are hidden by.
constexpr std::string_view kTrace = "[*** LOG ERROR #%04zu ***]";

struct LoadedObject {
  std::uintptr_t address = 0;
  std::string path;
  bool has_spdlog = false;
};

bool holds_trace(const dl_phdr_info& info) {
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    const ElfW(Phdr)& part = info.dlpi_phdr[i];
    if (part.p_type == PT_LOAD && (part.p_flags & (PF_R | PF_W)) == PF_R &&
        memmem(reinterpret_cast<const void*>(info.dlpi_addr + part.p_vaddr), part.p_filesz,
               kTrace.data(), kTrace.size()) != nullptr) {
      return true;
    }
  }
  return false;
}

struct Search {
  const std::vector<std::uintptr_t>* skipped;  // null: nothing is looked into
  std::vector<LoadedObject> objects;
};

std::vector<LoadedObject> loaded_objects(const std::vector<std::uintptr_t>* skipped) {
  Search search{skipped, {}};
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* data) {
        auto& into = *static_cast<Search*>(data);
        LoadedObject object{info->dlpi_addr, info->dlpi_name};
        object.has_spdlog =
            into.skipped != nullptr &&
            std::ranges::find(*into.skipped, object.address) == into.skipped->end() &&
            holds_trace(*info);
        into.objects.push_back(std::move(object));
        return 0;
      },
      &search);
  return search.objects;
}

}  // namespace

ForeignLoggers::ForeignLoggers() {
  for (const LoadedObject& object : loaded_objects(nullptr)) {
    loaded_before_.push_back(object.address);
  }
}

std::vector<std::string> ForeignLoggers::found() const {
  std::vector<std::string> reasons;
  if (spdlog::default_logger_raw() != application_logger()) {
    reasons.emplace_back(
        "it has replaced spdlog's default logger, or shut it down; leave that alone, or log by "
        "context.log()");
  }
  for (const LoadedObject& object : loaded_objects(&loaded_before_)) {
    if (object.has_spdlog) {
      reasons.push_back(std::filesystem::path(object.path).filename().string() +
                        " has a spdlog of its own, header-only or linked into it; build it with "
                        "-DSPDLOG_COMPILED_LIB and link the system's libspdlog");
    }
  }
  return reasons;
}

}  // namespace forktail::server
