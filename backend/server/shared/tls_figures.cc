#include "server/shared/tls_figures.h"

#include <sys/mman.h>

#include <array>

#include "server/shared/shared_numbers.h"

namespace forktail::server {

namespace {

constexpr std::array kFigures{&TlsFigures::connections, &TlsFigures::handshaking,
                              &TlsFigures::waiting, &TlsFigures::handshakes, &TlsFigures::failures};
static_assert(sizeof(TlsFigures) == kFigures.size() * sizeof(std::uint64_t));

}  // namespace

TlsBoard::TlsBoard() : memory_("the figures of a TLS process", sizeof(TlsFigures)) {}

void TlsBoard::keep_from_others() { madvise(memory_.base(), sizeof(TlsFigures), MADV_DONTFORK); }

void TlsBoard::write(const TlsFigures& figures) {
  write_numbers<TlsFigures>(memory_.base(), kFigures, figures);
}

TlsFigures TlsBoard::read() const { return read_numbers<TlsFigures>(memory_.base(), kFigures); }

}  // namespace forktail::server
