// The border between the server and the shared objects that it loads.
#pragma once

// The server's program defines these symbols and exports them to the applications that it loads; an
// application needs no library of ours to link against.
#define FORKTAIL_API __attribute__((visibility("default")))

// On what returns a view of its object: clang then warns of a view that outlives it.
#if defined(__clang__)
#define FORKTAIL_LIFETIMEBOUND [[clang::lifetimebound]]
#else
#define FORKTAIL_LIFETIMEBOUND
#endif
