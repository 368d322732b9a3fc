#include "server/shared/tls_figures.h"

#include <sys/mman.h>

#include <array>
#include <atomic>

namespace forktail::server {

namespace {

constexpr std::array kFigures{&TlsFigures::connections, &TlsFigures::handshaking,
                              &TlsFigures::waiting, &TlsFigures::handshakes, &TlsFigures::failures};
static_assert(sizeof(TlsFigures) == kFigures.size() * sizeof(std::uint64_t));

using Figures = std::array<std::atomic<std::uint64_t>, kFigures.size()>;

Figures& figures_in(const SharedMemory& memory) {
  return *reinterpret_cast<Figures*>(memory.base());
}

}  // namespace

TlsBoard::TlsBoard() : memory_("the figures of a TLS process", sizeof(Figures)) {}

void TlsBoard::keep_from_others() { madvise(memory_.base(), sizeof(Figures), MADV_DONTFORK); }

void TlsBoard::write(const TlsFigures& figures) {
  for (std::size_t i = 0; i < kFigures.size(); ++i) {
    figures_in(memory_)[i].store(figures.*kFigures[i], std::memory_order_relaxed);
  }
}

TlsFigures TlsBoard::read() const {
  TlsFigures figures;
  for (std::size_t i = 0; i < kFigures.size(); ++i) {
    figures.*kFigures[i] = figures_in(memory_)[i].load(std::memory_order_relaxed);
  }
  return figures;
}

}  // namespace forktail::server
