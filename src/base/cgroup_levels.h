// The cgroups that this process is in, versions 1 and 2 and both at once.
//
// Threads: pure functions but for the file system.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace quipu {

struct CgroupLevel {
  std::string folder;  // where its files are
  std::string path;    // the group as it is mounted here: "/docker/abc", "/" for the top
  bool v2 = false;
  bool innermost = false;  // the process's own; those that follow are its ancestors, up to the top
};

// For a controller of version 1 ("memory", "cpu") and for version 2, which has all of them: each group from
// the process's own to the top that can be seen. `root` is in front of /proc and /sys. The folders need not
// exist.
std::vector<CgroupLevel> cgroup_levels(const std::string& root, std::string_view controller);

}  // namespace quipu
