# shellcheck shell=bash
# Podman or Docker, and the compose program that goes with it.

# podman with podman-compose, or docker with its compose plugin.
ENGINE=${CONTAINER_ENGINE:-podman}

# podman-compose, where it is not on the PATH.
PODMAN_COMPOSE=${PODMAN_COMPOSE:-podman-compose}

COMPOSE_FILE=podman-compose.yml

# Which images are built: missing, always or never.
BUILD=${BUILD:-missing}

# How long a service may take to become healthy, in seconds; the first start of Cachet makes its tables.
HEALTH_TIMEOUT=${HEALTH_TIMEOUT:-300}

# A service that ended so often while it was waited for is not going to become healthy.
RESTARTS_AT_MOST=10

# What podman-compose.yml may know of .env: everything but the secrets, which it mounts as files.
COMPOSE_VARIABLES=(
    ENVIRONMENT TZ CACHET_DOMAIN WEBHOOK_DOMAIN HTTP_PORT HTTPS_PORT CERT_RESOLVER
    APP_NAME APP_ENV APP_DEBUG APP_TIMEZONE APP_URL ASSET_URL APP_FORCE_HTTPS
    MAIL_FROM_ADDRESS DB_CONNECTION DB_DATABASE DB_USERNAME
    CACHET_ADMIN_NAME CACHET_ADMIN_USERNAME CACHET_API_URL ALERTMANAGER_URL PROMETHEUS_DIR
)

# compose ARGUMENT…: the compose program for this stack. It is told what we read in .env, so that a variable of the
# caller's shell, or another reading of a quote, cannot make it start something else than was checked.
compose() (
    for name in "${COMPOSE_VARIABLES[@]}"; do
        export "$name=${DOTENV[$name]-}"
    done
    if [ "$ENGINE" = docker ]; then
        exec docker compose -f "$COMPOSE_FILE" "$@"
    fi
    exec "$PODMAN_COMPOSE" -f "$COMPOSE_FILE" "$@"
)

# ask_engine ARGUMENT…: a question to the engine, whose remarks on the side (such as on a missing systemd) help nobody.
ask_engine() {
    "$ENGINE" "$@" 2>/dev/null
}

# quietly COMMAND…: runs it, and shows what it said only if it fails.
quietly() {
    local said
    if ! said=$("$@" 2>&1); then
        note "\$ $*"
        tail -n 30 <<<"$said" | sed 's/^/    /' >&2
        return 1
    fi
}

# The name that containers, networks and volumes of this stack begin with.
project() {
    local name=${COMPOSE_PROJECT_NAME-}
    # Both compose programs look there, too.
    [ -n "$name" ] || name=$(env_get COMPOSE_PROJECT_NAME)
    [ -n "$name" ] || name=$(sed -n 's/^name: *//p' "$COMPOSE_FILE")
    printf %s "${name:-$(basename "$PWD")}"
}

# container SERVICE: its container's id; nothing if there is none.
container() {
    local ids
    mapfile -t ids < <(ask_engine ps --all --quiet --no-trunc \
        --filter "label=com.docker.compose.project=$(project)" \
        --filter "label=com.docker.compose.service=$1")
    printf %s "${ids[0]-}"
}

# image_of SERVICE: the image that podman-compose.yml names. All of it is read, for podman-compose minds a closed pipe.
image_of() {
    compose config 2>/dev/null | awk -v service="$1" '
        /^[a-z]/ { in_services = ($1 == "services:") }
        in_services && /^  [^ ]/ { name = $1; sub(/:$/, "", name) }
        in_services && name == service && /^    image:/ { gsub(/["'\'']/, "", $2); print $2 }
    '
}

image_exists() {
    ask_engine image inspect "$1" >/dev/null
}

# inside SERVICE COMMAND…: runs a command in its container, with our stdin. Secrets go in that way, never as arguments.
inside() {
    local id
    id=$(container "$1")
    [ -n "$id" ] || die "there is no container of $1: run ./deploy.sh"
    shift
    "$ENGINE" exec --interactive "$id" "$@"
}

# health SERVICE: healthy, or what it is instead.
health() {
    local id state
    id=$(container "$1")
    [ -n "$id" ] || { echo missing && return; }
    state=$(ask_engine inspect --format '{{.State.Status}}' "$id")
    if [ "$state" != running ]; then
        echo "$state"
    elif [ "$ENGINE" = docker ]; then
        ask_engine inspect --format '{{.State.Health.Status}}' "$id"
    elif ask_engine healthcheck run "$id" >/dev/null; then
        # Asked, not read: where there is no systemd, nobody else runs the checks.
        echo healthy
    else
        echo unhealthy
    fi
}

# wait_healthy SERVICE: until it is; else ends with its last words.
wait_healthy() {
    local deadline=$((SECONDS + HEALTH_TIMEOUT)) state restarts_before
    restarts_before=$(restarts_of "$1")
    while state=$(health "$1") && [ "$state" != healthy ]; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            die_with_log "$1" "$1 is not healthy after $HEALTH_TIMEOUT s: it is $state"
        elif [ $(($(restarts_of "$1") - restarts_before)) -ge "$RESTARTS_AT_MOST" ]; then
            die_with_log "$1" "$1 ends as often as it is started"
        fi
        sleep 1
    done
}

# restarts_of SERVICE: how often the engine had to start it again.
restarts_of() {
    local count
    count=$(ask_engine inspect --format '{{.RestartCount}}' "$(container "$1")") || true
    [[ $count =~ ^[0-9]+$ ]] || count=0
    printf %s "$count"
}

# die_with_log SERVICE MESSAGE: ends with the last lines that the service wrote.
die_with_log() {
    local id lines=()
    id=$(container "$1")
    [ -z "$id" ] || mapfile -t lines < <("$ENGINE" logs --tail 25 "$id" 2>&1)
    die "$2" "the last lines of its log (all of it: $ENGINE logs ${id:0:12}):" "${lines[@]/#/| }"
}

# start SERVICE: its container as podman-compose.yml says, running and healthy.
start() {
    local service=$1 before after recreate
    step "$service"
    before=$(incarnation "$service")
    if only_planned "start it and wait until it is healthy, unless it is"; then
        return
    fi
    mapfile -t recreate < <(recreation_of "$service")
    quietly compose up --detach "${recreate[@]}" "$service" ||
        die_with_log "$service" "$service cannot be started"
    restart_if_stale "$service"
    wait_healthy "$service"
    after=$(incarnation "$service")
    if [ "$before" = "$after" ]; then
        done_with 'already running, healthy'
    else
        done_with 'started, healthy'
    fi
}

# recreation_of SERVICE: the flag to make its container anew, if its image is another one by now. docker compose sees that
# by itself, podman-compose does not.
recreation_of() {
    local id image
    id=$(container "$1")
    image=$(image_of "$1")
    [ -n "$id" ] && image_exists "$image" || return 0
    [ "$(ask_engine inspect --format '{{.Image}}' "$id")" = "$(ask_engine image inspect --format '{{.Id}}' "$image")" ] ||
        echo --force-recreate
}

# build_image SERVICE: where it is missing, or always, or never, as BUILD says.
build_image() {
    local image
    image=$(image_of "$1")
    [ -n "$image" ] || die "$COMPOSE_FILE names no image for $1: correct it"
    step "image of $1"
    if [ "$BUILD" != always ] && image_exists "$image"; then
        done_with 'already there'
    elif [ "$BUILD" = never ]; then
        die "there is no image $image, and BUILD=never: build it, or leave BUILD out"
    elif ! only_planned 'build it'; then
        note "building $image, which takes minutes"
        # `--version` says it; only here, because another value would make `up` take the service for a changed one.
        BUILD_COMMIT=$(git rev-parse --short=12 HEAD 2>/dev/null || true) quietly compose build "$1" ||
            die "$image cannot be built"
        done_with 'built'
    fi
}

# pull_images: the newest of those that are not built here, and of those that ours are built on: what is built anew is
# taken from the cache, Debian's packages too, as long as those are the same.
pull_images() {
    local image
    for image in "$(image_of postgres)" "$(image_of traefik)" $(base_images); do
        step "$image"
        only_planned 'pull it' && continue
        quietly "$ENGINE" pull "$image" || die "$image cannot be pulled"
        done_with 'pulled'
    done
}

# base_images: what the Containerfiles begin with.
base_images() {
    local rust
    rust=$(sed -n 's/^ARG RUST_VERSION=//p' Containerfile)
    sed -n 's/^FROM \(docker\.io[^ ]*\).*/\1/p' Containerfile containers/cachet/Containerfile | sed "s/\${RUST_VERSION}/$rust/"
}

# incarnation SERVICE: changes whenever its container is made or started anew.
incarnation() {
    local id
    id=$(container "$1")
    [ -z "$id" ] || ask_engine inspect --format '{{.Id}} {{.State.StartedAt}}' "$id"
}

# files_of SERVICE: what it reads at its start only.
files_of() {
    case $1 in
        cachet) printf '%s\n' secrets/{app_key,db_password,mail_url} ;;
        alertmanager-cachet)
            printf '%s\n' config.json secrets/{cachet_api_token,webhook_basic_auth}
            # A folder with all that is in it: the time of a folder says what was added and removed.
            found -H "$(targets_source)"
            ;;
        traefik) printf '%s\n' "traefik/traefik.$(env_get ENVIRONMENT production).yml" ;;
    esac
}

# restart_if_stale SERVICE: where a file of its changed after it started. An interrupted run leaves such.
#
# A file that was replaced is another one to a container that has it mounted, so it has to be started anew.
restart_if_stale() {
    local id started changed file files
    id=$(container "$1")
    started=$(started_at "$id")
    mapfile -t files < <(files_of "$1")
    for file in "${files[@]}"; do
        # Of its inode and not of its content, for a file that is moved here keeps the time of its content.
        changed=$(stat --format %.9Z "$file")
        if [ "${changed/./}" -gt "$started" ]; then
            quietly "$ENGINE" restart "$id" || die_with_log "$1" "$1 cannot be restarted"
            return
        fi
    done
}

# started_at CONTAINER: in nanoseconds since 1970.
started_at() {
    local time fraction
    time=$(ask_engine inspect --format '{{.State.StartedAt}}' "$1")
    # podman: 2026-11-21 07:00:50.123456789 +0000 UTC; docker: 2026-11-21T07:00:50.123456789Z
    [[ $time =~ ^([0-9-]+)[T\ ]([0-9:]+)(\.([0-9]+))?\ *(Z|[+-][0-9:]+) ]] || die "cannot read the time $time"
    fraction=${BASH_REMATCH[4]}000000000
    printf '%s%s' "$(date --date "${BASH_REMATCH[1]} ${BASH_REMATCH[2]} ${BASH_REMATCH[5]}" +%s)" "${fraction:0:9}"
}

# remove_leftovers: what podman-compose left behind without a word, such as a container that was just being started again,
# and the volume that it held.
remove_leftovers() {
    local kind label names list
    label=label=com.docker.compose.project=$(project)
    for kind in container volume network; do
        case $kind in
            container) list=(ps --all) ;;
            volume)
                [ "$VOLUMES" = yes ] || continue
                list=(volume ls)
                ;;
            network) list=(network ls) ;;
        esac
        mapfile -t names < <(ask_engine "${list[@]}" --quiet --filter "$label")
        [ "${#names[@]}" -eq 0 ] || quietly "$ENGINE" "$kind" rm --force "${names[@]}" ||
            die "a $kind could not be removed: ${names[*]}"
    done
}
