# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # the scripts that source it use the lists, and set `skipped`
# Builds and runs the unit and integration tests, and has the lists of those of tests/it that a script leaves out: names of
# modules, or of single tests.

# Most tests wait for something, so more of them run at a time than there are processors.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-$(($(nproc) * 4))}

# They start Prometheus, Alertmanager, Traefik, promtool or amtool, and compare times with them.
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

# They start one of these as well, and its clock does not matter.
other_servers=(
    check::promtool
    docs::commands
    repair::stepped
    said::of_a_store_that_takes_no_repair
    said::of_each_alertmanager_that_cannot_be_read_and_of_all_of_them
)

# They start Chromium.
browsers=(browser console::browser)

# They take long and load the machine; some need a disk of their own or libfaketime.
hardships=(hardship storm)

# Their clock is one that the test sets (`World`, `SimulatedClock`), not the machine's.
own_clock=(
    budget
    chaos
    creations
    docs::rules
    doubts
    incidents
    late
    lost
    maintenance
    overrides
    reconcile
    simulation
    watchdog
)

# No time is shown in what they look at.
timeless=(
    console::browser::a_page_says_when_it_is_not_live_and_takes_no_connection_while_nobody_looks
    console::browser::everything_is_reached_and_done_by_keyboard_and_said_to_a_screen_reader
    console::browser::on_a_phone_and_in_the_dark_everything_can_be_read
)

# Builds the tests, and sets `programs` to the binaries.
build_tests() {
    local build
    build=$(cargo test --locked --workspace --lib --test it --no-run 2>&1) || {
        printf '%s\n' "$build"
        return 1
    }
    mapfile -t programs < <(sed -n 's/^ *Executable.*(\(.*\))$/\1/p' <<<"$build")
    [ "${#programs[@]}" -ge 3 ] && every_name_is_a_test
}

# Whether every name in the lists is still that of a module or a test.
every_name_is_a_test() {
    local tests program name
    tests=$(for program in "${programs[@]}"; do "$program" --list --format terse; done)
    for name in "${real_servers[@]}" "${other_servers[@]}" "${browsers[@]}" "${hardships[@]}" "${own_clock[@]}" \
        "${timeless[@]}"; do
        grep -qE "^$name(::|: test\$)" <<<"$tests" || {
            echo "tests/groups.sh: no test has the name $name" >&2
            return 1
        }
    done
}

# run_tests COMMAND…: the tests of the binary that COMMAND runs; of a binary of integration tests (`it-*`), without those in the
# list `skipped`.
run_tests() {
    local pattern='' names
    [[ ${!#} != */it-* ]] || pattern=$(IFS='|' && printf '%s' "${skipped[*]}")
    mapfile -t names < <("$@" --list --format terse | sed -n 's/: test$//p' | grep -vE "^($pattern)(::|\$)")
    # Without a name, the binary would run all of its tests.
    [ "${#names[@]}" -eq 0 ] || CARGO_MANIFEST_DIR=$PWD "$@" --quiet --exact "${names[@]}"
}
