#include "queue_request.h"

#include "compat.h"
#include "queue_answer.h"
#include "queue_seats.h"
#include "queue_sweep.h"

namespace forktail {
namespace {

using State = QueueTicket::State;

void refuse(QueueTicket* ticket, const char* why) {
  ngx_http_request_t* r = ticket->request;
  const QueueLocConf* conf = queue_loc_conf(r);
  const QueueZone* zone = ticket->zone;
  ticket->state = State::kRefused;
  ticket->refusal = static_cast<ngx_int_t>(conf->status);
  ngx_log_error(conf->log_level, r->connection->log, 0,
                "%s: \"forktail_queue\" zone \"%V\" has %ui places and lets %ui requests pass", why,
                &zone->shm->shm.name, zone->size, zone->limit);
  ngx_http_finalize_request(r, ticket->refusal);
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
  if (ngx_queue_empty(&ticket->zone->line->tickets)) {
    stop_sweeping(ticket->zone);
  }
  if (is_unchanged(ticket)) {
    write_queue_time(ticket->request, ticket->waited);
    forget_body_timeout(ticket->request);
  }
}

void abandon(QueueTicket* ticket, QueueFifo::Exit why) {
  step_out(ticket);
  ticket->state = State::kOutside;
  wake(ticket->zone->fifo->abandon(ticket->place, why));
}

void leave(QueueTicket* ticket) {
  if (ticket->state == State::kWaiting) {
    abandon(ticket, QueueFifo::Exit::kLeft);
  } else if (ticket->state == State::kActive) {
    ticket->state = State::kOutside;
    wake(ticket->zone->fifo->leave(own_seat()));
  }
}

void ngx_http_forktail_queue_cleanup(void* data) { leave(static_cast<QueueTicket*>(data)); }

// The latest ticket of `r` for which `condition` holds; null when there is none.
template <typename Condition>
QueueTicket* find_ticket(const ngx_http_request_t* r, Condition condition) {
  for (const ngx_http_cleanup_t* one = r->main->cleanup; one != nullptr; one = one->next) {
    if (one->handler == ngx_http_forktail_queue_cleanup) {
      auto* ticket = static_cast<QueueTicket*>(one->data);
      if (ticket->request == r && condition(*ticket)) {
        return ticket;
      }
    }
  }
  return nullptr;
}

// How long `r` has waited so far, in all queues.
ngx_msec_t time_in_queues(const ngx_http_request_t* r) {
  const QueueTicket* latest = find_ticket(r, [](const QueueTicket&) { return true; });
  return latest == nullptr ? 0 : latest->waited;
}

// Whether a request waits for `r` that is at the backend by `zone`: it would hold the place that
// `r` waits for.
bool is_awaited_within(const ngx_http_request_t* r, const QueueZone* zone) {
  const auto holds_a_place = [zone](const QueueTicket& ticket) {
    return ticket.zone == zone && ticket.state == State::kActive;
  };
  for (; r->parent != nullptr && !r->background; r = r->parent) {  // nobody waits for a mirror
    if (find_ticket(r->parent, holds_a_place) != nullptr) {
      return true;
    }
  }
  return false;
}

// A request that has been turned to something else waits no more.
void leave_what_waits(const ngx_http_request_t* r) {
  QueueTicket* waiting =
      find_ticket(r, [](const QueueTicket& one) { return one.state == State::kWaiting; });
  if (waiting != nullptr) {
    leave(waiting);
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
  ticket->state = State::kActive;
  if (!is_unchanged(ticket)) {
    leave(ticket);
    return true;
  }
  ngx_http_set_log_request(ticket->request->connection->log, ticket->request);
  ticket->on_turn(ticket->request);
  return true;
}

void ngx_http_forktail_queue_timeout(ngx_event_t* event) {
  auto* ticket = static_cast<QueueTicket*>(event->data);
  ngx_connection_t* c = ticket->request->connection;
  if (!is_unchanged(ticket)) {
    leave(ticket);
  } else if (!collect(ticket)) {
    ngx_http_set_log_request(c->log, ticket->request);
    abandon(ticket, QueueFifo::Exit::kTimedOut);
    refuse(ticket, "the request has waited too long");
  }
  ngx_http_run_posted_requests(c);
}

void wait(QueueTicket* ticket, ngx_msec_t timeout) {
  ngx_http_request_t* r = ticket->request;
  ticket->state = State::kWaiting;
  ngx_queue_insert_tail(&ticket->zone->line->tickets, &ticket->link);
  ticket->timer.handler = ngx_http_forktail_queue_timeout;
  ticket->timer.data = ticket;
  ticket->timer.log = r->connection->log;
  ngx_add_timer(&ticket->timer, timeout);
  keep_sweeping(ticket->zone);
  if (watch_client(r) != NGX_OK) {
    leave(ticket);  // before an error page can take the request elsewhere
    ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
  }
}

QueueTicket* new_ticket(ngx_http_request_t* r, const QueueZone* zone, OnTurn on_turn) {
  auto* ticket = static_cast<QueueTicket*>(ngx_pcalloc(r->pool, sizeof(QueueTicket)));
  const ngx_msec_t before = time_in_queues(r);
  ngx_http_cleanup_t* cleanup = ngx_http_cleanup_add(r, 0);
  if (ticket == nullptr || cleanup == nullptr) {
    return nullptr;
  }
  ticket->ident = {};
  ticket->request = r;
  ticket->upstream = r->upstream;
  ticket->loc_conf = r->loc_conf;
  ticket->post_action = r->post_action != 0;
  ticket->zone = zone;
  ticket->on_turn = on_turn;
  ticket->since = ngx_current_msec;
  ticket->waited = before;
  cleanup->handler = ngx_http_forktail_queue_cleanup;
  cleanup->data = ticket;
  return ticket;
}

}  // namespace

void note_queue_time(ngx_http_request_t* r) { write_queue_time(r, time_in_queues(r)); }

void enter_queue(ngx_http_request_t* r, const QueueZone* zone, ngx_msec_t timeout, OnTurn on_turn) {
  if (own_seat() == kNoSeat || is_awaited_within(r, zone)) {
    on_turn(r);
    return;
  }
  leave_what_waits(r);
  QueueTicket* ticket = new_ticket(r, zone, on_turn);
  if (ticket == nullptr) {
    ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
    return;
  }
  if (zone->fifo->busy()) {
    sweep_now_and_then(zone);
  }
  switch (zone->fifo->enter(own_seat(), &ticket->place)) {
    case QueueFifo::Entry::kAdmitted:
      ticket->state = State::kActive;
      on_turn(r);
      break;
    case QueueFifo::Entry::kWaiting:
      wait(ticket, timeout);
      break;
    case QueueFifo::Entry::kFull:
      refuse(ticket, "the queue is full");
      break;
  }
}

void leave_queue(const ngx_http_request_t* r) {
  QueueTicket* ticket = find_ticket(r, [r](const QueueTicket& one) {
    return one.state != State::kOutside && one.upstream == r->upstream;
  });
  if (ticket != nullptr) {
    leave(ticket);
  }
}

// Starting one request can end others, so the line is looked at afresh each time.
void advance_line(const QueueZone* zone) {
  while (!ngx_queue_empty(&zone->line->tickets)) {
    QueueTicket* ticket = ngx_queue_data(ngx_queue_head(&zone->line->tickets), QueueTicket, link);
    ngx_connection_t* c = ticket->request->connection;
    if (!collect(ticket)) {
      return;
    }
    ngx_http_run_posted_requests(c);
  }
}

const QueueTicket* refused_ticket(const ngx_http_request_t* r) {
  return find_ticket(r, [](const QueueTicket& one) { return one.state == State::kRefused; });
}

}  // namespace forktail
