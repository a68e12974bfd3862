# Sourced by the other scripts: the project's root, messages, the build. Messages go to stderr; stdout is for results.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

if [ -t 2 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\e[1m'; red=$'\e[31m'; plain=$'\e[0m'; else bold=; red=; plain=; fi
say() { printf '%s==>%s %s\n' "$bold" "$plain" "$*" >&2; }
die() { printf '%serror:%s %s\n' "$red" "$plain" "$*" >&2; exit 1; }

# The largest translation units (Beast's) take about a gigabyte each: more jobs than that would swap, not build.
build_jobs() {
  local cores gigabytes
  cores=$(nproc)
  gigabytes=$(awk '/^MemAvailable:/ {print int($2 / 1048576)}' /proc/meminfo)
  [ "$gigabytes" -ge 1 ] || gigabytes=1
  echo $((cores < gigabytes ? cores : gigabytes))
}

# build PRESET [TARGET...]   configures build/PRESET once, then builds; only problems are shown where nobody watches.
build() {
  local preset=$1 folder=$root/build/$1 started=$SECONDS quiet=()
  shift
  mkdir -p "$folder"
  if [ ! -f "$folder/build.ninja" ]; then
    say "configuring build/$preset"
    (cd "$root" && cmake --preset "$preset") > "$folder/configure.log" 2>&1 ||
      { cat "$folder/configure.log" >&2; die "cmake could not configure build/$preset (above)"; }
  fi
  [[ $(ninja -C "$folder" -n "$@" 2>&1) != *"no work to do"* ]] || return 0
  say "building build/$preset${*:+: $*}"
  [ -t 1 ] || quiet=(--quiet)
  ninja -C "$folder" -j "$(build_jobs)" "${quiet[@]}" "$@" >&2 || die "the build of build/$preset failed (above)"
  [ $((SECONDS - started)) -lt 5 ] || say "built in $((SECONDS - started)) s"
}
