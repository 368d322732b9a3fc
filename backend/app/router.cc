#include "forktail/router.h"

#include <algorithm>
#include <stdexcept>

#include "wire/response_head.h"

namespace forktail {

namespace {

// "/orders/7" -> "orders", "7"; "/" -> ""; a path that does not begin with a slash has none.
std::vector<std::string_view> cut(std::string_view path) {
  std::vector<std::string_view> segments;
  while (path.starts_with('/')) {
    path.remove_prefix(1);
    segments.push_back(path.substr(0, path.find('/')));
    path.remove_prefix(segments.back().size());
  }
  return segments;
}

[[noreturn]] void refuse(std::string_view pattern, const std::string& why) {
  throw std::invalid_argument("the route \"" + std::string(pattern) + "\" " + why);
}

Response plain(int status, const Context& context) {
  return {status, "text/plain",
          std::to_string(status) + ' ' + std::string(wire::reason_phrase(status)) +
              "\nrequest id: " + std::string(context.id()) + '\n'};
}

bool matches(const std::vector<std::optional<std::string>>& pattern,
             const std::vector<std::string_view>& path) {
  return std::equal(pattern.begin(), pattern.end(), path.begin(), path.end(),
                    [](const std::optional<std::string>& segment, std::string_view text) {
                      return segment ? *segment == text : !text.empty();
                    });
}

}  // namespace

std::string_view Params::operator[](std::string_view name) const {
  for (const auto& [known, value] : values_) {
    if (known == name) {
      return value;
    }
  }
  throw std::out_of_range("the route has no parameter {" + std::string(name) + "}");
}

Router& Router::add(std::string_view method, std::string_view pattern, Handler handler) {
  if (!pattern.starts_with('/')) {
    refuse(pattern, "does not begin with a slash");
  }
  std::vector<std::optional<std::string>> segments;
  std::vector<std::string> names;
  for (const std::string_view segment : cut(pattern)) {
    if (segment.find_first_of("{}") == std::string_view::npos) {
      segments.emplace_back(segment);
      continue;
    }
    const bool whole = segment.starts_with('{') && segment.ends_with('}');
    const std::string name(whole ? segment.substr(1, segment.size() - 2) : "");
    if (name.empty() || name.find_first_of("{}") != std::string::npos) {
      refuse(pattern, "has a segment \"" + std::string(segment) +
                          "\" that is neither a literal nor one whole {name}");
    }
    if (std::find(names.begin(), names.end(), name) != names.end()) {
      refuse(pattern, "has two parameters {" + name + "}: give each a name of its own");
    }
    segments.emplace_back();
    names.push_back(name);
  }
  Route& route = route_for(std::move(segments));
  if (route.method(method) != nullptr) {
    refuse(pattern,
           "has a handler for " + (method.empty() ? "any()" : std::string(method)) + " already");
  }
  route.methods.push_back({std::string(method), std::move(handler), std::move(names)});
  return *this;
}

// Kept in the order that find() relies on: where two first differ in kind, the literal is ahead.
Router::Route& Router::route_for(std::vector<std::optional<std::string>> segments) {
  for (Route& route : routes_) {
    if (route.segments == segments) {
      return route;
    }
  }
  const auto place = std::upper_bound(
      routes_.begin(), routes_.end(), segments, [](const auto& pattern, const Route& route) {
        return std::lexicographical_compare(
            pattern.begin(), pattern.end(), route.segments.begin(), route.segments.end(),
            [](const auto& left, const auto& right) { return left && !right; });
      });
  return *routes_.insert(place, {std::move(segments), {}});
}

const Router::Route* Router::find(const std::vector<std::string_view>& path) const {
  for (const Route& route : routes_) {
    if (matches(route.segments, path)) {
      return &route;
    }
  }
  return nullptr;
}

Response Router::handle(const Request& request, Context& context) const {
  const std::vector<std::string_view> path = cut(request.path());
  const Route* route = find(path);
  if (route == nullptr) {
    return plain(404, context);
  }
  const Method* method = route->method(request.method());
  if (method == nullptr && request.method() == "HEAD") {
    method = route->method("GET");
  }
  if (method == nullptr) {
    method = route->method("");
  }
  if (method == nullptr) {
    return plain(405, context).add_header("Allow", route->allowed());
  }
  Params params;
  auto name = method->names.begin();
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (!route->segments[i]) {
      params.add(*name++, path[i]);
    }
  }
  return method->handler(request, context, params);
}

const Router::Method* Router::Route::method(std::string_view name) const {
  const auto found = std::find_if(methods.begin(), methods.end(),
                                  [name](const Method& one) { return one.name == name; });
  return found == methods.end() ? nullptr : &*found;
}

std::string Router::Route::allowed() const {
  std::string names;
  for (const Method& one : methods) {
    names += one.name + ", ";
  }
  if (method("GET") != nullptr && method("HEAD") == nullptr) {
    names += "HEAD, ";
  }
  names.resize(names.size() - 2);
  return names;
}

}  // namespace forktail
