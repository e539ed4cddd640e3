#!/usr/bin/env bash
# Installs what the tests need (Debian packages, once) and runs every check and test: ./test.sh [--long]
#
# --long also fuzzes, and runs the tests under every clock and time zone of tests/clocks.sh; it takes hours.
# shellcheck disable=SC2317 # every part is called through part()
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# command:package, of Debian; a program that is in no PATH by its file
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
)

long=()
case "$*" in
    '') ;;
    --long) long=(--long) ;;
    *)
        echo "test.sh: unknown argument: $*; the only one is --long" >&2
        exit 2
        ;;
esac

log=$(mktemp)
trap 'rm -f "$log"' EXIT
summary=()
failed_parts=0

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

part() {
    local name=$1 start=$SECONDS outcome=passed
    shift
    printf '\n== %s\n' "$name"
    if ! "$@" 2>&1 | tee -a "$log"; then
        outcome=FAILED
        failed_parts=$((failed_parts + 1))
    fi
    summary+=("$(printf '%-28s %-7s %4d s' "$name" "$outcome" $((SECONDS - start)))")
}

part 'packages' packages
part 'format' cargo fmt --all --check
part 'lints' cargo clippy --locked --workspace --all-targets -- -D warnings
part 'lints of the program' cargo clippy --locked --workspace --lib --bins -- -D warnings
# Nothing is linked, so libFuzzer itself is not compiled.
part 'fuzz targets' env CUSTOM_LIBFUZZER_PATH=/dev/null \
    cargo check --locked --quiet --manifest-path fuzz/Cargo.toml --target-dir target
part 'documentation' env RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps --quiet --document-private-items
part 'documentation for tests' env RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --quiet --features internals
part 'scripts' shellcheck test.sh .ci/run fuzz/run.sh docs/screenshots.sh tests/clocks.sh tests/slowest.sh
part 'rules to break' python3 dev/break_rules.py --check
part 'tools' tests/tools.sh
part 'tests' cargo test --locked --workspace --no-fail-fast
part 'clocks' tests/clocks.sh "${long[@]}"
part 'deployment' tests/deploy/run.sh
part 'images' tests/containers/static.sh
part 'containers' tests/containers/run.sh
[ "${#long[@]}" -eq 0 ] || part 'fuzzing' fuzz/run.sh

printf '\n'
printf '%s\n' "${summary[@]}"
# "test result: ok. 12 passed; 0 failed; 0 ignored; …", one line a test binary
awk '/^test result:/ { passed += $4; failed += $6 } END { printf "%d passed, %d failed\n", passed, failed }' "$log"
exit "$((failed_parts > 0))"
