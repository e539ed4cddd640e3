#!/usr/bin/env bash
# Fuzzes every target for so many seconds (12 if none are named): fuzz/run.sh [SECONDS]. What crashes is kept in
# fuzz/artifacts, and is tried again with: cargo fuzz run --sanitizer none TARGET FILE
#
# A stable toolchain will do: coverage needs no unstable flag, only the sanitizers do, and they look for faults of unsafe
# code, which this program forbids. libFuzzer itself is C++.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=${1:-12}
command -v cargo-fuzz >/dev/null || cargo install --locked --quiet cargo-fuzz
# It knows of no --locked itself; what is not locked is a fault, not something to write anew.
cargo metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null
cargo fuzz build --sanitizer none

# Not by `cargo fuzz run`, which builds everything anew for each.
programs=fuzz/target/$(rustc -vV | sed -n 's/^host: //p')/release

log=$(mktemp)
trap 'rm -f "$log"' EXIT

for target in $(cargo fuzz list); do
    folders=("fuzz/corpus/$target")
    mkdir -p "${folders[0]}" "fuzz/artifacts/$target"
    [ ! -d "fuzz/seeds/$target" ] || folders+=("fuzz/seeds/$target")
    # An input that takes longer than ten seconds, or two gigabytes, is a fault as well.
    if ! "$programs/$target" "${folders[@]}" -artifact_prefix="fuzz/artifacts/$target/" -max_total_time="$seconds" \
        -timeout=10 -rss_limit_mb=2048 -max_len=8192 -print_funcs=0 -print_final_stats=1 >"$log" 2>&1; then
        cat "$log"
        exit 1
    fi
    printf '%-20s %9d inputs in %d s, nothing found\n' "$target" \
        "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" "$seconds"
done
