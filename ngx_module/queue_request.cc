#include "queue_request.h"

#include "compat.h"
#include "id_headers.h"
#include "pass.h"
#include "queue_seats.h"

namespace forktail {
namespace {

constexpr ngx_msec_t kSweepInterval = 100;

const PassMainConf* main_conf_of(const ngx_cycle_t* cycle) {
  return static_cast<const PassMainConf*>(
      ngx_http_cycle_get_module_main_conf(cycle, ngx_http_forktail_pass_module));
}

const ngx_cycle_t* current_cycle() { return const_cast<const ngx_cycle_t*>(ngx_cycle); }

template <typename Function>
void for_each_zone(const ngx_cycle_t* cycle, Function function) {
  const PassMainConf* conf = main_conf_of(cycle);
  auto** zones = static_cast<QueueZone**>(conf->zones.elts);
  for (ngx_uint_t i = 0; i < conf->zones.nelts; i++) {
    function(zones[i]);
  }
}

// Takes back what processes that are gone hold of `zone`.
void sweep(QueueZone* zone) {
  for (ngx_uint_t seat = 0; seat < kSeats; seat++) {
    if (zone->fifo->holds(seat) && seize_empty_seat(seat)) {
      wake(zone->fifo->reclaim(seat));
      let_seat_go(seat);
    }
  }
}

// A worker that dies is cleaned up after by the one that nginx starts in its place. For one that
// dies while it ends after a reload, nginx starts none: so those look who wait, or would have to.
// Not each time, since that asks the kernel for each worker that has requests.
void sweep_now_and_then(QueueZone* zone) {
  if (ngx_current_msec - zone->swept >= kSweepInterval) {
    zone->swept = ngx_current_msec;
    sweep(zone);
  }
}

void on_sweep_timer(ngx_event_t* event) {
  auto* zone = static_cast<QueueZone*>(event->data);
  sweep(zone);
  ngx_add_timer(event, kSweepInterval);
}

ngx_int_t get_no_time(ngx_http_request_t*, ngx_http_variable_value_t* value, uintptr_t) {
  value->not_found = 1;
  return NGX_OK;
}

void refuse(QueueTicket* ticket, const char* why) {
  ngx_http_request_t* r = ticket->request;
  ticket->state = QueueTicket::State::kRefused;
  const QueueZone* zone = ticket->zone;
  ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                "%s: \"forktail_queue\" zone \"%V\" has %ui places and lets %ui requests pass", why,
                &zone->shm->shm.name, zone->size, zone->limit);
  ngx_http_finalize_request(r, NGX_HTTP_SERVICE_UNAVAILABLE);
}

// Nobody read the body while its request waited: that client_body_timeout has passed since says
// nothing of the client. Done when the wait ends, since HTTP/2 starts that timer with each part
// that arrives, read or not.
void forget_body_timeout(const ngx_http_request_t* r) {
  ngx_event_t* event = r->connection->read;
  if (!r->reading_body) {
    return;
  }
  if (event->timer_set) {
    ngx_del_timer(event);
  }
  event->timedout = 0;
}

// Written into the variable's place at once, which survives internal redirects as the request's
// context does not.
void write_queue_time(ngx_http_request_t* r, ngx_msec_t waited) {
  if (r != r->main) {  // which shares its variables with its subrequests
    return;
  }
  auto* text = static_cast<u_char*>(ngx_pnalloc(r->pool, NGX_TIME_T_LEN + sizeof(".000") - 1));
  if (text == nullptr) {
    return;
  }
  const auto* conf = static_cast<const PassMainConf*>(
      ngx_http_get_module_main_conf(r, ngx_http_forktail_pass_module));
  ngx_http_variable_value_t* value = &r->variables[conf->queue_time];
  const u_char* end =
      ngx_sprintf(text, "%T.%03M", static_cast<time_t>(waited / 1000), waited % 1000);
  value->len = static_cast<unsigned>(end - text) & 0x0fffffff;
  value->valid = 1;
  value->no_cacheable = 0;
  value->not_found = 0;
  value->data = text;
}

// Whether the request is still what the ticket was made for. If not, nothing of it may be touched:
// it belongs to whoever has it now.
bool is_unchanged(const QueueTicket* ticket) {
  const ngx_http_request_t* r = ticket->request;
  return r->upstream == ticket->upstream && r->loc_conf == ticket->loc_conf &&
         (r->post_action != 0) == ticket->post_action;
}

// Takes a ticket that waits out of this worker's line.
void step_out(QueueTicket* ticket) {
  ticket->waited += ngx_current_msec - ticket->since;
  // The analyzer takes the next head of the line for the one just removed.
  ngx_queue_remove(&ticket->link);  // NOLINT(clang-analyzer-core.NullDereference)
  if (ticket->timer.timer_set) {
    ngx_del_timer(&ticket->timer);
  }
  ngx_event_t* sweeper = &ticket->zone->sweeper;
  if (ngx_queue_empty(&ticket->zone->line) && sweeper->timer_set) {
    ngx_del_timer(sweeper);
  }
  if (is_unchanged(ticket)) {
    write_queue_time(ticket->request, ticket->waited);
    forget_body_timeout(ticket->request);
  }
}

void abandon(QueueTicket* ticket, QueueFifo::Exit why) {
  step_out(ticket);
  ticket->state = QueueTicket::State::kOutside;
  wake(ticket->zone->fifo->abandon(ticket->place, why));
}

void on_request_end(void* data) { leave_queue(static_cast<QueueTicket*>(data)); }

// The latest ticket of `r` for which `condition` holds; null when there is none.
template <typename Condition>
QueueTicket* find_ticket(const ngx_http_request_t* r, Condition condition) {
  for (const ngx_http_cleanup_t* one = r->main->cleanup; one != nullptr; one = one->next) {
    if (one->handler == on_request_end) {
      auto* ticket = static_cast<QueueTicket*>(one->data);
      if (ticket->request == r && condition(*ticket)) {
        return ticket;
      }
    }
  }
  return nullptr;
}

// Whether `r` was refused, be it before it was turned to an error page.
bool was_refused(const ngx_http_request_t* r) {
  return find_ticket(r, [](const QueueTicket& ticket) {
           return ticket.state == QueueTicket::State::kRefused;
         }) != nullptr;
}

// Whether a request waits for `r` that is at the backend by `zone`: it would hold the place that
// `r` waits for.
bool is_awaited_within(const ngx_http_request_t* r, const QueueZone* zone) {
  const auto holds_a_place = [zone](const QueueTicket& ticket) {
    return ticket.zone == zone && ticket.state == QueueTicket::State::kActive;
  };
  for (; r->parent != nullptr && !r->background; r = r->parent) {  // nobody waits for a mirror
    if (find_ticket(r->parent, holds_a_place) != nullptr) {
      return true;
    }
  }
  return false;
}

ngx_msec_t waited_before(const ngx_http_request_t* r) {
  const QueueTicket* latest = find_ticket(r, [](const QueueTicket&) { return true; });
  return latest == nullptr ? 0 : latest->waited;
}

ngx_http_output_header_filter_pt next_header_filter;

// Not added when a request is refused: an error page may make another answer of that.
ngx_int_t ngx_http_forktail_queue_header_filter(ngx_http_request_t* r) {
  static const HeaderName name = {ngx_string("Retry-After"), ngx_string("retry-after"), 1};
  static const ngx_str_t seconds = ngx_string("1");
  if (r->err_status != NGX_HTTP_SERVICE_UNAVAILABLE || !was_refused(r)) {
    return next_header_filter(r);
  }
  bool said = false;
  each_header(r->headers_out.headers,
              [&said](const ngx_table_elt_t& one) { said = said || same_name(one.key, name); });
  if (!said && !push_header(r->headers_out.headers, r->pool, name, seconds)) {
    return NGX_ERROR;
  }
  return next_header_filter(r);
}

// A request that has been turned to something else waits no more.
void leave_what_waits(const ngx_http_request_t* r) {
  QueueTicket* waiting = find_ticket(
      r, [](const QueueTicket& one) { return one.state == QueueTicket::State::kWaiting; });
  if (waiting != nullptr) {
    leave_queue(waiting);
  }
}

// What ngx_http_test_reading looks at before it ends a request.
bool client_is_gone(const ngx_http_request_t* r) {
  const ngx_connection_t* c = r->connection;
  if (is_stream(r)) {
    return c->error || c->read->error;
  }
  if (reports_end_by_event()) {
    return c->read->pending_eof;
  }
  char byte;
  const ssize_t n = recv(c->fd, &byte, 1, MSG_PEEK);
  return n == 0 || (n == -1 && ngx_socket_errno != NGX_EAGAIN);
}

// The line is left first: ngx_http_test_reading ends the request, or has post_action make another
// one of it.
void ngx_http_forktail_queue_test_reading(ngx_http_request_t* r) {
  if (client_is_gone(r)) {
    leave_what_waits(r);
  }
  ngx_http_test_reading(r);
}

// Watches the client as nginx's upstream will do later.
ngx_int_t watch_client(ngx_http_request_t* r) {
  r->write_event_handler = ngx_http_request_empty_handler;
  r->read_event_handler = ngx_http_block_reading;
  if (r->upstream->conf->ignore_client_abort || r->post_action) {
    return NGX_OK;
  }
  r->read_event_handler = ngx_http_forktail_queue_test_reading;
  ngx_event_t* event = r->connection->read;
  if (event->ready) {
    ngx_post_event(event, &ngx_posted_events);
    return NGX_OK;
  }
  return ngx_handle_read_event(event, 0);
}

// Lets the request of a ticket that waits go, if its turn has come.
bool collect(QueueTicket* ticket) {
  if (!ticket->zone->fifo->collect(ticket->place)) {
    return false;
  }
  step_out(ticket);
  ticket->state = QueueTicket::State::kActive;
  if (!is_unchanged(ticket)) {
    leave_queue(ticket);
    return true;
  }
  ngx_http_request_t* r = ticket->request;
  ngx_http_set_log_request(r->connection->log, r);
  const ngx_int_t rc = make_packet(r);  // anew, since it may say how long
  if (rc == NGX_OK) {
    ngx_http_upstream_init(r);
  } else {
    leave_queue(ticket);
    ngx_http_finalize_request(r, rc);
  }
  return true;
}

// Lets those of the line go whose turn has come. Starting one can end others, so the line is looked
// at afresh each time.
void advance(QueueZone* zone) {
  while (!ngx_queue_empty(&zone->line)) {
    QueueTicket* ticket = ngx_queue_data(ngx_queue_head(&zone->line), QueueTicket, link);
    ngx_connection_t* c = ticket->request->connection;
    if (!collect(ticket)) {
      return;
    }
    ngx_http_run_posted_requests(c);
  }
}

void on_timeout(ngx_event_t* event) {
  auto* ticket = static_cast<QueueTicket*>(event->data);
  ngx_connection_t* c = ticket->request->connection;
  if (!is_unchanged(ticket)) {
    leave_queue(ticket);
  } else if (!collect(ticket)) {
    ngx_http_set_log_request(c->log, ticket->request);
    abandon(ticket, QueueFifo::Exit::kTimedOut);
    refuse(ticket, "the request has waited too long");
  }
  ngx_http_run_posted_requests(c);
}

void wait(QueueTicket* ticket, ngx_msec_t timeout) {
  ngx_http_request_t* r = ticket->request;
  ticket->state = QueueTicket::State::kWaiting;
  ngx_queue_insert_tail(&ticket->zone->line, &ticket->link);
  ticket->timer.handler = on_timeout;
  ticket->timer.data = ticket;
  ticket->timer.log = r->connection->log;
  ngx_add_timer(&ticket->timer, timeout);
  if (!ticket->zone->sweeper.timer_set) {
    ngx_event_t* sweeper = &ticket->zone->sweeper;
    sweeper->handler = on_sweep_timer;
    sweeper->data = ticket->zone;
    sweeper->log = ngx_cycle->log;
    sweeper->cancelable = 1;
    ngx_add_timer(sweeper, kSweepInterval);
  }
  if (watch_client(r) != NGX_OK) {
    leave_queue(ticket);  // before an error page can take the request elsewhere
    ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
  }
}

void on_wake() { for_each_zone(current_cycle(), advance); }

QueueTicket* new_ticket(ngx_http_request_t* r, QueueZone* zone) {
  auto* ticket = static_cast<QueueTicket*>(ngx_pcalloc(r->pool, sizeof(QueueTicket)));
  const ngx_msec_t before = waited_before(r);
  ngx_http_cleanup_t* cleanup = ngx_http_cleanup_add(r, 0);
  if (ticket == nullptr || cleanup == nullptr) {
    return nullptr;
  }
  ticket->request = r;
  ticket->upstream = r->upstream;
  ticket->loc_conf = r->loc_conf;
  ticket->post_action = r->post_action != 0;
  ticket->zone = zone;
  ticket->since = ngx_current_msec;
  ticket->waited = before;
  cleanup->handler = on_request_end;
  cleanup->data = ticket;
  return ticket;
}

}  // namespace

void note_queue_time(ngx_http_request_t* r) { write_queue_time(r, waited_before(r)); }

void enter_queue(ngx_http_request_t* r, QueueZone* zone, ngx_msec_t timeout) {
  if (own_seat() == kNoSeat || is_awaited_within(r, zone)) {
    ngx_http_upstream_init(r);
    return;
  }
  leave_what_waits(r);
  QueueTicket* ticket = new_ticket(r, zone);
  if (ticket == nullptr) {
    ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
    return;
  }
  pass_context(r)->ticket = ticket;
  if (zone->fifo->busy()) {
    sweep_now_and_then(zone);
  }
  switch (zone->fifo->enter(own_seat(), &ticket->place)) {
    case QueueFifo::Entry::kAdmitted:
      ticket->state = QueueTicket::State::kActive;
      ngx_http_upstream_init(r);
      break;
    case QueueFifo::Entry::kWaiting:
      wait(ticket, timeout);
      break;
    case QueueFifo::Entry::kFull:
      refuse(ticket, "the queue is full");
      break;
  }
}

void leave_queue(QueueTicket* ticket) {
  if (ticket->state == QueueTicket::State::kWaiting) {
    abandon(ticket, QueueFifo::Exit::kLeft);
  } else if (ticket->state == QueueTicket::State::kActive) {
    ticket->state = QueueTicket::State::kOutside;
    wake(ticket->zone->fifo->leave(own_seat()));
  }
}

void install_queue_filter() {
  next_header_filter = ngx_http_top_header_filter;
  ngx_http_top_header_filter = ngx_http_forktail_queue_header_filter;
}

ngx_int_t ngx_http_forktail_queue_init_module(ngx_cycle_t* cycle) {
  if (main_conf_of(cycle) != nullptr) {
    for_each_zone(cycle, [](QueueZone* zone) { zone->fifo->configure(zone->limit, zone->size); });
  }
  return NGX_OK;
}

ngx_int_t ngx_http_forktail_queue_init_process(ngx_cycle_t* cycle) {
  const bool serves = ngx_process == NGX_PROCESS_WORKER || ngx_process == NGX_PROCESS_SINGLE;
  if (!serves || main_conf_of(cycle) == nullptr || main_conf_of(cycle)->zones.nelts == 0) {
    return NGX_OK;
  }
  if (take_seat(cycle, on_wake) != NGX_OK) {
    return NGX_ERROR;
  }
  for_each_zone(cycle, [](QueueZone* zone) {
    if (own_seat() != kNoSeat) {
      wake(zone->fifo->reclaim(own_seat()));
    }
    sweep(zone);
  });
  return NGX_OK;
}

ngx_int_t add_queue_variables(ngx_conf_t* cf) {
  ngx_str_t name = ngx_string("forktail_queue_time");
  ngx_http_variable_t* variable = ngx_http_add_variable(cf, &name, 0);
  if (variable == nullptr) {
    return NGX_ERROR;
  }
  variable->get_handler = get_no_time;
  auto* conf = static_cast<PassMainConf*>(
      ngx_http_conf_get_module_main_conf(cf, ngx_http_forktail_pass_module));
  conf->queue_time = ngx_http_get_variable_index(cf, &name);
  return conf->queue_time == NGX_ERROR ? NGX_ERROR : NGX_OK;
}

}  // namespace forktail
