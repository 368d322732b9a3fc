/* libh2o over HTTP/1: one event loop a process.
 *
 *   h2o SOCKET PROCESSES
 */
#define H2O_USE_LIBUV 0
#include <h2o.h>
#include <h2o/http1.h>

#include "processes.h"

static h2o_globalconf_t config;
static h2o_context_t context;
static h2o_accept_ctx_t acceptor;

static int handle(h2o_handler_t *self, h2o_req_t *request)
{
    static h2o_generator_t generator;
    h2o_iovec_t body;

    (void) self;
    body.base = (char *) answer(request->path.base, request->path.len, &body.len);
    request->res.status = 200;
    request->res.reason = "OK";
    request->res.content_length = body.len;
    h2o_add_header(&request->pool, &request->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, H2O_STRLIT("text/plain"));
    h2o_start_response(request, &generator);
    h2o_send(request, &body, 1, H2O_SEND_STATE_FINAL);
    return 0;
}

static void on_accept(h2o_socket_t *listener, const char *error)
{
    h2o_socket_t *connection;

    if (error == NULL) {
        while ((connection = h2o_evloop_socket_accept(listener)) != NULL) {
            h2o_accept(&acceptor, connection);
        }
    }
}

int main(int argc, char **argv)
{
    int listener;
    h2o_hostconf_t *host;
    h2o_handler_t *handler;
    h2o_socket_t *socket;

    if (argc != 3) {
        fputs("usage: h2o SOCKET PROCESSES\n", stderr);
        return 2;
    }
    listener = listen_at(argv[1]);
    be_processes(atoi(argv[2]));
    h2o_config_init(&config);
    host = h2o_config_register_host(&config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    handler = h2o_create_handler(h2o_config_register_path(host, "/", 0), sizeof(*handler));
    handler->on_req = handle;
    h2o_context_init(&context, h2o_evloop_create(), &config);
    acceptor.ctx = &context;
    acceptor.hosts = config.hosts;
    socket = h2o_evloop_socket_create(context.loop, listener, H2O_SOCKET_FLAG_DONT_READ);
    h2o_socket_read_start(socket, on_accept);
    while (h2o_evloop_run(context.loop, INT32_MAX) == 0) {
    }
    return 1;
}
