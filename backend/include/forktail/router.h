// Which handler answers which path.
//
//   class Shop : public forktail::App {
//    public:
//     Shop() {
//       router_.get("/orders/{id}", [this](const auto& request, auto& context, const auto& params)
//       {
//         return order(params["id"]);
//       });
//     }
//     forktail::Response handle(const forktail::Request& request, forktail::Context& context)
//         override {
//       return router_.handle(request, context);
//     }
//   ...
//
// The path alone chooses the pattern, then the method chooses the handler:
//
// 1. A path and a pattern are cut at each `/`. They match when they have as many segments and each
//    segment of the pattern is the same, byte for byte, or is a parameter, `{name}`, and the path's
//    is not empty. So `/orders` and `/orders/` differ.
// 2. Of several patterns that match, the first segment in which they differ decides: a literal goes
//    before a parameter. `/orders/new` goes before `/orders/{id}`, and `/{a}/x/y` after both
//    `/b/{c}/y` and `/b/{c}/{d}`. The order in which they were added does not matter.
// 3. Of the chosen pattern's handlers that of the method answers; for HEAD, when it has none, that
//    of GET; else that of any().
//
// No pattern: 404. A pattern, but no handler: 405 with `Allow` (RFC 9110, section 15.5.6).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "forktail/api.h"
#include "forktail/context.h"
#include "forktail/request.h"
#include "forktail/response.h"

namespace forktail {

// What a path has in place of its pattern's parameters. Views: the names live as long as the
// Router, the values as long as the Request.
class FORKTAIL_API Params {
 public:
  // Throws std::out_of_range, naming it, when the pattern has no parameter `name`.
  std::string_view operator[](std::string_view name) const FORKTAIL_LIFETIMEBOUND;

  void add(std::string_view name, std::string_view value) { values_.emplace_back(name, value); }

 private:
  std::vector<std::pair<std::string_view, std::string_view>> values_;
};

// Filled by one thread, at load; then handle() may be called by any number of them.
class FORKTAIL_API Router {
 public:
  using Handler = std::function<Response(const Request&, Context&, const Params&)>;

  // Each throws std::invalid_argument that names the pattern and what is wrong with it: it does not
  // begin with `/`, a parameter is not a whole segment, has no name or one that the pattern has
  // already, or the same method of the same pattern has a handler. (Patterns that differ in nothing
  // but the names of parameters are the same.)
  Router& get(std::string_view pattern, Handler handler) {
    return add("GET", pattern, std::move(handler));
  }
  Router& post(std::string_view pattern, Handler handler) {
    return add("POST", pattern, std::move(handler));
  }
  Router& put(std::string_view pattern, Handler handler) {
    return add("PUT", pattern, std::move(handler));
  }
  Router& patch(std::string_view pattern, Handler handler) {
    return add("PATCH", pattern, std::move(handler));
  }
  Router& del(std::string_view pattern, Handler handler) {
    return add("DELETE", pattern, std::move(handler));
  }
  Router& any(std::string_view pattern, Handler handler) {
    return add("", pattern, std::move(handler));
  }

  // Any other method; "" is any().
  Router& add(std::string_view method, std::string_view pattern, Handler handler);

  // Answers by the handler that the rules above choose, or by 404 or 405 with the id in the body.
  // Throws what the handler throws.
  Response handle(const Request& request, Context& context) const;

 private:
  struct Method {
    std::string name;
    Handler handler;
    std::vector<std::string> names;  // of the parameters, as this handler knows them
  };
  struct Route {
    std::vector<std::optional<std::string>> segments;  // nothing: a parameter
    std::vector<Method> methods;

    [[nodiscard]] const Method* method(std::string_view name) const;
    [[nodiscard]] std::string allowed() const;
  };

  Route& route_for(std::vector<std::optional<std::string>> segments);
  [[nodiscard]] const Route* find(const std::vector<std::string_view>& path) const;

  std::vector<Route> routes_;  // the first that matches is the right one
};

}  // namespace forktail
