#!/usr/bin/env bash
# Brings the shipped stack up in real containers and looks at it from outside: order, health, networks, rights, secrets,
# restarts, and an alert's way through Traefik to the page. See tests/README.md for what stands in for what.
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

export COMPOSE_PROJECT_NAME=alertmanager-cachet-tests
stack=$scratch/stack
services=(traefik cachet alertmanager-cachet postgres)
password='the password of the webhook'

# The operator's files, as deploy.sh leaves them.
make_stack() {
    mkdir -p "$stack"
    cp -r "$repository/podman-compose.yml" "$repository/traefik" "$stack/"
    cp "$repository/config.json.example" "$stack/config.json"
    cp "$repository/prometheus.yml.example" "$stack/prometheus.yml"
    port=$(free_port)
    cat >"$stack/.env" <<END
ENVIRONMENT=local
CACHET_DOMAIN=localhost
WEBHOOK_DOMAIN=localhost
HTTP_PORT=127.0.0.1:$port
HTTPS_PORT=127.0.0.1:$(free_port)
CERT_RESOLVER=
APP_URL=http://localhost:$port
APP_FORCE_HTTPS=false
CACHET_ADMIN_USERNAME=admin@example.com
END
    mkdir -m 0700 "$stack/secrets"
    local name
    for name in app_key db_password cachet_admin_password webhook_password; do
        printf 'secret-%s-%s\n' "$name" "$RANDOM$RANDOM" >"$stack/secrets/$name"
    done
    # As long as Cachet has given no token.
    echo 'secret-token-to-come' >"$stack/secrets/cachet_api_token"
    printf '%s\n' "$password" | podman run --rm --interactive localhost/alertmanager-cachet:latest hash-password alertmanager \
        >"$stack/secrets/webhook_basic_auth"
    chmod 0444 "$stack"/secrets/*
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

compose() {
    (cd "$stack" && podman-compose --file podman-compose.yml "$@") >>"$scratch/compose.log" 2>&1
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

# The page's token, as deploy.sh brings it from `seed` to the server.
hand_over_token() {
    local token
    token=$(echo | podman exec --interactive "$(container cachet)" seed | sed -n 's/^CACHET_API_TOKEN=//p')
    [ -n "$token" ] || return 1
    chmod u+w "$stack/secrets/cachet_api_token"
    printf '%s\n' "$token" >"$stack/secrets/cachet_api_token"
    chmod 0444 "$stack/secrets/cachet_api_token"
    podman restart --time 10 "$(container alertmanager-cachet)" >/dev/null 2>&1
}

PATH=$("$repository/tests/tools.sh"):$PATH
configure_podman
make_base_image
make_stand_ins
make_server_image
make_cachet_image
make_stack

look_at_the_server_image
must 'the stack is up' compose up --detach
for service in "${services[@]}"; do
    must "$service becomes healthy" eventually 120 healthy "$service"
done
must 'the token is handed over' eventually 30 hand_over_token
must 'the server is healthy with it' eventually 30 healthy alertmanager-cachet
must 'setup makes the page' podman exec "$(container alertmanager-cachet)" alertmanager-cachet setup --yes
look_at_order
look_at_rights
look_at_networks
look_at_secrets
look_at_the_way_of_an_alert
look_at_restarts
look_at_what_lasts
summary
