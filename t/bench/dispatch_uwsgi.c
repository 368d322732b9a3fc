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

int bench(struct wsgi_request *request)
{
    uint16_t size = 0;
    char *path;

    if (uwsgi_parse_vars(request) != 0) {
        return -1;
    }
    path = uwsgi_get_var(request, "PATH_INFO", 9, &size);
    if (path != NULL && size > 7 && memcmp(path, "/sleep/", 7) == 0) {
        usleep(strtoul(path + 7, NULL, 10) * 1000);
    }
    uwsgi_response_prepare_headers(request, "200 OK", 6);
    uwsgi_response_add_header(request, "Content-Type", 12, "text/plain", 10);
    uwsgi_response_add_content_length(request, 6);
    uwsgi_response_write_body_do(request, "hello\n", 6);
    return 0;
}
