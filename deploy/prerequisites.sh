# shellcheck shell=bash
# What has to be on the machine.

# The oldest podman-compose that will do: Debian's 1.0 mistakes volumes, secrets and health.
PODMAN_COMPOSE_AT_LEAST=1.1.0

# How to install a command, by the family of the system.
how_to_install() {
    local package=$1
    [ "$package" != podman-compose ] || { echo "pipx install podman-compose" && return; }
    if command -v apt-get >/dev/null; then
        echo "apt-get install $package"
    elif command -v dnf >/dev/null; then
        echo "dnf install $package"
    elif command -v pacman >/dev/null; then
        echo "pacman -S $package"
    else
        echo "install $package"
    fi
}

# version_at_least FOUND WANTED
version_at_least() {
    [ "$(printf '%s\n%s\n' "$2" "$1" | sort --version-sort | head -n 1)" = "$2" ]
}

check_prerequisites() {
    local missing=() needed=(openssl curl tar awk) command
    step 'prerequisites'
    case $ENGINE in
        podman) needed+=(podman "$PODMAN_COMPOSE") ;;
        docker) needed+=(docker) ;;
        *) die "CONTAINER_ENGINE is $ENGINE, must be podman or docker" ;;
    esac
    for command in "${needed[@]}"; do
        command -v "$command" >/dev/null || missing+=("$command is missing: $(how_to_install "$command")")
    done
    [ "${#missing[@]}" -eq 0 ] || die 'something has to be installed first' "${missing[@]}"
    check_compose_version
    done_with 'there'
}

check_compose_version() {
    local found
    if [ "$ENGINE" = docker ]; then
        docker compose version >/dev/null 2>&1 || die 'docker has no compose: install its plugin docker-compose-plugin'
        return
    fi
    found=$("$PODMAN_COMPOSE" version 2>/dev/null | sed -n 's/^podman-compose version:\{0,1\} *//p')
    version_at_least "${found:-0}" "$PODMAN_COMPOSE_AT_LEAST" ||
        die "podman-compose is ${found:-of an unknown version}, and older than $PODMAN_COMPOSE_AT_LEAST: pipx install podman-compose"
}

# Whether a user without privileges may open HTTP_PORT and HTTPS_PORT.
check_ports() {
    local setting=${UNPRIVILEGED_PORT_FILE:-/proc/sys/net/ipv4/ip_unprivileged_port_start} first port
    [ "$(id -u)" -ne 0 ] && [ "$ENGINE" = podman ] && [ -r "$setting" ] || return 0
    first=$(<"$setting")
    for port in "$(port_of HTTP_PORT)" "$(port_of HTTPS_PORT)"; do
        if [[ $port =~ ^[0-9]+$ ]] && [ "$port" -lt "$first" ]; then
            problem "port $port is for root only on this machine. Either choose one from $first on, or let everybody open it:" \
                "echo net.ipv4.ip_unprivileged_port_start=$port | sudo tee /etc/sysctl.d/90-status-page.conf" \
                'sudo sysctl --system'
            return
        fi
    done
}
