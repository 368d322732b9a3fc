// A shop that sells one thing: what an application looks like.
//
//   GET  /              the page, a file
//   GET  /orders        all orders as CSV, a stream
//   GET  /orders/{id}   one order
//   GET  /orders/last   the one that this browser made last, by its cookie
//   POST /orders        a form with `customer` and `pieces`
#include <forktail/app.h>
#include <spdlog/spdlog.h>

#include <charconv>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace {

using forktail::Context;
using forktail::Params;
using forktail::Request;
using forktail::Response;

struct Order {
  std::string customer;
  int pieces;
  std::mt19937::result_type coupon;
};

std::optional<std::size_t> number(std::string_view text) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value)
                                                                  : std::nullopt;
}

class Shop : public forktail::App {
 public:
  // Runs once in `preload` mode, before the fork: what it makes is shared by all workers.
  Shop() {
    router_.get("/", [this](const Request&, Context&, const Params&) { return page(); });
    router_.get("/orders", [this](const Request&, Context&, const Params&) { return list(); });
    router_.get("/orders/{id}", [this](const Request&, Context&, const Params& params) {
      return show(params["id"]);
    });
    router_.get("/orders/last", [this](const Request& request, Context&, const Params&) {
      return show(request.cookie("last_order").value_or(""));
    });
    router_.post("/orders",
                 [this](const Request& request, Context&, const Params&) { return sell(request); });
  }

  void on_worker_start(const forktail::Worker& worker) override {
    spdlog::info("the shop is open in worker {}", worker.id);
  }

  Response handle(const Request& request, Context& context) override {
    return router_.handle(request, context);
  }

 private:
  static Response page() {
    const char* folder = std::getenv("SHOP_FILES");
    return Response::file(std::string(folder == nullptr ? "." : folder) + "/index.html",
                          "text/html; charset=utf-8");
  }

  Response list() {
    return Response::stream(200, "text/csv; charset=utf-8", [this](forktail::Writer& writer) {
      std::string text = "id,customer,pieces\n";
      for (std::size_t id = 0; std::optional<Order> order = find(id); ++id) {
        text += std::to_string(id) + ",\"" + order->customer + "\"," +
                std::to_string(order->pieces) + "\n";
        if (text.size() > 8192) {
          if (!writer.write(text)) {
            return;  // the client has left
          }
          text.clear();
        }
      }
      writer.write(text);
    });
  }

  Response show(std::string_view id) {
    const auto position = number(id);
    const auto order = position ? find(*position) : std::nullopt;
    if (!order) {
      return {404, "text/plain", "no such order\n"};
    }
    return {200, "text/plain; charset=utf-8",
            order->customer + ": " + std::to_string(order->pieces) + ", coupon " +
                std::to_string(order->coupon) + "\n"};
  }

  Response sell(const Request& request) {
    const forktail::Parameters form = request.form();
    const std::string customer = form.get("customer").value_or("");
    const auto pieces = number(form.get("pieces").value_or("1"));
    if (customer.empty() || customer.find('"') != std::string::npos || !pieces || *pieces > 1000) {
      return {422, "text/plain", "needs a customer, and 0 to 1000 pieces\n"};
    }
    const std::string id =
        std::to_string(add({customer, static_cast<int>(*pieces), (*coupons_)()}));
    spdlog::info("sold {} to {}", *pieces, customer);  // bears the request's id
    return Response(303, "", "")
        .add_header("Location", "/orders/" + id)
        .set_cookie("last_order", id, {.max_age = std::chrono::hours(24)});
  }

  std::optional<Order> find(std::size_t id) {
    const std::lock_guard lock(mutex_);
    return id < orders_.size() ? std::optional(orders_[id]) : std::nullopt;
  }

  std::size_t add(Order order) {
    const std::lock_guard lock(mutex_);
    orders_.push_back(std::move(order));
    return orders_.size() - 1;
  }

  forktail::Router router_;
  std::mutex mutex_;           // for `threads` above 1
  std::vector<Order> orders_;  // each worker has its own: a real shop has a database
  // Made anew in each worker: made at load, all of them would draw the same coupons.
  forktail::per_worker<std::mt19937> coupons_{[] { return std::mt19937(std::random_device{}()); }};
};

}  // namespace

FORKTAIL_APP(Shop)
