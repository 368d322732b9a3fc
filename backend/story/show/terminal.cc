#include "story/show/terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>

#include "story/text.h"

namespace forktail::story {
namespace {

constexpr std::size_t kNameWidth = 24;
constexpr std::size_t kTimeWidth = 9;
constexpr std::size_t kFewestColumns = 60;
constexpr std::size_t kMostColumns = 160;

enum class Paint : std::uint8_t { none, bold, dim, red, green, yellow };

std::string painted(std::string text, Paint paint, const TerminalOptions& options) {
  static constexpr std::array<std::string_view, 6> kCodes{"", "1", "2", "31", "32", "33"};
  if (!options.colour || paint == Paint::none || text.empty()) {
    return text;
  }
  return fmt::format("\x1b[{}m{}\x1b[0m", kCodes[static_cast<std::size_t>(paint)], text);
}

Paint paint_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::answered:
      return Paint::green;
    case Outcome::failed:
      return Paint::red;
    default:
      return Paint::yellow;
  }
}

std::string padded(const std::string& text, std::size_t width) {
  const std::string cut = cut_to(text, width);
  return cut + std::string(width - columns_of(cut), ' ');
}

// A time since the start, as exact as the line's stamp: "+12.3 ms".
std::string since(Micros time, bool uncertain, Micros grain) {
  const double millis = static_cast<double>(time) / 1000;
  std::string text =
      grain >= kMillisecond ? fmt::format("{:+.0f}", millis) : fmt::format("{:+.1f}", millis);
  if (millis >= 99'999 || millis <= -99'999) {
    text = fmt::format("{:+.0f}s", millis / 1000);
  }
  return fmt::format("{:>{}}", (uncertain ? "~" : "") + text, kTimeWidth);
}

class Bars {
 public:
  Bars(const Request& request, const TerminalOptions& options)
      : request_(request), options_(options) {
    width_ =
        std::clamp(options.columns, kFewestColumns, kMostColumns) - kNameWidth - kTimeWidth - 4;
    from_ = request.spans[0].start;
    to_ = request.spans[0].end;
    for (const Span& span : request.spans) {
      from_ = std::min(from_, span.start);
      to_ = std::max(to_, span.end);
    }
  }

  std::string text() const {
    std::string out;
    for (std::size_t i = 0; i < request_.spans.size(); ++i) {
      out += line(request_.spans[i], depth(i));
    }
    return out;
  }

 private:
  std::size_t depth(std::size_t i) const {
    std::size_t depth = 0;
    for (int at = request_.spans[i].parent; at >= 0 && depth < 8;
         at = request_.spans[static_cast<std::size_t>(at)].parent) {
      ++depth;
    }
    return depth;
  }

  std::size_t column(Micros at) const {
    if (to_ <= from_) {
      return 0;
    }
    const auto share = static_cast<double>(at - from_) / static_cast<double>(to_ - from_);
    return std::min(width_, static_cast<std::size_t>(share * static_cast<double>(width_) + 0.5));
  }

  std::string line(const Span& span, std::size_t depth) const {
    const std::size_t from = std::min(column(span.start), width_ - 1);
    const std::size_t to = std::max(column(span.end), from + 1);
    std::string bar(from, ' ');
    const std::string_view block = options_.unicode ? "\u2588" : "#";
    std::string filled;
    for (std::size_t i = from; i < to; ++i) {
      filled += block;
    }
    bar += painted(filled,
                   span.failed  ? Paint::red
                   : depth == 0 ? Paint::none
                                : Paint::green,
                   options_);
    const std::string duration = fmt::format("{}{:.1f}", span.uncertain ? "~" : "",
                                             static_cast<double>(span.end - span.start) / 1000);
    return fmt::format("  {} {:>{}}  {}\n",
                       padded(std::string(depth * 2, ' ') + printable(span.name, 60), kNameWidth),
                       duration, kTimeWidth, bar);
  }

  const Request& request_;
  const TerminalOptions& options_;
  std::size_t width_;
  Micros from_;
  Micros to_;
};

std::string summary_of(const Event& event) {
  switch (event.kind) {
    case Kind::access: {
      std::string text = fmt::format("{} {} -> {}", event.method, event.path, event.status);
      for (const Upstream& upstream : event.upstreams) {
        text += fmt::format(", {} from {}", upstream.status, upstream.address);
      }
      return text;
    }
    case Kind::nginx_error:
      return fmt::format("[{}] {}", event.level, event.message);
    default:
      break;
  }
  const bool loud = event.level != "info" && !event.level.empty() && event.level != "debug";
  const std::string& text = event.message.empty() ? event.raw : event.message;
  return loud && !event.drawn ? fmt::format("[{}] {}", event.level, text) : text;
}

// The rest of a text under its beginning.
std::string wrapped(const std::string& text, std::size_t indent, std::size_t columns) {
  constexpr std::size_t kMostLines = 6;
  const std::size_t width = columns > indent + 20 ? columns - indent : 20;
  std::string out;
  std::string left = text;
  for (std::size_t i = 0; !left.empty(); ++i) {
    if (i + 1 == kMostLines) {
      out += cut_to(left, width);
      break;
    }
    std::string part = columns_of(left) <= width ? left : cut_to(left, width + 3);
    if (part.size() < left.size()) {
      part.resize(part.size() - 3);  // without the dots
      const std::size_t blank = part.rfind(' ');
      part.resize(blank != std::string::npos && blank > part.size() / 2 ? blank : part.size());
    }
    out += part;
    left.erase(0, part.size());
    left.erase(0, left.find_first_not_of(' '));
    out += left.empty() ? "" : "\n" + std::string(indent, ' ');
  }
  return out;
}

std::string event_line(const Request& request, const Event& event, const TerminalOptions& options) {
  constexpr std::size_t kWhoWidth = 12;
  std::string when(kTimeWidth, ' ');
  const bool coarse = event.drawn || event.stamp.grain > kMillisecond;
  if (event.stamp.at != kUnknown && request.start != kUnknown) {
    when = since(event.placed - request.start, coarse, event.stamp.grain);
  } else {
    when.back() = '~';
  }
  const Paint paint = event.level == "error" || event.level == "crit" ||
                              event.level == "critical" || event.kind == Kind::death ||
                              event.level == "alert"
                          ? Paint::red
                      : event.drawn ? Paint::dim
                                    : Paint::none;
  const std::size_t indent = 2 + kTimeWidth + 2 + kWhoWidth + 1;
  return fmt::format("  {}  {} {}\n", when, padded(printable(who_of(event), 60), kWhoWidth),
                     painted(wrapped(printable(summary_of(event), 4096), indent, options.columns),
                             paint, options));
}

std::string plural(std::size_t count, const char* word) {
  return fmt::format("{} {}{}", count, word, count == 1 ? "" : "s");
}

bool asks_for_unicode() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): at the start
    if (value != nullptr && *value != '\0') {
      const std::string text = lower(value);
      return text.find("utf-8") != std::string::npos || text.find("utf8") != std::string::npos;
    }
  }
  return false;
}

}  // namespace

TerminalOptions terminal_options() {
  TerminalOptions options;
  const char* no_colour = std::getenv("NO_COLOR");  // NOLINT(concurrency-mt-unsafe): at the start
  const bool terminal = isatty(STDOUT_FILENO) == 1;
  options.colour = terminal && (no_colour == nullptr || *no_colour == '\0');
  winsize size{};
  if (terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    options.columns = size.ws_col;
  } else if (const char* columns = std::getenv("COLUMNS")) {  // NOLINT(concurrency-mt-unsafe)
    options.columns = static_cast<std::size_t>(std::max<std::int64_t>(
        static_cast<std::int64_t>(kFewestColumns), whole_number(columns).value_or(80)));
  }
  options.unicode = asks_for_unicode();
  return options;
}

std::string as_text(const Request& request, const Sources&, const TerminalOptions& options) {
  std::string out = painted(wrapped(printable(request.verdict, 1000), 0, options.columns),
                            paint_of(request.outcome), options) +
                    "\n";
  out +=
      wrapped(fmt::format("{}  {} {}{}", printable(request.id, 140), printable(request.method, 40),
                          printable(request.path, 300),
                          request.client.empty() ? "" : "  from " + printable(request.client, 60)),
              2, options.columns) +
      "\n";
  if (request.start != kUnknown) {
    out += fmt::format("{} UTC\n", date_and_time(request.start, request.grain));
  }
  if (!request.spans.empty() && request.spans.size() > 1) {
    out += painted(fmt::format("\n  {:<{}} {:>{}}\n", "phase", kNameWidth, "ms", kTimeWidth),
                   Paint::dim, options);
    out += Bars(request, options).text();
  }
  out += painted(fmt::format("\n  {:>{}}  {:<12} {}\n", "ms", kTimeWidth, "who", "what"),
                 Paint::dim, options);
  for (const Event& event : request.events) {
    out += event_line(request, event, options);
  }
  for (const std::string& missing : request.missing) {
    out += "\n" + painted(wrapped(missing, 2, options.columns), Paint::yellow, options) + "\n";
  }
  return out;
}

std::string as_line(const Event& event, const TerminalOptions& options) {
  const std::string when = event.stamp.at == kUnknown
                               ? std::string("?")
                               : time_of_day(event.stamp.at, event.stamp.grain);
  const bool bad = event.level == "error" || event.level == "crit" || event.kind == Kind::death;
  return fmt::format(
      "{:<15} {} {}\n", when, padded(printable(who_of(event), 60), 12),
      painted(printable(summary_of(event), 4096), bad ? Paint::red : Paint::none, options));
}

std::string as_list(const Story& story, const TerminalOptions& options) {
  // Ids of one minute begin alike: what they share is dimmed.
  std::size_t common = story.requests.empty() ? 0 : story.requests[0].id.size();
  for (const Request& request : story.requests) {
    const auto& first = story.requests[0].id;
    std::size_t same = 0;
    while (same < std::min(common, request.id.size()) && request.id[same] == first[same]) {
      ++same;
    }
    common = std::min(common, same);
  }
  std::string out;
  for (const Request& request : story.requests) {
    const std::string when =
        request.start == kUnknown ? std::string("?") : date_and_time(request.start, request.grain);
    const std::string front = printable(request.id.substr(0, common), 140);
    const std::string rest = printable(request.id.substr(common), 140);
    out += fmt::format("{}{}  {}  {}\n", painted(front, Paint::dim, options),
                       painted(rest, Paint::bold, options), when, printable(request.verdict, 200));
  }
  return out;
}

std::string reading_as_text(const Sources& sources, const Found& found,
                            const TerminalOptions& options) {
  std::string out;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const SourceReport& report = found.reports[i];
    const std::string how = report.how == How::bisected
                                ? fmt::format("{} pages by time", report.pages)
                            : report.how == How::scanned ? "read whole"
                                                         : "not read";
    std::string line = fmt::format("  {}: {}, {}", printable(sources[i]->name(), 200),
                                   plural(report.lines, "line"), how);
    if (report.skew != 0) {
      line += fmt::format(", its clock is {} {}", duration_text(std::abs(report.skew)),
                          report.skew > 0 ? "ahead" : "behind");
    }
    line += report.note.empty() ? "" : ", " + report.note;
    out += painted(line, Paint::dim, options) + "\n";
  }
  return out;
}

}  // namespace forktail::story
