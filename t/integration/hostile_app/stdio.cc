// Standard output and error: buffered, locked, closed.
#include <unistd.h>

#include <cstdio>
#include <iostream>

#include "hostile.h"

namespace hostile {

namespace {

constexpr Misbehaviour kTable[] = {
    {"/stdio/cout-unsynced", Harm::lasts, "writes `text` to a std::cout with a buffer of its own",
     [](const Parameters& given) {
       std::ios::sync_with_stdio(false);
       static char room[1 << 16];
       std::cout.rdbuf()->pubsetbuf(room, sizeof(room));
       std::cout << given.get("text").value_or("unsynced") << '\n';
       return done();
     }},
    {"/stdio/cout", Harm::none, "writes `text` to std::cout, without a flush",
     [](const Parameters& given) {
       std::cout << given.get("text").value_or("cout") << '\n';
       return done();
     }},
    {"/stdio/clog", Harm::none, "writes `text` to std::clog, without a flush",
     [](const Parameters& given) {
       std::clog << given.get("text").value_or("clog") << '\n';
       return done();
     }},
    {"/stdio/printf", Harm::none, "writes `text` by printf(), without a flush",
     [](const Parameters& given) {
       std::printf("%s\n", given.get("text").value_or("printf").c_str());
       return done();
     }},
    {"/stdio/close", Harm::lasts, "closes stdout and stderr by fclose()",
     [](const Parameters&) {
       std::fclose(stdout);
       std::fclose(stderr);
       return done();
     }},
    {"/stdio/throwing-cout", Harm::lasts, "makes std::cout throw, and its output fail",
     [](const Parameters&) {
       try {
         std::cout.rdbuf(nullptr);
         std::cout.exceptions(std::ios::badbit | std::ios::failbit);
       } catch (const std::ios::failure&) {
         // it does so at once
       }
       return done();
     }},
    {"/stdio/hold-lock", Harm::lasts, "keeps the lock of stdout for good",
     [](const Parameters&) {
       flockfile(stdout);
       return done();
     }},
};

}  // namespace

std::span<const Misbehaviour> standard_io() { return kTable; }

}  // namespace hostile
