#include "doctor/audit/makers.h"

#include <dlfcn.h>

namespace forktail::doctor {

std::string_view file_name(const Frame& frame) {
  return std::string_view(frame.object).substr(frame.object.rfind('/') + 1);
}

const RecorderApi* recorder() {
  const auto* api = static_cast<const RecorderApi*>(dlsym(RTLD_DEFAULT, kRecorderSymbol));
  return api != nullptr && api->version == kRecorderVersion ? api : nullptr;
}

Frame frame_of(const void* address) {
  Frame frame;
  Dl_info info{};
  if (dladdr(address, &info) == 0) {
    return frame;
  }
  frame.object = info.dli_fname == nullptr ? "" : info.dli_fname;
  frame.offset = static_cast<std::uint64_t>(static_cast<const char*>(address) -
                                            static_cast<const char*>(info.dli_fbase));
  frame.symbol = info.dli_sname == nullptr ? "" : info.dli_sname;
  return frame;
}

std::vector<Frame> stack_of(const Record& record) {
  std::vector<Frame> stack;
  for (int i = 0; i < record.depth; ++i) {
    // A return address is behind the call, and may be the next function's.
    stack.push_back(frame_of(static_cast<const char*>(record.frames[i]) - 1));
  }
  return stack;
}

std::vector<Frame> stack_of(Made made, std::int64_t number) {
  const RecorderApi* api = recorder();
  const Record* record = api == nullptr ? nullptr : api->find(made, number);
  return record == nullptr ? std::vector<Frame>() : stack_of(*record);
}

}  // namespace forktail::doctor
