# shellcheck shell=bash
# shellcheck disable=SC2154,SC2317,SC2329 # run.sh sets the variables, check() calls the functions
# deploy.sh itself, as an operator runs it, in the operator's folder $stack.

# The operator's folder: what the repository holds for it, and the three examples copied; as before PROMETHEUS_DIR was there,
# with prometheus.yml beside deploy.sh.
make_folder() {
    mkdir -p "$stack"
    (cd "$repository" && cp -r deploy.sh deploy podman-compose.yml Containerfile containers traefik monitoring ./*.example .env.example "$stack/")
    sed '/^PROMETHEUS_DIR=/d' "$stack/.env.example" >"$stack/.env"
    cp "$stack/config.json.example" "$stack/config.json"
    cp "$stack/prometheus.yml.example" "$stack/prometheus.yml"
}

# .env for this machine: plain HTTP on free ports, and a password that the checks know.
edit_env() {
    port=$(free_port)
    local name value
    while IFS='=' read -r name value; do
        NAME=$name VALUE=$value awk 'index($0, ENVIRON["NAME"] "=") == 1 { $0 = ENVIRON["NAME"] "=" ENVIRON["VALUE"] } { print }' \
            "$stack/.env" >"$stack/.env.edited"
        mv "$stack/.env.edited" "$stack/.env"
    done <<END
ENVIRONMENT=local
CACHET_DOMAIN=localhost
WEBHOOK_DOMAIN=localhost
HTTP_PORT=127.0.0.1:$port
HTTPS_PORT=127.0.0.1:$(free_port)
CERT_RESOLVER=
APP_ENV=local
APP_URL=http://localhost:$port
APP_FORCE_HTTPS=false
WEBHOOK_BASIC_AUTH='$(podman run --rm --interactive localhost/alertmanager-cachet:latest hash-password alertmanager <<<"$password")'
END
    printf '%s\n' 'MAIL_URL=smtp://status:the-password-of-the-mails@mail.example.org:587' MAIL_FROM_ADDRESS=status@example.org >>"$stack/.env"
}

# What deploy.sh said last.
said=$scratch/deploy.log

# deploy ARGUMENT…
deploy() {
    local status=0
    "$stack/deploy.sh" "$@" >"$said" 2>&1 </dev/null || status=$?
    cat "$said"
    return "$status"
}

# refuses TEXT ARGUMENT…: deploy.sh has to end with 1, and to say so.
refuses() {
    local wanted=$1 status=0
    shift
    deploy "$@" >/dev/null || status=$?
    equals "$status" 1 && contains "$(<"$said")" "$wanted"
}

# What changes when anything of the stack is made anew, or a file of the operator's.
fingerprint() {
    local service
    for service in "${services[@]}"; do
        inspect "$service" '{{.Name}} {{.Id}} {{.State.StartedAt}}'
    done
    find "$stack" -type f -not -name '*.log' -printf '%p %i %T@ %m\n' | sort
    # Without the ages in words.
    page '/api/components?per_page=100&sort=id' | sed 's/"human":"[^"]*"//g'
}

nothing_runs() { equals "$(podman ps --all --quiet --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME")" ''; }

no_volume_is_left() { equals "$(podman volume ls --quiet --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME")" ''; }

# Kills deploy.sh and all that it started, as a lost connection or a reboot would, when Cachet has a container and is not
# healthy yet.
is_interrupted() {
    local run
    setsid "$stack/deploy.sh" --yes >"$scratch/interrupted.log" 2>&1 </dev/null &
    run=$!
    eventually 120 has_container cachet || return 1
    kill -KILL -- "-$run"
    # How it ended is known: by the signal, not by itself.
    ! wait "$run" 2>/dev/null
    not contains "$(<"$scratch/interrupted.log")" 'the page answers'
}

has_container() { [ -n "$(container "$1")" ]; }

look_at_the_first_runs() {
    check 'the example as it is wants domains of one'\''s own' refuses 'CACHET_DOMAIN' --yes
    edit_env
    sed -i 's/"new_incident_name"/"new_incident_nam"/' "$stack/config.json"
    check 'a mistake in config.json is named with its cure' refuses 'new_incident_name' --yes
    check 'nothing was started with wrong files' nothing_runs
    cp "$stack/config.json.example" "$stack/config.json"
    check '--check finds nothing wrong' deploy --check
    check '--dry-run says what it would do' deploy --dry-run
    check 'neither of them starts anything' nothing_runs
    check 'a run is interrupted in the middle' is_interrupted
    check 'the next run repairs it and ends well' deploy --yes
    check 'it has seen that the webhook takes a notification' contains "$(<"$said")" 'an authenticated notification is accepted'
    must 'the stack is up' healthy alertmanager-cachet
}

look_at_a_second_run() {
    local before
    before=$(fingerprint)
    check 'a second run ends well' deploy --yes
    check 'it changes nothing' equals "$(fingerprint)" "$before"
    check 'it says that everything was there' not grep -E ' (started|made|generated|written|changed)' "$said"
}

# Targets in a file that prometheus.yml names, for which both move to a folder of their own.
look_at_a_new_target() {
    local traefik server
    traefik=$(inspect traefik '{{.Id}} {{.State.StartedAt}}')
    server=$(inspect alertmanager-cachet '{{.State.StartedAt}}')
    printf '  - job_name: of a file\n    file_sd_configs: [{files: [file_sd/backend.yml]}]\n' >>"$stack/prometheus.yml"
    mkdir "$stack/file_sd"
    targets_in_a_file 192.168.1.39:9100 >"$stack/file_sd/backend.yml"
    check 'a file that the container does not see is named with the cure' refuses 'set PROMETHEUS_DIR=prometheus in .env' --check
    mkdir "$stack/prometheus"
    mv "$stack/prometheus.yml" "$stack/file_sd" "$stack/prometheus/"
    echo PROMETHEUS_DIR=prometheus >>"$stack/.env"
    check 'a run after a target was added ends well' deploy --yes
    check 'the server was started anew' not equals "$(inspect alertmanager-cachet '{{.State.StartedAt}}')" "$server"
    check 'Traefik was not' equals "$(inspect traefik '{{.Id}} {{.State.StartedAt}}')" "$traefik"
    check 'the target has a component' contains "$(<"$said")" '192.168.1.39:9100 | Backend'
    check 'and then nothing is left to make' contains \
        "$(podman exec "$(container alertmanager-cachet)" alertmanager-cachet setup --dry-run 2>&1)" 'nothing to do'
    check 'the folder is mounted read-only' contains \
        "$(inspect alertmanager-cachet '{{range .Mounts}}{{.Destination}} {{.RW}},{{end}}')" '/etc/alertmanager-cachet/prometheus false,'
    # As an editor replaces a file.
    targets_in_a_file 192.168.1.39:9100 192.168.1.38:9100 >"$stack/prometheus/file_sd/new"
    mv "$stack/prometheus/file_sd/new" "$stack/prometheus/file_sd/backend.yml"
    podman kill --signal HUP "$(container alertmanager-cachet)" >/dev/null
    check 'a reload reads the file that replaced it' eventually 30 has_reloaded '14 targets'
    sed 's/- 192\.168\.1\.31:9100$/- 192.168.1.37:9100\n          &/' "$stack/prometheus/prometheus.yml" >"$stack/prometheus/new"
    mv "$stack/prometheus/new" "$stack/prometheus/prometheus.yml"
    podman kill --signal HUP "$(container alertmanager-cachet)" >/dev/null
    check 'and the targets file that replaced it, too' eventually 30 has_reloaded '15 targets'
}

# targets_in_a_file ADDRESS…: for file_sd_configs.
targets_in_a_file() {
    printf -- '- targets: [%s]\n  labels: {status_page_alert: "true", status_page_component: Backend}\n' "$(IFS=, && echo "$*")"
}

# has_reloaded TEXT: whether the server's log has it.
has_reloaded() {
    contains "$(podman logs "$(container alertmanager-cachet)" 2>&1 | grep 'configuration reloaded')" "$1"
}

# A new release of the server, which `git pull` and a build would make: nothing can be pulled here.
look_at_an_upgrade() {
    local before cachet image=localhost/alertmanager-cachet:latest backups
    before=$(inspect alertmanager-cachet '{{.Id}}')
    cachet=$(inspect cachet '{{.Id}} {{.State.StartedAt}}')
    mkdir "$scratch/release"
    printf 'FROM %s\nLABEL release=2\n' "$image" >"$scratch/release/Containerfile"
    build "$image" "$scratch/release"
    check 'an upgrade ends well' env BUILD=never "$stack/deploy.sh" upgrade --yes
    backups=("$stack"/backup-*.tar.gz)
    check 'it has made a backup first' test -s "${backups[0]}"
    check 'the server has a new container' not equals "$(inspect alertmanager-cachet '{{.Id}}')" "$before"
    check 'it is of the new release' equals "$(inspect alertmanager-cachet '{{index .Config.Labels "release"}}')" 2
    check 'Cachet, whose image is the same, runs on' equals "$(inspect cachet '{{.Id}} {{.State.StartedAt}}')" "$cachet"
    rm "${backups[@]}"
}

remembers_the_alert() {
    contains "$(podman exec "$(container alertmanager-cachet)" alertmanager-cachet explain Database 2>&1)" TargetDown
}

# With an alert firing, which the archive has to hold.
look_at_backup_and_restore() {
    local archive=$scratch/backup.tar.gz token
    token=$(<"$stack/secrets/cachet_api_token")
    check 'a backup is made' deploy backup "$archive"
    check 'the server runs on after it' eventually 60 healthy alertmanager-cachet
    check 'everything is removed, the volumes too' deploy uninstall --volumes --yes
    check 'nothing runs any more' nothing_runs
    check 'no volume is left' no_volume_is_left
    head -c 2000 "$archive" >"$scratch/cut.tar.gz"
    check 'half an archive is refused' refuses 'not all of one' restore "$scratch/cut.tar.gz" --yes
    rm -rf "$stack/.env" "$stack/secrets" "$stack/prometheus"
    check 'the backup is restored' deploy restore "$archive" --yes
    check 'its end is known' test ! -e "$stack/.restore-unfinished"
    check 'the files of the targets are there' test -s "$stack/prometheus/file_sd/backend.yml"
    check 'the page has its token of before' equals "$(<"$stack/secrets/cachet_api_token")" "$token"
    check 'the server remembers the alert that fired' remembers_the_alert
    check 'the page shows it' eventually 60 component_is Database 4
}

look_at_the_end() {
    check 'everything is removed but the volumes' deploy uninstall --yes
    check 'nothing runs any more' nothing_runs
    check 'deploying goes on with the volumes' deploy --yes
    check 'the server still remembers the alert' remembers_the_alert
}
