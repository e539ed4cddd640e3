#!/usr/bin/env bash
# Runs the unit and integration tests under other clocks and time zones: tests/clocks.sh [--long]
#
# Without --long: one clock, 400 days ahead, and without the tests that take longest. With --long: every clock below.
# libfaketime does not reach statically linked programs and programs in Go, so the tests that start real ones are not run;
# their names are printed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Tests that start Prometheus, Alertmanager, Traefik, promtool or amtool.
real_servers=(
    check::good
    dead_prometheus
    docs::blocks
    end_to_end
    metrics::monitoring
    metrics::scrape
    repair::away
    repair::pair
    repair::whole
    traefik
)

# They take minutes, and set the time themselves.
slow=(hardship simulation storm)

# time zone, then the clock: an offset, or the time at which the tests start
clocks=(
    'UTC +1d'
    'UTC +8d'
    'UTC +400d'
    'UTC +3650d'
    # two minutes before summer time begins or ends there
    'Europe/Berlin 2027-03-28T00:58Z'
    'Europe/Berlin 2027-10-31T00:58Z'
    'America/New_York 2027-03-14T06:58Z'
    'America/New_York 2027-11-07T05:58Z'
    'Asia/Kathmandu +0'
    # a long name of a zone, and times of another year
    'Asia/Kathmandu +400d'
    'Pacific/Honolulu +0'
)
skipped=("${real_servers[@]}")
if [ "${1:-}" != --long ]; then
    clocks=('UTC +400d')
    skipped+=("${slow[@]}")
fi

offset() { # clock: what faketime takes
    case $1 in
        +*) printf '%s\n' "$1" ;;
        # An offset and no start time: a program that a test starts goes on with the clock and does not begin anew.
        *) printf '+%d\n' $(($(date -d "$1" +%s) - $(date +%s))) ;;
    esac
}

build=$(cargo test --locked --workspace --lib --test it --no-run 2>&1) || {
    printf '%s\n' "$build"
    exit 1
}
mapfile -t programs < <(sed -n 's/^ *Executable.*(\(.*\))$/\1/p' <<<"$build")
[ "${#programs[@]}" -ge 3 ]

printf 'not run, the clock does not reach what they start:'
printf ' %s' "${real_servers[@]}"
printf '\n'
arguments=(--quiet)
for name in "${skipped[@]}"; do
    arguments+=(--skip "$name::")
done

failed=0
for entry in "${clocks[@]}"; do
    zone=${entry%% *}
    clock=${entry#* }
    printf '\nTZ=%s, clock %s\n' "$zone" "$clock"
    for program in "${programs[@]}"; do
        TZ=$zone CARGO_MANIFEST_DIR=$PWD faketime -f "$(offset "$clock")" \
            "$program" "${arguments[@]}" || failed=$((failed + 1))
    done
done
exit "$((failed > 0))"
