#!/usr/bin/env bash
# Runs deploy.sh with real containers, as an operator would: with wrong files, interrupted, again, with a new target in a file
# of its own, reload, upgrade, backup, restore, uninstall. Looks at the stack from outside: order, health, networks, rights, secrets, restarts, and an alert's
# way through Traefik to the page. See tests/README.md for what stands in for what.
#
#   tests/containers/run.sh        needs root, and Debian's podman, runc, netavark, aardvark-dns, iptables, mmdebstrap
set -euo pipefail
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache=$repository/target/containers
mkdir -p "$cache"
scratch=$(mktemp -d)
# shellcheck source=tests/containers/podman.sh
source "$repository/tests/containers/podman.sh"
# shellcheck source=tests/containers/checks.sh
source "$repository/tests/containers/checks.sh"
# shellcheck source=tests/containers/deploying.sh
source "$repository/tests/containers/deploying.sh"

export COMPOSE_PROJECT_NAME=alertmanager-cachet-tests
stack=$scratch/stack
services=(traefik cachet alertmanager-cachet postgres)
password='the password of the webhook'

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

compose() {
    (cd "$stack" && "${PODMAN_COMPOSE:-podman-compose}" --file podman-compose.yml "$@") >>"$scratch/compose.log" 2>&1
}

clean_up() {
    local status=$?
    if [ "$status" -ne 0 ] && [ -s "$scratch/compose.log" ]; then
        tail -n 30 "$scratch/compose.log" >&2
    fi
    [ ! -d "$stack" ] || compose down --volumes || true
    rm -rf "$scratch"
}
trap clean_up EXIT

show_logs() {
    local service
    for service in "${services[@]}"; do
        printf -- '-- %s\n' "$service"
        podman logs --tail 15 "$(container "$service")" 2>&1 || true
    done
}

PATH=$("$repository/tests/tools.sh"):$PATH
configure_podman
make_base_image
make_stand_ins
make_server_image
make_cachet_image
make_folder

look_at_the_server_image
look_at_the_first_runs
look_at_a_second_run
look_at_a_new_target
look_at_an_upgrade
look_at_order
look_at_rights
look_at_php
look_at_mails
look_at_networks
look_at_secrets
look_at_the_way_of_an_alert
look_at_restarts
look_at_what_lasts
look_at_backup_and_restore
look_at_the_end
summary
