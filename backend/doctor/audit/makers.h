// Who made a thing: the stack of calls that it was made in, as the doctor's preloaded object has
// recorded it. Without that object, as in every server that the doctor has not started, nobody is
// known.
//
// For the process that loaded the application; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "doctor/audit/recorder.h"

namespace forktail::doctor {

// One call: where in which object's file, and the symbol that the dynamic linker knows, if any.
struct Frame {
  std::string object;
  std::uint64_t offset = 0;
  std::string symbol;
};

// Of its object's file, without the folder.
std::string_view file_name(const Frame& frame);

// The preloaded object; null when there is none.
const RecorderApi* recorder();

// The latest call first; empty when it is not known.
std::vector<Frame> stack_of(Made made, std::int64_t number);
std::vector<Frame> stack_of(const Record& record);

// What an address belongs to.
Frame frame_of(const void* address);

}  // namespace forktail::doctor
