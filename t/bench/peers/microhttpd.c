/* GNU libmicrohttpd with its own epoll thread in each process.
 *
 *   microhttpd SOCKET PROCESSES
 */
#include <microhttpd.h>

#include "processes.h"

static enum MHD_Result handle(void *self, struct MHD_Connection *connection, const char *path, const char *method,
                              const char *version, const char *upload, size_t *upload_size, void **state)
{
    static int begun;
    size_t size;
    const char *body;
    struct MHD_Response *response;
    enum MHD_Result result;

    (void) self, (void) method, (void) version, (void) upload;
    if (*state == NULL) { /* the head is there, a body may follow */
        *state = &begun;
        return MHD_YES;
    }
    if (*upload_size != 0) {
        *upload_size = 0;
        return MHD_YES;
    }
    body = answer(path, strlen(path), &size);
    response = MHD_create_response_from_buffer(size, (void *) body, MHD_RESPMEM_PERSISTENT);
    MHD_add_response_header(response, "Content-Type", "text/plain");
    result = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

int main(int argc, char **argv)
{
    int listener;

    if (argc != 3) {
        fputs("usage: microhttpd SOCKET PROCESSES\n", stderr);
        return 2;
    }
    listener = listen_at(argv[1]);
    be_processes(atoi(argv[2]));
    if (MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_TURBO, 0, NULL, NULL, handle, NULL,
                         MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_CONNECTION_TIMEOUT, 0u, MHD_OPTION_END)
        == NULL) {
        fputs("microhttpd: it does not start\n", stderr);
        return 1;
    }
    pause();
    return 0;
}
