#include "story/show/html.h"

#include <fmt/format.h>

#include <algorithm>

#include "story/text.h"

namespace forktail::story {
namespace {

constexpr std::string_view kStyle = R"(
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #667; --line: #d5d9e0; --paper: #fff;
  --good: #2a7f4f; --bad: #b3261e; --warn: #8a6100; --bar: #4a7fd0; --deep: #7fb0e8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --soft: #9aa3ad; --line: #3a4048;
  --paper: #16191d; --good: #6cc792; --bad: #ff8a80; --warn: #e6b450; --bar: #5b8fe0; --deep: #3f6396; } }
@media print { :root { --ink: #000; --paper: #fff; --soft: #444; } section { break-inside: avoid-page; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h1.failed { color: var(--bad); } h1.answered { color: var(--good); }
h1.refused, h1.client_left, h1.unknown { color: var(--warn); }
p { margin: .2rem 0; } .soft { color: var(--soft); } code, td, svg text { font-family: ui-monospace, monospace; }
svg { width: 100%; height: auto; margin: 1rem 0; } svg text { font-size: 12px; fill: var(--ink); }
svg .soft { fill: var(--soft); } svg .grid { stroke: var(--line); }
rect { fill: var(--bar); } rect.deep { fill: var(--deep); } rect.failed { fill: var(--bad); }
rect.uncertain { opacity: .6; }
table { border-collapse: collapse; width: 100%; font-size: 13px; }
td, th { text-align: left; vertical-align: top; padding: .15rem .6rem .15rem 0; border-top: 1px solid var(--line); }
td.when { text-align: right; white-space: nowrap; } td.who { white-space: nowrap; }
td.what { white-space: pre-wrap; overflow-wrap: anywhere; width: 100%; }
tr.error td.what { color: var(--bad); } tr.drawn td.what { color: var(--soft); }
section { margin-bottom: 3rem; }
)";

// Harmless as text and as a quoted attribute.
std::string escaped(std::string_view text, std::size_t limit = SIZE_MAX) {
  std::string out;
  for (const char c : printable(text, limit)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string millis_text(Micros time) {
  return fmt::format("{:.1f}", static_cast<double>(time) / 1000);
}

class Waterfall {
 public:
  explicit Waterfall(const Request& request) : request_(request) {
    from_ = request.spans[0].start;
    to_ = request.spans[0].end;
    for (const Span& span : request.spans) {
      from_ = std::min(from_, span.start);
      to_ = std::max(to_, span.end);
    }
    to_ = std::max(to_, from_ + 1);
  }

  std::string svg() const {
    const std::size_t height = kTop + kRow * request_.spans.size() + 8;
    std::string out = fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n",
                                  kWidth, height, escaped("phases of the request", 100));
    for (int i = 0; i <= 4; ++i) {
      const Micros at = from_ + (to_ - from_) * i / 4;
      const double x = place(at);
      out += fmt::format(
          "<line class=\"grid\" x1=\"{0:.1f}\" y1=\"{1}\" x2=\"{0:.1f}\" y2=\"{2}\"/>"
          "<text class=\"soft\" x=\"{0:.1f}\" y=\"12\" text-anchor=\"{3}\">{4} ms</text>\n",
          x, kTop - 4, height - 4, i == 4 ? "end" : "start", millis_text(at - request_.start));
    }
    for (std::size_t i = 0; i < request_.spans.size(); ++i) {
      out += row(request_.spans[i], i);
    }
    return out + "</svg>\n";
  }

 private:
  static constexpr std::size_t kWidth = 1000;
  static constexpr std::size_t kLeft = 290;
  static constexpr std::size_t kTop = 24;
  static constexpr std::size_t kRow = 22;

  double place(Micros at) const {
    return static_cast<double>(kLeft) + static_cast<double>(kWidth - kLeft - 10) *
                                            static_cast<double>(at - from_) /
                                            static_cast<double>(to_ - from_);
  }

  std::string row(const Span& span, std::size_t i) const {
    std::size_t depth = 0;
    for (int at = span.parent; at >= 0 && depth < 8; ++depth) {
      at = request_.spans[static_cast<std::size_t>(at)].parent;
    }
    const std::size_t y = kTop + kRow * i;
    const double x = place(span.start);
    const double width = std::max(place(span.end) - x, 1.5);
    const std::string duration =
        (span.uncertain ? "~" : "") + millis_text(span.end - span.start) + " ms";
    const std::string title =
        escaped(span.who + " " + span.name + " " + duration + " " + span.note, 300);
    return fmt::format(
        "<text x=\"{}\" y=\"{}\">{}</text><text class=\"soft\" x=\"{}\" y=\"{}\" "
        "text-anchor=\"end\">{}</text><rect class=\"{}{}{}\" x=\"{:.1f}\" y=\"{}\" "
        "width=\"{:.1f}\" "
        "height=\"{}\" rx=\"2\"><title>{}</title></rect>\n",
        depth * 14, y + 15, escaped(span.name, 40), kLeft - 12, y + 15, duration,
        span.failed ? "failed" : "", depth > 1 ? " deep" : "", span.uncertain ? " uncertain" : "",
        x, y + 4, width, kRow - 8, title);
  }

  const Request& request_;
  Micros from_;
  Micros to_;
};

std::string what_of(const Event& event) {
  if (event.kind == Kind::access || event.message.empty()) {
    return event.raw;
  }
  return event.message;
}

std::string row_of(const Event& event, const Request& request, const Sources& sources) {
  const bool error = event.kind == Kind::death || event.level == "error" || event.level == "crit" ||
                     event.level == "critical" || event.level == "alert";
  const bool coarse = event.drawn || event.stamp.grain > kMillisecond;
  const std::string when = event.stamp.at == kUnknown || request.start == kUnknown
                               ? "~"
                               : (coarse ? "~" : "") + millis_text(event.placed - request.start);
  const auto source = static_cast<std::size_t>(event.source);
  const std::string name = source < sources.size() ? sources[source]->name() : "";
  return fmt::format(
      "<tr class=\"{}{}\"><td class=\"when\">{}</td><td class=\"who\" title=\"{}\">{}</td>"
      "<td class=\"what\">{}</td></tr>\n",
      error ? "error" : "", event.drawn ? " drawn" : "", when,
      escaped(fmt::format("{}, byte {}", name, event.offset), 300), escaped(who_of(event), 60),
      escaped(what_of(event), 8192));
}

std::string section_of(const Request& request, const Sources& sources) {
  std::string out = fmt::format("<section>\n<h1 class=\"{}\">{}</h1>\n", name_of(request.outcome),
                                escaped(request.verdict, 2000));
  out += fmt::format("<p><code>{}</code></p>\n<p>{} {}{}</p>\n", escaped(request.id, 140),
                     escaped(request.method, 40), escaped(request.path, 1000),
                     request.client.empty() ? "" : " from " + escaped(request.client, 60));
  if (request.start != kUnknown) {
    out +=
        fmt::format("<p class=\"soft\">{} UTC{}</p>\n", date_and_time(request.start, request.grain),
                    request.timed ? ", " + duration_text(request.end - request.start) : "");
  }
  for (const std::string& missing : request.missing) {
    out += fmt::format("<p>{}</p>\n", escaped(missing, 500));
  }
  if (!request.spans.empty()) {
    out += Waterfall(request).svg();
  }
  out += "<table><thead><tr><th>ms</th><th>who</th><th>what</th></tr></thead><tbody>\n";
  for (const Event& event : request.events) {
    out += row_of(event, request, sources);
  }
  return out + "</tbody></table>\n</section>\n";
}

}  // namespace

std::string as_html(const Story& story, const Sources& sources) {
  std::string out = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
      "style-src 'unsafe-inline'\">\n<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n",
      story.requests.empty() ? "no request" : escaped(story.requests[0].verdict, 200), kStyle);
  for (const Request& request : story.requests) {
    out += section_of(request, sources);
  }
  for (const std::string& note : story.notes) {
    out += fmt::format("<p class=\"soft\">{}</p>\n", escaped(note, 500));
  }
  return out + "</body>\n</html>\n";
}

}  // namespace forktail::story
