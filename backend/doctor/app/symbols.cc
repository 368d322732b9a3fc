#include "doctor/app/symbols.h"

#include <cxxabi.h>
#include <elfutils/libdwfl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string_view>
#include <system_error>

namespace forktail::doctor {

namespace {

std::string demangled(const char* name) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> text(
      abi::__cxa_demangle(name, nullptr, nullptr, &status), &std::free);
  return status == 0 ? text.get() : name;
}

// A file of source that was compiled in `folder`; from here, when it is below.
std::string path_of(const std::filesystem::path& folder, const char* file) {
  const std::filesystem::path path = (folder / file).lexically_normal();
  std::error_code error;
  const std::filesystem::path relative =
      path.lexically_relative(std::filesystem::current_path(error));
  const bool below = !relative.empty() && *relative.begin() != "..";
  return below ? relative.string() : path.string();
}

// Those that make everything for everybody.
bool is_runtime(const Frame& frame) {
  constexpr std::array<std::string_view, 7> kRuntimes{"libc.so",
                                                      "libpthread.so",
                                                      "libstdc++.so",
                                                      "libgcc_s.so",
                                                      "ld-linux",
                                                      "forktail",
                                                      "libforktail_doctor_recorder"};
  const std::string_view name = file_name(frame);
  return name.empty() || std::any_of(kRuntimes.begin(), kRuntimes.end(), [&](std::string_view one) {
           return one == "forktail" ? name == one : name.starts_with(one);
         });
}

std::string place_in_words(const Symbols::Place& place, const Frame& frame) {
  const std::string_view object = file_name(frame);
  const std::string function =
      place.function.empty() ? fmt::format("offset {:#x}", frame.offset) : place.function;
  return place.line.empty() ? fmt::format("{} in {}", function, object)
                            : fmt::format("{} ({} in {})", place.line, function, object);
}

}  // namespace

struct Symbols::Objects {
  Dwfl* dwfl = nullptr;
  std::map<std::string, Dwfl_Module*> modules;

  Dwfl_Module* module_of(const std::string& path) {
    const auto known = modules.find(path);
    if (known != modules.end()) {
      return known->second;
    }
    dwfl_report_begin_add(dwfl);
    Dwfl_Module* module = dwfl_report_offline(dwfl, path.c_str(), path.c_str(), -1);
    dwfl_report_end(dwfl, nullptr, nullptr);
    return modules[path] = module;
  }
};

Symbols::Symbols() : objects_(std::make_unique<Objects>()) {
  // Would fetch debug information over the network, for minutes.
  unsetenv("DEBUGINFOD_URLS");  // NOLINT(concurrency-mt-unsafe): the doctor has one thread
  static const Dwfl_Callbacks callbacks{dwfl_build_id_find_elf, dwfl_standard_find_debuginfo,
                                        dwfl_offline_section_address, nullptr};
  objects_->dwfl = dwfl_begin(&callbacks);
}

Symbols::~Symbols() { dwfl_end(objects_->dwfl); }

Symbols::Place Symbols::find(const Frame& frame) {
  Place place;
  if (!frame.symbol.empty()) {
    place.function = demangled(frame.symbol.c_str());
  }
  Dwfl_Module* module = objects_->dwfl == nullptr ? nullptr : objects_->module_of(frame.object);
  if (module == nullptr) {
    return place;
  }
  Dwarf_Addr begin = 0;
  dwfl_module_info(module, nullptr, &begin, nullptr, nullptr, nullptr, nullptr, nullptr);
  const Dwarf_Addr address = begin + frame.offset;
  if (const char* name = dwfl_module_addrname(module, address)) {
    place.function = demangled(name);
  }
  int line = 0;
  Dwfl_Line* found = dwfl_module_getsrc(module, address);
  const char* file =
      found == nullptr ? nullptr : dwfl_lineinfo(found, nullptr, &line, nullptr, nullptr, nullptr);
  if (file != nullptr) {
    const char* folder = dwfl_line_comp_dir(found);
    const std::string path = path_of(folder == nullptr ? "" : folder, file);
    place.of_a_header = path.starts_with("/usr/include/");
    place.line = fmt::format("{}:{}", path, line);
  }
  return place;
}

std::string maker_in_words(const std::vector<Frame>& stack, const std::string& app,
                           Symbols& symbols) {
  const auto first = std::find_if_not(stack.begin(), stack.end(), is_runtime);
  if (first == stack.end()) {
    return {};
  }
  const auto is_app = [&](const Frame& frame) { return frame.object == app; };
  auto caller = std::find_if(first, stack.end(), is_app);
  Symbols::Place place;
  // What an inlined header did is the doing of who included it.
  for (auto frame = caller; frame != stack.end() && is_app(*frame); ++frame) {
    const Symbols::Place here = symbols.find(*frame);
    if (frame == caller || (!here.of_a_header && !here.line.empty())) {
      place = here;
      caller = frame;
    }
    if (!here.of_a_header) {
      break;
    }
  }
  if (is_app(*first)) {
    return place_in_words(place, *caller);
  }
  const Symbols::Place library = symbols.find(*first);
  const std::string maker =
      fmt::format("{}{}", file_name(*first),
                  library.function.empty() ? "" : fmt::format(" ({})", library.function));
  return caller == stack.end()
             ? maker
             : fmt::format("{}, called at {}", maker, place_in_words(place, *caller));
}

}  // namespace forktail::doctor
