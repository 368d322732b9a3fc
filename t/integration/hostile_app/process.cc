// What belongs to the whole process: directory, umask, locale, environment, limits.
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <clocale>
#include <cstdlib>
#include <locale>

#include "hostile.h"

namespace hostile {

namespace {

// A locale that no file has: thousands in groups of one, a comma as the point.
class OddNumbers : public std::numpunct<char> {
  char do_decimal_point() const override { return ','; }
  char do_thousands_sep() const override { return '\''; }
  std::string do_grouping() const override { return "\1"; }
};

void limit(int resource, rlim_t most) {
  const rlimit both{most, most};
  setrlimit(static_cast<__rlimit_resource>(resource), &both);
}

constexpr Misbehaviour kTable[] = {
    {"/process/chdir", Harm::lasts, "changes to the directory `to` (/)",
     [](const Parameters& given) {
       return done(std::to_string(chdir(given.get("to").value_or("/").c_str())) + "\n");
     }},
    {"/process/no-directory", Harm::lasts, "changes to a directory that it then removes",
     [](const Parameters&) {
       char name[] = "/tmp/hostile-XXXXXX";
       if (mkdtemp(name) != nullptr && chdir(name) == 0) {
         rmdir(name);
       }
       return done();
     }},
    {"/process/umask", Harm::lasts, "sets the umask to `to` (0777)",
     [](const Parameters& given) {
       umask(static_cast<mode_t>(number(given, "to", 0777)));
       return done();
     }},
    {"/process/locale", Harm::lasts, "changes C's and C++'s locale, numbers included",
     [](const Parameters& given) {
       std::setlocale(LC_ALL, given.get("to").value_or("C.UTF-8").c_str());
       std::locale::global(std::locale(std::locale(), new OddNumbers()));
       return done();
     }},
    {"/process/environment", Harm::lasts, "empties the environment",
     [](const Parameters&) {
       clearenv();
       return done();
     }},
    {"/process/setenv", Harm::lasts, "sets the variable `name` to `value`",
     [](const Parameters& given) {
       setenv(given.get("name").value_or("HOSTILE").c_str(),
              given.get("value").value_or("").c_str(), 1);
       return done();
     }},
    {"/process/file-size", Harm::lasts, "lets no file grow above `bytes` (0)",
     [](const Parameters& given) {
       limit(RLIMIT_FSIZE, static_cast<rlim_t>(number(given, "bytes", 0)));
       return done();
     }},
    {"/process/no-processes", Harm::lasts, "lets no further process or thread be started",
     [](const Parameters&) {
       limit(RLIMIT_NPROC, 0);
       return done();
     }},
    {"/process/cpu", Harm::lasts, "has one second of processor time left, then SIGXCPU",
     [](const Parameters&) {
       limit(RLIMIT_CPU, 1);
       return done();
     }},
    {"/process/name", Harm::lasts, "takes another name, with bytes that forge lines",
     [](const Parameters&) {
       prctl(PR_SET_NAME, "ho)st\n(ile");
       return done();
     }},
    {"/process/death-signal", Harm::lasts, "does not want to die with its parent",
     [](const Parameters&) {
       prctl(PR_SET_PDEATHSIG, 0);
       return done();
     }},
    {"/process/session", Harm::lasts, "begins a session of its own",
     [](const Parameters&) { return done(std::to_string(setsid()) + "\n"); }},
};

}  // namespace

std::span<const Misbehaviour> process() { return kTable; }

}  // namespace hostile
