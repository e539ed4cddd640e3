#!/usr/bin/env bash
# Prints the tests that take longest: tests/slowest.sh [COUNT]
#
# All tests run at the same time, as in ./test.sh, so a test that waits for others is told with that wait.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# shellcheck source=tests/groups.sh
source tests/groups.sh
count=${1:-20}
build=$(cargo test --locked --test it --no-run 2>&1) || {
    printf '%s\n' "$build"
    exit 1
}
program=$(sed -n 's/^ *Executable.*(\(.*\))$/\1/p' <<<"$build")

# The times are an unstable option of the test harness, which the stable toolchain takes so.
RUSTC_BOOTSTRAP=1 CARGO_MANIFEST_DIR=$PWD "$program" -Z unstable-options --report-time |
    sed -n 's/^test \(.*\) \.\.\. ok <\([0-9.]*\)s>$/\2 \1/p' |
    sort -rn | head -n "$count"
