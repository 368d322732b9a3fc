#include "doctor/memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <sstream>

#include "doctor/shared_files.h"

namespace forktail::doctor {

namespace {

struct Mapping {
  AddressRange range;
  std::string permissions;
  std::string file;  // its device and inode
  std::string path;
};

std::vector<Mapping> mappings_of(pid_t pid) {
  std::vector<Mapping> mappings;
  std::istringstream lines(read_whole(fmt::format("/proc/{}/maps", pid)));
  for (std::string line; std::getline(lines, line);) {
    Mapping& mapping = mappings.emplace_back();
    std::istringstream words(line);
    char dash = 0;
    std::string offset;
    std::string device;
    std::string inode;
    words >> std::hex >> mapping.range.begin >> dash >> mapping.range.end >> mapping.permissions >>
        offset >> device >> inode >> std::ws;
    std::getline(words, mapping.path);
    mapping.file = device + ":" + inode;
  }
  return mappings;
}

bool is_shared_and_writable(const Mapping& mapping) {
  return mapping.permissions.size() >= 4 && mapping.permissions[1] == 'w' &&
         mapping.permissions[3] == 's';
}

struct SharedMapping {
  std::string path;
  std::uint64_t size = 0;  // the largest that a worker has of it
  std::set<pid_t> holders;
};

std::map<std::string, SharedMapping> shared_mappings(const std::vector<pid_t>& pids) {
  std::map<std::string, SharedMapping> by_file;
  for (const pid_t pid : pids) {
    std::map<std::string, std::uint64_t> sizes;
    for (const Mapping& mapping : mappings_of(pid)) {
      if (is_shared_and_writable(mapping)) {
        SharedMapping& shared = by_file[mapping.file];
        shared.path = mapping.path;
        shared.holders.insert(pid);
        shared.size =
            std::max(shared.size, sizes[mapping.file] += mapping.range.end - mapping.range.begin);
      }
    }
  }
  return by_file;
}

bool is_anonymous(const SharedMapping& mapping) {
  return mapping.path.starts_with("/dev/zero") || mapping.path.starts_with("/SYSV") ||
         mapping.path.starts_with("[anon_shmem");
}

// These keep their scoreboards, locks and caches in such memory.
bool keeps_anonymous_memory(Server server) {
  return server == Server::uwsgi || server == Server::apache || server == Server::php_fpm;
}

Finding mapping_finding(const SharedMapping& mapping, const Family& family) {
  constexpr std::string_view kDeleted = " (deleted)";
  std::string path = mapping.path;
  if (path.ends_with(kDeleted)) {
    path.resize(path.size() - kDeleted.size());
  }
  const std::string thing =
      is_anonymous(mapping) ? fmt::format("anonymous {} bytes", mapping.size) : path;
  Finding finding = make_finding(Kind::shared_mapping, thing,
                                 fmt::format("{} is one writable memory in {} of {} workers",
                                             is_anonymous(mapping) ? "an anonymous mapping" : path,
                                             mapping.holders.size(), family.workers.size()),
                                 fmt::format("{} bytes of {}", mapping.size, mapping.path));
  finding.cure = cure_for(Kind::shared_mapping, family.server);
  return finding;
}

struct Sizes {
  std::int64_t resident = 0;
  std::int64_t proportional = 0;
  std::int64_t own = 0;
  std::int64_t shared = 0;
};

Sizes sizes_of(pid_t pid) {
  Sizes sizes;
  std::istringstream lines(read_whole(fmt::format("/proc/{}/smaps_rollup", pid)));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    std::int64_t kib = 0;
    words >> name >> kib;
    if (name == "Rss:") {
      sizes.resident = kib;
    } else if (name == "Pss:") {
      sizes.proportional = kib;
    } else if (name.starts_with("Private_") && name != "Private_Hugetlb:") {
      sizes.own += kib;
    } else if (name.starts_with("Shared_") && name != "Shared_Hugetlb:") {
      sizes.shared += kib;
    }
  }
  return sizes;
}

}  // namespace

SharedMappings examine_mappings(const Family& family) {
  SharedMappings result;
  std::uint64_t anonymous = 0;
  int count = 0;
  std::set<std::string> of_master;
  if (family.server == Server::forktail) {
    for (const auto& [file, mapping] : shared_mappings({family.master.pid})) {
      of_master.insert(file);  // no application code runs there: it is the server's own
    }
  }
  for (const auto& [file, mapping] : shared_mappings(family.worker_pids())) {
    if (mapping.holders.size() < 2 || of_master.contains(file)) {
      continue;
    }
    if (is_anonymous(mapping) && keeps_anonymous_memory(family.server)) {
      anonymous += mapping.size;
      ++count;
    } else {
      result.findings.push_back(mapping_finding(mapping, family));
    }
  }
  if (count > 0) {
    result.note = fmt::format(
        "{} anonymous shared mappings, {} KiB: {}'s own, and any that the application has made "
        "before the fork",
        count, anonymous >> 10, facts_of(family.server).name);
  }
  return result;
}

std::set<std::uint64_t> mapped_inodes(const Family& family) {
  std::set<std::uint64_t> inodes;
  for (const auto& [file, mapping] : shared_mappings(family.worker_pids())) {
    inodes.insert(std::strtoull(file.c_str() + file.rfind(':') + 1, nullptr, 10));
  }
  return inodes;
}

Table memory_table(const Family& family) {
  constexpr std::size_t kMostWorkers = 32;
  Table table{"memory", {"process", "rss_kib", "pss_kib", "private_kib", "shared_kib"}, {}};
  const auto add = [&](const std::string& name, const Sizes& sizes) {
    table.rows.push_back({name, sizes.resident, sizes.proportional, sizes.own, sizes.shared});
  };
  Sizes sum;
  const auto look = [&](const std::string& role, const Process& process) {
    const Sizes sizes = sizes_of(process.pid);
    sum.resident += sizes.resident;
    sum.proportional += sizes.proportional;
    sum.own += sizes.own;
    sum.shared += sizes.shared;
    add(fmt::format("{} {}", role, process.pid), sizes);
  };
  look("master", family.master);
  for (std::size_t i = 0; i < family.workers.size() && i < kMostWorkers; ++i) {
    look("worker", family.workers[i]);
  }
  add("all of these", sum);
  return table;
}

std::vector<AddressRange> common_addresses(const Family& family) {
  std::vector<AddressRange> common;
  for (std::size_t i = 0; i < family.workers.size(); ++i) {
    std::vector<AddressRange> next;
    for (const Mapping& mapping : mappings_of(family.workers[i].pid)) {
      if (i == 0) {
        next.push_back(mapping.range);
        continue;
      }
      for (const AddressRange& range : common) {
        const AddressRange both{std::max(range.begin, mapping.range.begin),
                                std::min(range.end, mapping.range.end)};
        if (both.begin < both.end) {
          next.push_back(both);
        }
      }
    }
    common = std::move(next);
  }
  return common;
}

}  // namespace forktail::doctor
