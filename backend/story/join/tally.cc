#include "story/join/tally.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <system_error>
#include <type_traits>

#include "story/text.h"

namespace forktail::story {
namespace {

static_assert(std::is_trivially_copyable_v<Count> && sizeof(Count) <= 64);

std::uint64_t mixed(std::uint64_t value) {
  value ^= value >> 33U;
  value *= UINT64_C(0xff51afd7ed558ccd);
  value ^= value >> 33U;
  value *= UINT64_C(0xc4ceb9fe1a85ec53);
  return value ^ value >> 33U;
}

std::uint64_t hash_of(const Count& count) { return mixed(count.key[0] ^ mixed(count.key[1])); }

// The 128 bits that 32 hex digits are (a UUID's dashes do not count), else a hash of the text.
void set_key(Count& count, std::string_view id) {
  std::size_t digits = 0;
  std::array<std::uint64_t, 2> bits{};
  const bool length = id.size() == 32 || id.size() == 36;
  for (const char c : length ? id : std::string_view()) {
    if (c == '-') {
      continue;
    }
    if (!is_hex(c) || digits == 32) {
      digits = 0;
      break;
    }
    const auto value = static_cast<std::uint64_t>(is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
    auto& half = bits[digits / 16];
    half = half << 4U | value;
    ++digits;
  }
  if (digits == 32) {
    count.key = bits;
    count.is_hex = 1;
    return;
  }
  count.is_hex = 0;
  std::uint64_t one = UINT64_C(0xcbf29ce484222325);
  std::uint64_t two = UINT64_C(0x9e3779b97f4a7c15);
  for (const char c : id) {
    one = (one ^ static_cast<unsigned char>(c)) * UINT64_C(0x100000001b3);
    two = mixed(two + static_cast<unsigned char>(c));
  }
  count.key = {one, two};
}

bool empty(const Count& count) {
  return count.first == kUnknown && count.key[0] == 0 && count.key[1] == 0;
}

template <typename T>
void add_up(T& sum, T more) {
  sum = static_cast<T>(std::min<unsigned>(std::numeric_limits<T>::max(), unsigned{sum} + more));
}

[[noreturn]] void throw_errno(const char* what) {
  throw std::runtime_error(fmt::format(
      "{}: {}: ids that do not fit into memory are put aside in temporary files (TMPDIR)", what,
      std::generic_category().message(errno)));
}

}  // namespace

Tally::Tally(std::size_t room) : table_(room) {}
Tally::~Tally() = default;

Count* Tally::find(const Count& key) {
  std::size_t at = hash_of(key) % table_.size();
  while (!empty(table_[at]) && table_[at].key != key.key) {
    at = at + 1 == table_.size() ? 0 : at + 1;
  }
  return &table_[at];
}

// False when there is no room.
bool Tally::merge(const Count& count) {
  Count* there = find(count);
  if (empty(*there)) {
    if (used_ + 1 > table_.size() / 4 * 3) {
      return false;
    }
    *there = count;
    ++used_;
    return true;
  }
  if (count.first != kUnknown && (there->first == kUnknown || count.first < there->first)) {
    there->first = count.first;
  }
  // The access line is the one to show.
  if (count.access > 0 && there->access == 0) {
    there->offset = count.offset;
    there->source = count.source;
  }
  add_up(there->access, count.access);
  add_up(there->served, count.served);
  add_up(there->app, count.app);
  add_up(there->lost, count.lost);
  there->tries = std::max(there->tries, count.tries);
  there->status = count.status != 0 ? count.status : there->status;
  return true;
}

void Tally::add(std::string_view id, const Count& more) {
  Count count = more;
  set_key(count, id);
  if (count.first == kUnknown) {
    count.first = kUnknown + 1;  // so that it is not empty
  }
  if (!merge(count)) {
    spill();
    merge(count);
  }
}

void Tally::spill() {
  while (files_.size() < kFiles) {
    files_.emplace_back(std::tmpfile(), &std::fclose);
    if (!files_.back()) {
      throw_errno("no temporary file can be made");
    }
  }
  for (const Count& count : table_) {
    if (!empty(count)) {
      std::FILE* file = files_[hash_of(count) >> 32U & (kFiles - 1)].get();
      if (std::fwrite(&count, sizeof count, 1, file) != 1) {
        throw_errno("a temporary file can not be written");
      }
    }
  }
  clear();
}

void Tally::clear() {
  std::fill(table_.begin(), table_.end(), Count());
  used_ = 0;
}

void Tally::each(const std::function<void(const Count&)>& visit) {
  const auto visit_all = [&] {
    for (const Count& count : table_) {
      if (!empty(count)) {
        visit(count);
      }
    }
    clear();
  };
  if (files_.empty()) {
    visit_all();
    return;
  }
  spill();
  for (const File& file : files_) {
    std::rewind(file.get());
    Count count;
    while (std::fread(&count, sizeof count, 1, file.get()) == 1) {
      if (!merge(count)) {
        throw std::runtime_error(
            "there are too many ids: verify a shorter time (--since, --until)");
      }
    }
    if (std::ferror(file.get()) != 0) {
      throw_errno("a temporary file can not be read");
    }
    visit_all();
  }
  files_.clear();
}

std::string id_of(const Count& count) {
  return count.is_hex != 0 ? fmt::format("{:016x}{:016x}", count.key[0], count.key[1])
                           : std::string();
}

}  // namespace forktail::story
