/* libfcgi: each process serves one connection after the other.
 *
 *   fastcgi SOCKET PROCESSES
 */
#include <fcgiapp.h>

#include "processes.h"

int main(int argc, char **argv)
{
    static char part[65536];
    FCGX_Request request;
    int listener;

    if (argc != 3) {
        fputs("usage: fastcgi SOCKET PROCESSES\n", stderr);
        return 2;
    }
    listener = listen_at(argv[1]);
    be_processes(atoi(argv[2]));
    FCGX_Init();
    FCGX_InitRequest(&request, listener, 0);
    while (FCGX_Accept_r(&request) == 0) {
        const char *path = FCGX_GetParam("DOCUMENT_URI", request.envp);
        size_t size;
        const char *body = answer(path, strlen(path), &size);
        while (FCGX_GetStr(part, sizeof(part), request.in) > 0) {
        }
        FCGX_FPrintF(request.out, "Content-Type: text/plain\r\nContent-Length: %lu\r\n\r\n", (unsigned long) size);
        FCGX_PutStr(body, (int) size, request.out);
    }
    return 1;
}
