// Every event that a line of the server's own can be about: the one list of them. The enumeration
// (log/events.h), the tables of docs/logs.md and the tests are made from it.
//
// EVENT(name, level, "when", "field, field, ..."); SECTION("title") begins a table of the docs. To
// add an event, write its line here and run script/check-events --write.

// NOLINTBEGIN: a table, included where EVENT and SECTION are defined
// clang-format off

SECTION("Requests")
EVENT(request, info, "a request was answered", "method, path, status, bytes, queue_ms, read_ms, handle_ms, write_ms")
EVENT(slow, warn, "the application took longer than `slow-request` for it", "method, path, handle_ms")
EVENT(bad_request, warn, "what came was refused before the application saw it", "status, reason")
EVENT(bad_id, warn, "REQUEST_ID is no valid id; a new one was made", "")
EVENT(body_not_stored, error, "the body could not be kept in a temporary file; the answer is 500", "status, reason")
EVENT(app_threw, error, "the application threw; the answer is 500, or cut when a stream had begun", "what, during")
EVENT(bad_response, error, "the application's response can not be sent as it is; the answer is 500", "reason")
EVENT(response_cut, warn, "the response could not be sent to its end", "reason")
EVENT(response_not_taken, info, "the web server closed the connection before it had the whole response", "reason")
EVENT(connection_lost, error, "a kept connection was announced to a worker and never came; it is closed", "slot")
EVENT(accept_failed, error, "a connection could not be accepted", "reason, cure")

SECTION("Requests that take too long, and requests that died")
EVENT(harakiri, warn, "a request has taken `harakiri`; its grace has begun", "method, path, state, age_ms, of_worker, of_pid")
EVENT(harakiri_stack, warn, "where the overdue request is, said by its worker", "stuck_tid, stack")
EVENT(harakiri_kill, error, "its grace is over: its worker is killed", "method, path, state, age_ms, of_worker, of_pid")
EVENT(hook_threw, error, "`on_timeout` or `on_worker_stop` threw", "hook, what")
EVENT(hook_not_called, error, "no thread could be started for `on_timeout`", "hook, reason")
EVENT(crash, critical, "a worker is about to die of a signal, said by itself", "signal, stack, address")
EVENT(lost, error, "a request died with its worker", "method, path, state, age_ms, how, lost_worker, lost_pid")
EVENT(answered, warn, "a worker died when its request had its whole answer", "method, path, state, age_ms, how, lost_worker, lost_pid")

SECTION("Workers and templates")
EVENT(worker_ready, info, "a worker serves", "of_worker, of_pid")
EVENT(worker_left, info, "a worker has ended as it was told to", "of_worker, of_pid")
EVENT(worker_died, error, "a worker has ended by itself, by a signal or with an error", "of_worker, of_pid, how")
EVENT(worker_killed, warn, "the master kills a worker", "of_worker, of_pid, reason")
EVENT(descriptors_lost, critical, "the application has closed the server's own descriptors; its worker ends", "of_worker")
EVENT(worker_replaced, info, "a worker has served its time; another takes its place", "of_worker, of_pid, reason")
EVENT(worker_start_failed, error, "a worker could not start; it is tried again", "of_worker, reason")
EVENT(worker_late, error, "a worker that is not ready within `start-timeout` is killed", "of_worker, of_pid, reason")
EVENT(fork_failed, error, "a process could not be forked; it is tried again", "of_worker, reason")
EVENT(template_failed, error, "a new template could not load the application; it is tried again", "reason")
EVENT(template_died, error, "a template has ended; another one is started", "of_pid, how, retry_ms")
EVENT(template_late, error, "a template that has not loaded within `start-timeout` is killed", "of_pid, reason")
EVENT(foreign_logger, warn, "lines of the application go to another logger than the server's, without an id", "path, reason")
EVENT(fork_audit, warn, "the load has left what the fork duplicates (`fork-audit`)", "finding, evidence, why, cure")
EVENT(fork_audit_found, warn, "how many of those there are, and how to be rid of them", "found")
EVENT(scaled, info, "another number of workers is wanted", "wanted, reason")

SECTION("The server")
EVENT(listening, info, "a socket is open", "socket, handed_over")
EVENT(backlog_short, warn, "the kernel cuts the listen queue shorter than `listen`", "listen, longest")
EVENT(serving, info, "a generation serves", "generation, workers, fork_mode")
EVENT(start_failed, critical, "the server could not start", "reason")
EVENT(stopping, info, "the server was told to stop", "")
EVENT(workers_sent_away, info, "SIGWINCH: the workers end, the master stays", "")
EVENT(reload, info, "a reload begins", "")
EVENT(reload_deferred, info, "a reload is under way; another one follows it", "")
EVENT(reload_failed, error, "the configuration, or the new generation, is not usable; what served serves on", "generation, reason")
EVENT(refork, info, "a worker becomes the next generation's template", "of_worker, of_pid, requests")
EVENT(refork_failed, error, "nothing has changed", "reason")
EVENT(paused, warn, "the machine, or the server's processes, stood still; deadlines come as much later", "paused_ms")
EVENT(generation_left, info, "the last process of an old generation has ended", "generation")
EVENT(touched, info, "a file of `touch-reload` has changed", "path")
EVENT(options_not_applied, warn, "options have changed that take an upgrade or a restart", "options")
EVENT(keepalive_off, warn, "this generation can not keep connections, or no more of them", "reason")
EVENT(upgrade, info, "another master is started", "of_pid")
EVENT(upgraded, info, "the other master serves; this one leaves", "of_pid")
EVENT(upgrade_failed, error, "this master goes on", "reason")
EVENT(in_charge, info, "the predecessor leaves; sockets, pidfile and control are this master's", "")
EVENT(certificate_kept, warn, "a file of TLS can not be read any more; what it held before stays in use", "option, path")
EVENT(not_measured, warn, "the workers' memory could not be measured for somebody who asked", "reason")
EVENT(notify_failed, warn, "systemd can not be told of the server's state", "socket, reason")

SECTION("The log itself")
EVENT(log_recovered, warn, "lines can be written again", "dropped, error")
EVENT(log_reopen_failed, error, "the file could not be reopened; the old one stays in use", "path, error, cure")
EVENT(log_not_given, warn, "the log file could not be given to the user of `uid`", "path, reason")

// clang-format on
// NOLINTEND
