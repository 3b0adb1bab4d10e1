#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# clang-tidy over src/ and jobs/, in parallel. A file that passed is not looked at again until it, a header of ours
# that it includes, .clang-tidy or its compile command changes (marks: build/tidy/).
#
# usage: tools/tidy.sh [FILE.c...]
set -euo pipefail
. "$(dirname "$0")/../scripts/settings"
cd "$root"
if [ $# = 0 ]; then
  mapfile -t files < <(find src jobs -name '*.c' | sort)
else
  files=("$@")
fi
configure clang >/dev/null
mkdir -p build/tidy
version=$(clang-tidy --version | sed -n 's/.*version //p')

# The hash of all that the result for one file depends on. -MG: libraries that are not in the default path are
# not of interest here.
key_of() {
  local headers
  headers=$(cc -MM -MG -Iinclude -Isrc "$1" | tr ' \\' '\n\n' | grep -E '^(src|include|jobs)/' | sort -u)
  # shellcheck disable=SC2086 # our paths have no spaces below the root
  { echo "$version"; cat .clang-tidy tools/analyzer_contract.h tools/tidy.sh cmake/QuernLayers.cmake $headers; } | sha256sum | cut -d ' ' -f 1
}

check_file() {
  local file=$1 mark log
  mark=build/tidy/$(echo "$file" | tr / _) log=build/tidy/$(echo "$file" | tr / _).log
  local key
  key=$(key_of "$file")
  if [ "$(cat "$mark" 2>/dev/null)" = "$key" ]; then
    return 0
  fi
  rm -f "$mark"
  if clang-tidy --quiet -p build/clang --extra-arg=-include --extra-arg="$root/tools/analyzer_contract.h" \
    --extra-arg=-Wno-unused-value "$file" >"$log" 2>&1; then
    echo "$key" >"$mark"
  else
    grep -E '^[^ ]+: (error|warning): ' "$log" | sed "s|^$root/||"
    echo "  how it comes to that: $log"
    return 1
  fi
}
export -f check_file key_of
export version root

if printf '%s\0' "${files[@]}" | xargs -0 -n 1 -P "$n_cores" bash -c 'check_file "$1"' _; then
  echo "tidy: ${#files[@]} files, clean"
else
  echo "tidy: ${#files[@]} files, not clean"
  exit 1
fi
