/* The same application as a C function for uWSGI's symcall plugin, which needs no header of uWSGI's. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

struct wsgi_request;
int uwsgi_parse_vars(struct wsgi_request *);
char *uwsgi_get_var(struct wsgi_request *, char *, uint16_t, uint16_t *);
int uwsgi_response_prepare_headers(struct wsgi_request *, char *, uint16_t);
int uwsgi_response_add_header(struct wsgi_request *, char *, uint16_t, char *, uint16_t);
int uwsgi_response_add_content_length(struct wsgi_request *, uint64_t);
int uwsgi_response_write_body_do(struct wsgi_request *, char *, size_t);
char *uwsgi_request_body_read(struct wsgi_request *, ssize_t, ssize_t *);

static unsigned long number_after(const char *prefix, const char *path, uint16_t size)
{
    size_t skipped = strlen(prefix);

    return path != NULL && size > skipped && memcmp(path, prefix, skipped) == 0 ? strtoul(path + skipped, NULL, 10) : 0;
}

int bench(struct wsgi_request *request)
{
    static char bytes[1 << 20];
    uint16_t size = 0;
    char *path;
    char *body = "hello\n";
    unsigned long body_size = 6, wanted, sleep_ms;
    ssize_t part;

    if (uwsgi_parse_vars(request) != 0) {
        return -1;
    }
    path = uwsgi_get_var(request, "PATH_INFO", 9, &size);
    sleep_ms = number_after("/sleep/", path, size);
    if (sleep_ms > 0) {
        usleep(sleep_ms * 1000);
    }
    wanted = number_after("/bytes/", path, size);
    if (wanted > 0 && wanted <= sizeof(bytes)) {
        body = memset(bytes, 'x', wanted);
        body_size = wanted;
    }
    do { /* nothing where there is no body */
        part = 0;
        uwsgi_request_body_read(request, 65536, &part);
    } while (part > 0);
    uwsgi_response_prepare_headers(request, "200 OK", 6);
    uwsgi_response_add_header(request, "Content-Type", 12, "text/plain", 10);
    uwsgi_response_add_content_length(request, body_size);
    uwsgi_response_write_body_do(request, body, body_size);
    return 0;
}
