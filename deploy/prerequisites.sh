# shellcheck shell=bash
# What has to be on the machine.

# The oldest podman-compose that was tried. Up to 1.3 it will not do: `up` ends with 0 even where nothing could be started,
# and a secret has no label that SELinux would let a container read.
PODMAN_COMPOSE_AT_LEAST=1.5.0

# The oldest Podman: before, containers find each other by name only with a plugin.
PODMAN_AT_LEAST=4.0.0

# How to install a command, by the family of the system.
how_to_install() {
    local package=$1
    if [[ $package == *podman-compose ]]; then
        command -v pipx >/dev/null || printf '%s && ' "$(how_to_install pipx)"
        echo 'pipx install podman-compose'
    elif command -v apt-get >/dev/null; then
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
    find_podman_compose
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
    check_engine
    done_with 'there'
}

# pipx puts it where a shell finds it only after the next login.
find_podman_compose() {
    if ! command -v "$PODMAN_COMPOSE" >/dev/null && [ -x ~/.local/bin/podman-compose ]; then
        PODMAN_COMPOSE=~/.local/bin/podman-compose
    fi
}

# Asked once and aloud, for afterwards an engine that cannot be asked looks like one that has no containers.
check_engine() {
    local found
    if [ "$ENGINE" = podman ]; then
        found=$(podman --version | sed -n 's/^podman version *//p')
        version_at_least "${found:-0}" "$PODMAN_AT_LEAST" ||
            die "podman is ${found:-of an unknown version}, and older than $PODMAN_AT_LEAST: install a newer one (Debian 12 and Ubuntu 24.04 have it)"
    fi
    quietly "$ENGINE" info || die "$ENGINE does not work for the user $(id -un): see what it says"
}

check_compose_version() {
    local found
    if [ "$ENGINE" = docker ]; then
        docker compose version >/dev/null 2>&1 || die 'docker has no compose: install its plugin docker-compose-plugin'
        return
    fi
    found=$("$PODMAN_COMPOSE" version 2>/dev/null | sed -n 's/^podman-compose version:\{0,1\} *//p')
    version_at_least "${found:-0}" "$PODMAN_COMPOSE_AT_LEAST" ||
        die "podman-compose is ${found:-of an unknown version}, and older than $PODMAN_COMPOSE_AT_LEAST: $(how_to_install podman-compose)"
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

# Whether somebody else has HTTP_PORT or HTTPS_PORT: said before the images are built, which takes minutes.
check_ports_are_free() {
    local name
    for name in HTTP_PORT HTTPS_PORT; do
        port_answers "$(address_of "$name")" "$(port_of "$name")" || continue
        [ "$(ask_engine inspect --format '{{.State.Status}}' "$(container traefik)")" != running ] || return 0
        problem "$name is $(env_get "$name"), where something else answers already: end that, or choose another port" \
            "what it is: sudo ss --listening --tcp --processes 'sport = :$(port_of "$name")'"
    done
}

# port_answers ADDRESS PORT: whether somebody listens there.
port_answers() {
    # shellcheck disable=SC2016 # for the other bash
    timeout 2 bash -c 'exec 3<>"/dev/tcp/$1/$2"' bash "$1" "$2" 2>/dev/null
}
