// The border between the server and the shared objects that it loads.
#pragma once

// The server's program defines these symbols and exports them to the applications that it loads; an
// application needs no library of ours to link against.
#define FORKTAIL_API __attribute__((visibility("default")))
