#!/usr/bin/env bash
# Runs the unit and integration tests under other clocks and time zones: tests/clocks.sh [--long]
#
# With --long: every clock below. Without: one clock, 400 days ahead, without the tests that set their own clock, show no time, take
# long, or start other servers. libfaketime does not reach statically linked programs and programs in Go, so the tests that start
# such a server are never run; their names are printed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# shellcheck source=tests/groups.sh
source tests/groups.sh

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
    skipped+=("${other_servers[@]}" "${hardships[@]}" "${own_clock[@]}" "${timeless[@]}")
fi

offset() { # clock: what faketime takes
    case $1 in
        +*) printf '%s\n' "$1" ;;
        # An offset and no start time: a program that a test starts goes on with the clock and does not begin anew.
        *) printf '+%d\n' $(($(date -d "$1" +%s) - $(date +%s))) ;;
    esac
}

build_tests
printf 'not run, the clock does not reach what they start:'
printf ' %s' "${real_servers[@]}"
printf '\n'

failed=0
for entry in "${clocks[@]}"; do
    zone=${entry%% *}
    clock=${entry#* }
    printf '\nTZ=%s, clock %s\n' "$zone" "$clock"
    for program in "${programs[@]}"; do
        TZ=$zone run_tests faketime -f "$(offset "$clock")" "$program" || failed=$((failed + 1))
    done
done
exit "$((failed > 0))"
