#!/usr/bin/env bash
# Runs the checks and tests:
#
#   ./test.sh           all of them, in fifteen minutes on two cores; installs what they need (Debian packages, once)
#   ./test.sh --quick   those that need no container, no browser and no other server, in two minutes once everything is compiled
#   ./test.sh --long    all of them and what takes a night: the simulation with 100,000 seeds and each of its rules broken, every
#                       clock and time zone of tests/clocks.sh, fuzzing, mutants of the core
#
# shellcheck disable=SC2317,SC2329 # every part is called through part() or beside()
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# command:package (Debian); an absolute path where the program is in no PATH
needed=(
    prometheus:prometheus
    prometheus-alertmanager:prometheus-alertmanager
    chromium:chromium
    faketime:faketime
    shellcheck:shellcheck
    cc:gcc
    openssl:openssl
    c++:g++
    podman:podman
    runc:runc
    /usr/lib/podman/netavark:netavark
    /usr/lib/podman/aardvark-dns:aardvark-dns
    iptables:iptables
    mmdebstrap:mmdebstrap
    php:php-cli
    valgrind:valgrind
)

scale=full
long=()
case "$*" in
    '') ;;
    --quick) scale=quick ;;
    --long)
        scale=long
        long=(--long)
        ;;
    *)
        echo "test.sh: unknown argument: $*; there are --quick and --long" >&2
        exit 2
        ;;
esac

# shellcheck source=tests/groups.sh
source tests/groups.sh

scratch=$(mktemp -d)
log=$scratch/log
touch "$log"
background=''
summary=()
failed_parts=0

# Stops what runs beside the rest, and waits until it has removed its containers.
clean_up() {
    if [ -n "$background" ] && kill -TERM -- "-$background" 2>/dev/null; then
        echo 'test.sh: waiting for the deployment and the containers to end' >&2
        while kill -0 -- "-$background" 2>/dev/null; do sleep 0.2; done
    fi
    rm -rf "$scratch"
}
trap clean_up EXIT

# The packages of servers start them on a machine with systemd; the tests start their own, on free ports.
install_packages() {
    local policy=/usr/sbin/policy-rc.d sudo=()
    [ "$(id -u)" -eq 0 ] || sudo=(sudo)
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
        "${sudo[@]}" chmod +x "$policy"
        # shellcheck disable=SC2064 # the path as it is now
        trap "${sudo[*]} rm -f '$policy'" RETURN
    fi
    "${sudo[@]}" apt-get update -qq &&
        "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@"
}

packages() {
    local missing=() entry
    for entry in "${needed[@]}"; do
        command -v "${entry%%:*}" >/dev/null || missing+=("${entry##*:}")
    done
    # Debian's python3 makes no environments without it.
    python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
    [ "${#missing[@]}" -eq 0 ] || install_packages "${missing[@]}"
}

# part NAME COMMAND…: runs a part and shows what it prints.
part() {
    local name=$1 start=$SECONDS outcome=passed
    shift
    printf '\n== %s\n' "$name"
    timed "$name" "$@" 2>&1 | tee -a "$log" || outcome=FAILED
    note "$name" "$outcome" $((SECONDS - start))
}

# timed NAME COMMAND…: runs it in a subshell, and keeps the processor time of all that it started.
timed() (
    name=$1 status=0
    shift
    "$@" || status=$?
    times >"$scratch/$name.times"
    exit "$status"
)

# note NAME OUTCOME SECONDS: adds a line to the summary.
note() {
    local cpu
    # the second line: "1m2.345s 0m6.789s", user and system
    cpu=$(awk -F '[ms ]+' 'NR == 2 { printf "%d", 60 * ($1 + $3) + $2 + $4 }' "$scratch/$1.times")
    [ "$2" = passed ] || failed_parts=$((failed_parts + 1))
    summary+=("$(printf '%-28s %-7s %5d s %5d s of CPU' "$@" "$cpu")")
}

# These mostly wait, so they run beside the rest, one after the other. Their output is shown when the rest has ended.
deployment_parts=('deployment' 'images' 'containers')

begin_deployment() {
    # A process group of its own, which Ctrl-C does not reach before clean_up does.
    set -m
    {
        beside 'deployment' tests/deploy/run.sh
        beside 'images' tests/containers/static.sh
        beside 'containers' tests/containers/run.sh
    } </dev/null &
    background=$!
    set +m
}

# beside NAME COMMAND…: runs a part, and keeps what it prints and how it ended.
beside() {
    local name=$1 start=$SECONDS outcome=passed
    shift
    timed "$name" "$@" >"$scratch/$name.output" 2>&1 || outcome=FAILED
    printf '%s %d\n' "$outcome" $((SECONDS - start)) >"$scratch/$name.ended"
}

end_deployment() {
    local name outcome seconds
    wait "$background" || true
    background=''
    for name in "${deployment_parts[@]}"; do
        printf '\n== %s\n' "$name"
        tee -a "$log" <"$scratch/$name.output"
        read -r outcome seconds <"$scratch/$name.ended"
        note "$name" "$outcome" "$seconds"
    done
}

lints() {
    cargo clippy --locked --workspace --all-targets -- -D warnings
}

tests() {
    cargo test --locked --workspace --no-fail-fast
}

quick_tests() {
    local program failed=0
    skipped=("${real_servers[@]}" "${other_servers[@]}" "${browsers[@]}" "${hardships[@]}")
    build_tests || return 1
    for program in "${programs[@]}"; do
        SIMULATION_SEEDS=100 run_tests "$program" || failed=1
    done
    return "$failed"
}

long_simulation() {
    SIMULATION_SEEDS=100000 cargo test --locked --release --test it simulation::whatever
}

part 'format' cargo fmt --all --check
if [ "$scale" = quick ]; then
    part 'lints' lints
    part 'rules to break' dev/break_rules.py --check
    part 'tests' quick_tests
else
    part 'packages' packages
    part 'tools' tests/tools.sh
    begin_deployment
    part 'lints' lints
    part 'lints of the program' cargo clippy --locked --workspace --lib --bins -- -D warnings
    # Nothing is linked, so libFuzzer itself is not compiled.
    part 'fuzz targets' env CUSTOM_LIBFUZZER_PATH=/dev/null \
        cargo check --locked --quiet --manifest-path fuzz/Cargo.toml --target-dir target
    part 'documentation' env RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps --quiet --document-private-items
    part 'documentation for tests' env RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --quiet --features internals
    part 'scripts' shellcheck --external-sources test.sh .ci/run fuzz/run.sh docs/screenshots.sh tests/*.sh
    part 'rules to break' dev/break_rules.py --check
    part 'instructions' dev/instructions.py
    part 'tests' tests
    part 'clocks' tests/clocks.sh "${long[@]}"
    end_deployment
fi
if [ "$scale" = long ]; then
    part 'long simulation' long_simulation
    part 'broken rules' dev/break_rules.py
    part 'mutants' tests/mutants.sh
    part 'fuzzing' fuzz/run.sh
fi

printf '\n'
printf '%s\n' "${summary[@]}"
printf '%-36s %5d s\n' 'all' "$SECONDS"
# "test result: ok. 12 passed; 0 failed; 0 ignored; …", one line a test binary
awk '/^test result:/ { passed += $4; failed += $6 } END { printf "%d passed, %d failed\n", passed, failed }' "$log"
exit "$((failed_parts > 0))"
