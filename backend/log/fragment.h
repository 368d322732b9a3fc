// What stands at the end of a log after a write that did not end well: the beginning of a line
// without its end, on a full disk; or all of it, without the writer's note that it is there.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string_view>

#include "log/group.h"

namespace forktail::log {

// Overwrites with blanks the `fragment` that the caller's last write left at the end of the file
// behind `descriptor`, so that the line of whoever writes next is whole, behind some white space.
// It needs no new space on the disk. Complete lines are never touched: only bytes at the very end
// of the file that equal the fragment. False when they do not, or when the file can not be read and
// written (a pipe, another user's file, no /proc).
bool erase_fragment(int descriptor, std::string_view fragment) noexcept;

// The regular file behind `descriptor`, and its size; none of anything else.
FileEnd file_end(int descriptor) noexcept;

// How many of the lines in `block` stand in the file behind `descriptor`, at `from` or later, from
// the first one on: a kill can cut a write short at any byte. What there is of the line after them
// is overwritten with blanks. None when the file can not be read and written.
std::uint32_t lines_written_since(int descriptor, off_t from, std::string_view block) noexcept;

// Overwrites with blanks what writers that were killed in a write(2) have left of their lines near
// the end of the file behind `descriptor`: what begins as a line does, by `start` or a part of it,
// and runs into another `start`, which must be something that only begins a line. Behind the last
// line feed nothing is touched, since somebody may be writing there.
void blank_torn_lines(int descriptor, std::string_view start) noexcept;

// Cuts off what stands behind the last line feed of the file behind `descriptor`, to which nobody
// writes any more, if it begins as a line does, by `start` or a part of it, or is blanks alone.
void cut_unfinished_line(int descriptor, std::string_view start) noexcept;

}  // namespace forktail::log
