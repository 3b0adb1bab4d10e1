#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs a build tree into an empty folder, and builds and runs a job against what was installed, knowing nothing
# of the source tree: by find_package (shared and static) and by pkg-config (shared and static).
#
# usage: outside_job_test.sh BUILD_FOLDER COMPILER MPIEXEC
set -euo pipefail
build=$1 compiler=$2
export QN_MPIEXEC=$3
tests=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
prefix=$folder/prefix

fail() {
  echo "FAILED: $*" >&2
  exit 1
}
# Runs a job on two ranks and looks for its answer.
expect_answer() {
  local answer
  answer=$("$tests/../../scripts/mpirun" -n 2 "$@") || fail "$1 exited with $?"
  [ "$answer" = "500 of 1000 are even" ] || fail "$1 printed: $answer"
  echo "ok: ${1#"$folder"/}"
}

cmake --install "$build" --prefix "$prefix" >"$folder/install.log" || { cat "$folder/install.log"; fail "install"; }
for pattern in 'lib*/libquern.a' 'lib*/libquern.so' 'lib*/quern.pc' 'include/quern/quern.h' 'bin/quern' \
  'share/quern/jobs/*.c'; do
  [ -n "$(find "$prefix" -path "$prefix/$pattern" -print -quit)" ] || fail "$pattern was not installed"
done
if grep -rqF "$(cd "$tests/../.." && pwd)" "$prefix" --include='*.cmake' --include='*.pc' --include='*.h'; then
  fail "the installed files name the source tree"
fi
others=$(nm -D --defined-only "$(find "$prefix" -name libquern.so)" | awk '$3 !~ /^qn_/ { print $3 }')
[ -z "$others" ] || fail "the shared library gives away more than qn_ names: $others"
"$prefix/bin/quern" --help >/dev/null || fail "bin/quern --help"

# The tree may be moved after it was installed.
mv "$prefix" "$folder/moved"
prefix=$folder/moved
cmake -S "$tests/job" -B "$folder/build" -DCMAKE_C_COMPILER="$compiler" -DCMAKE_PREFIX_PATH="$prefix" \
  >"$folder/configure.log" 2>&1 || { cat "$folder/configure.log"; fail "find_package(Quern)"; }
cmake --build "$folder/build" >"$folder/build.log" 2>&1 || { cat "$folder/build.log"; fail "build with CMake"; }
expect_answer "$folder/build/outside_job"
expect_answer "$folder/build/outside_job_static"

export PKG_CONFIG_PATH
PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name quern.pc)")
libraries=$(pkg-config --variable=libdir quern)
eval "'$compiler' -o '$folder/by_pkg_config' '$tests/job/outside_job.c' $(pkg-config --cflags --libs quern)"
LD_LIBRARY_PATH=$libraries expect_answer "$folder/by_pkg_config"
rm "$libraries"/libquern.so*
eval "'$compiler' -o '$folder/by_pkg_config_static' '$tests/job/outside_job.c'" \
  "$(pkg-config --static --cflags --libs quern)"
expect_answer "$folder/by_pkg_config_static"

# A job of share/quern/jobs is a template: it builds where it was installed.
for job in "$prefix"/share/quern/jobs/*.c; do
  eval "'$compiler' -fsyntax-only '$job' $(pkg-config --cflags quern)" || fail "$job does not compile"
done
