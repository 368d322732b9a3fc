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

// A header-only spdlog is a copy of its own in each object: what it logs would go to its standard
// output, without an id and without a word. FORKTAIL_APP looks again, behind all includes.
#ifdef SPDLOG_HEADER_ONLY
#error \
    "forktail needs the compiled spdlog, which the server shares with the application: build with \
`pkg-config --cflags --libs forktail`, or link forktail::forktail in CMake"
#endif
