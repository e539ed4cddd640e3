# The steps around the containers, with stand-ins for podman and podman-compose. What real ones do is tested in
# tests/containers/.
bats_require_minimum_version 1.5.0
load helper

setup() {
    operator_folder
    stand_ins
    dotenv_load
    HEALTH_TIMEOUT=0
}

# A container that runs since a moment ago, healthy; its files are older.
healthy_container() {
    mkdir -p secrets traefik
    touch secrets/{app_key,db_password,mail_url,cachet_api_token,webhook_basic_auth} traefik/traefik.production.yml
    echo 'echo 0123456789abcdef' >"$answers/podman-ps"
    date --utc '+%Y-%m-%d %H:%M:%S.%N +0000 UTC' >started
    cat >"$answers/podman-inspect" <<'ANSWER'
case $3 in
    *Status*) echo running ;;
    *Id*) echo "0123456789abcdef $(cat started)" ;;
    *StartedAt*) cat started ;;
    *Image*) echo sha256:1 ;;
esac
ANSWER
    echo 'echo sha256:1' >"$answers/podman-image"
}

@test "a service that runs and is healthy stays as it is" {
    healthy_container
    run start cachet
    succeeds
    [[ $output == *'already running, healthy'* ]]
    run ! grep -qE 'restart|force-recreate' "$calls"
}

@test "a service whose file changed after its start is started anew" {
    healthy_container
    touch config.json
    start alertmanager-cachet
    grep -q '^podman restart' "$calls"
}

@test "a file that was changed before the start is no reason" {
    touch config.json
    healthy_container
    start alertmanager-cachet
    run ! grep -q '^podman restart' "$calls"
}

@test "times are read as podman and docker write them" {
    local time
    for time in '2026-11-21 07:00:50.123456789 +0000 UTC' '2026-11-21T07:00:50.123456789Z' \
        '2026-11-21 08:00:50.123456789 +0100 CET' '2026-11-21T09:00:50.123456789+02:00'; do
        echo "echo '$time'" >"$answers/podman-inspect"
        [ "$(started_at x)" = 1795244450123456789 ] || { started_at x && false; }
    done
    echo "echo '2026-11-21T07:00:50.5Z'" >"$answers/podman-inspect"
    [ "$(started_at x)" = 1795244450500000000 ]
}

@test "a service whose image was built anew gets a new container" {
    healthy_container
    echo 'echo sha256:2' >"$answers/podman-image"
    start cachet
    grep -q '^podman-compose -f podman-compose.yml up --detach --force-recreate cachet$' "$calls"
}

@test "a service that does not get healthy is shown with the last lines of its own log" {
    healthy_container
    echo 'exit 1' >"$answers/podman-healthcheck"
    echo 'echo "SQLSTATE: no such database"' >"$answers/podman-logs"
    fails_with 'cachet is not healthy after 0 s: it is unhealthy' start cachet
    [[ $output == *'| SQLSTATE: no such database'* ]]
    grep -q '^podman logs --tail 25 0123456789abcdef' "$calls"
}

@test "a service that keeps ending is not waited for" {
    healthy_container
    HEALTH_TIMEOUT=300
    echo 'exit 1' >"$answers/podman-healthcheck"
    cat >>"$answers/podman-inspect" <<'ANSWER'
[[ "$3" != *RestartCount* ]] || { wc --lines <restarts && for i in 1 2 3; do echo; done >>restarts; }
ANSWER
    touch restarts
    fails_with 'cachet ends as often as it is started' start cachet
}

@test "a compose program that fails is quoted" {
    healthy_container
    cat >>"$answers/podman-compose--f" <<'ANSWER'
[ "$3" != up ] || { echo 'port 80 is taken' && exit 1; }
ANSWER
    fails_with 'port 80 is taken' start traefik
}

@test "an image that is there is not built, and one that is not, is" {
    run build_image cachet
    [[ $output == *'already there'* ]]
    echo 'exit 1' >"$answers/podman-image"
    build_image cachet
    grep -q ' build .*cachet$' "$calls"
    BUILD=never
    fails_with 'BUILD=never' build_image cachet
}

@test "the name of the project may stand in .env, where the compose programs look, too" {
    [ "$(project)" = alertmanager-cachet ]
    env_set COMPOSE_PROJECT_NAME mine
    [ "$(project)" = mine ]
    # shellcheck disable=SC2097,SC2098 # for that one call
    [ "$(COMPOSE_PROJECT_NAME=theirs project)" = theirs ]
}

@test "an upgrade pulls what ours are built on, so that what is old in it is mended" {
    mkdir -p containers
    cp "$repository/Containerfile" .
    cp -r "$repository/containers/cachet" containers/
    pull_images
    [ "$(grep -c '^podman pull ' "$calls")" -eq 4 ]
    local image
    for image in 'postgres:[0-9]+-alpine' 'traefik:v[0-9.]+' 'rust:[0-9.]+-bookworm' 'debian:[a-z]+-slim'; do
        grep -qE "^podman pull docker.io/library/$image\$" "$calls" || { echo "$image" && false; }
    done
}

@test "a step that takes its time is seen while it does, on a terminal" {
    cat >steps <<'STEPS'
source "$1/deploy/ui.sh"
step 'image of cachet'
note 'building it'
done_with built
STEPS
    TERM=xterm run script --quiet --return --command "bash steps '$repository'" /dev/null
    [[ $output == 'image of cachet '*$' …\r\e[K    building it\r\n\e[Kimage of cachet '*$' built\r' ]] || { echo "${output@Q}" && false; }
    run bash steps "$repository"
    [[ $output != *…* && $output != *$'\e'* ]]
}

@test "compose is told what .env says, whatever the shell says, and no secret" {
    cat >"$answers/podman-compose--f" <<'ANSWER'
env >environment
ANSWER
    change APP_NAME "APP_NAME='it\\'s \$5'"
    change DB_PASSWORD DB_PASSWORD=averysecretone
    change MAIL_URL MAIL_URL=smtp://me:averysecretone@mail.example.org:587
    dotenv_load
    HTTP_PORT=9 compose up
    grep -qx 'HTTP_PORT=80' environment
    grep -qxF "APP_NAME=it's \$5" environment
    grep -qx 'APP_URL=https://status.example-hosting.net' environment
    run ! grep -q averysecretone environment
}

@test "the server is shown .env without what is still to be made" {
    echo 'cat; echo "$*" >said' >"$answers/podman-run"
    check_with_server </dev/null
    grep -q -- '--env CACHET_API_URL= --env ENVIRONMENT=local .* check$' said
    env_set CACHET_API_TOKEN '1|x'
    env_set WEBHOOK_BASIC_AUTH 'a:b'
    check_with_server </dev/null
    run ! grep -q -- '--env ENVIRONMENT=local' said
}

@test "what the server finds is passed on" {
    echo 'echo "config.json: the group is empty"; exit 1' >"$answers/podman-run"
    fails_with 'config.json: the group is empty' check_with_server
}

@test "setup asks, and without a terminal does nothing unless --yes" {
    healthy_container
    echo '[[ "$*" != *setup* ]] || echo "would make the group A"' >"$answers/podman-exec"
    ASSUME_YES=no
    run set_components_up </dev/null
    succeeds
    [[ $output == *'would make the group A'* && $output == *skipped* ]]
    run ! grep -q 'setup$' "$calls"
    ASSUME_YES=yes
    set_components_up
    grep -q ' setup$' "$calls"
    run ! grep -q -- '--reset' "$calls"
}

@test "setup that has nothing to do asks nothing" {
    healthy_container
    echo 'echo "nothing to do: the page has everything"' >"$answers/podman-exec"
    run set_components_up </dev/null
    [[ $output == *'already there'* ]]
}

@test "the difference between a wrong command line and a failure is in the exit code" {
    local wrong
    for wrong in --no-such-option nonsense 'backup a b' restore 'upgrade backup' 'deploy --volumes' 'backup --reset'; do
        # shellcheck disable=SC2086 # several words
        run "$repository/deploy.sh" $wrong
        [ "$status" -eq 2 ] || { echo "$wrong: $status $output" && false; }
    done
    run "$repository/deploy.sh" --help
    succeeds
    [[ $output == *'uninstall [--volumes]'* ]]
}

@test "a dry run starts, writes and removes nothing" {
    echo 'exit 1' >"$answers/podman-image"
    cp -r "$repository/deploy" "$repository/deploy.sh" .
    echo 'echo "podman-compose version 1.6.0"' >"$answers/podman-compose-version"
    local before command
    before=$(md5sum .env)
    for command in '' upgrade backup uninstall 'uninstall --volumes'; do
        # shellcheck disable=SC2086 # several words
        run ./deploy.sh --dry-run $command
        succeeds
        [[ $output == *would* ]]
    done
    [ "$(md5sum .env)" = "$before" ]
    [ ! -e secrets ]
    run ! grep -qE '^podman (run|exec|stop|start|restart|rm|pull)|compose.* (up|down|build)' "$calls"
}

@test "uninstall keeps the volumes unless it is told otherwise" {
    ASSUME_YES=yes VOLUMES=no
    uninstall
    run ! grep -q -- --volumes "$calls"
    VOLUMES=yes
    uninstall
    grep -q -- 'down --volumes$' "$calls"
    ASSUME_YES=no
    fails_with 'nothing was removed' uninstall </dev/null
}

@test "what podman-compose leaves behind is removed, too" {
    ASSUME_YES=yes VOLUMES=yes
    echo 'echo a-container' >"$answers/podman-ps"
    echo '[ "$2" != ls ] || echo a-volume' >"$answers/podman-volume"
    uninstall
    grep -q '^podman container rm --force a-container$' "$calls"
    grep -q '^podman volume rm --force a-volume$' "$calls"
}

@test "an archive that is cut short, or is none, changes nothing" {
    local before
    before=$(md5sum .env)
    echo no archive >broken.tar.gz
    fails_with 'is no archive' restore_configuration broken.tar.gz
    tar --create --gzip --file partial.tar.gz .env
    fails_with 'has no format' restore_configuration partial.tar.gz
    fails_with 'cannot be read' restore_configuration missing.tar.gz
    [ "$(md5sum .env)" = "$before" ]
}

@test "a backup holds everything, is the owner's alone, and restores the files" {
    healthy_container
    echo '[[ "$*" != *pg_dump* ]] || echo a dump' >"$answers/podman-exec"
    echo '[[ "$*" != *"tar -c"* ]] || echo a volume' >"$answers/podman-run"
    echo '[[ "$3" != *Mounts* ]] || echo a-volume' >>"$answers/podman-inspect"
    (backup saved.tar.gz)
    [ "$(stat --format %a saved.tar.gz)" = 600 ]
    grep -q '^podman stop' "$calls"
    grep -q '^podman start' "$calls"
    fails_with 'is there already' backup saved.tar.gz
    echo changed >config.json
    cp .env env.before
    (ASSUME_YES=yes restore_configuration saved.tar.gz)
    cmp config.json "$repository/config.json.example"
    cmp .env env.before
    [ "$(<config.json.before-restore)" = changed ]
    [ ! -e .env.before-restore ]
}

@test "a store that cannot be copied leaves the server running and no archive" {
    healthy_container
    echo 'echo a dump' >"$answers/podman-exec"
    echo '[[ "$*" != *a-volume-of-data* ]]' >"$answers/podman-run"
    cat >>"$answers/podman-inspect" <<'ANSWER'
case $3 in
    *'"/data"'*) echo a-volume-of-data ;;
    *Mounts*) echo uploads ;;
esac
ANSWER
    fails_with 'the store cannot be copied' backup saved.tar.gz
    [ "$(tail -n 1 "$calls" | cut -d ' ' -f 2)" = start ]
    [ ! -e saved.tar.gz ]
}

@test "a store that cannot be stopped is not copied, and runs on" {
    healthy_container
    echo 'echo a dump' >"$answers/podman-exec"
    echo '[[ "$3" != *Mounts* ]] || echo a-volume' >>"$answers/podman-inspect"
    echo 'exit 125' >"$answers/podman-stop"
    fails_with 'the store cannot be copied' backup saved.tar.gz
    [[ $(sed -n '/^podman stop/,$p' "$calls") != *'podman run'* ]]
    [ "$(tail -n 1 "$calls" | cut -d ' ' -f 2)" = start ]
}

@test "a backup that a lost connection ends in the middle leaves the server running" {
    healthy_container
    echo 'echo a dump' >"$answers/podman-exec"
    cat >>"$answers/podman-inspect" <<'ANSWER'
case $3 in
    *'"/data"'*) echo a-volume-of-data ;;
    *Mounts*) echo uploads ;;
esac
ANSWER
    # The connection is lost while the store is copied: the whole of deploy.sh gets the signal.
    echo '[[ "$*" != *a-volume-of-data* ]] || kill -HUP "$(<backup.pid)"' >"$answers/podman-run"
    # A test that nohup runs would pass on that the signal is ignored.
    run -129 env --default-signal=HUP bash -c 'set -euo pipefail; source "$1/deploy.sh"; dotenv_load; echo "$$" >backup.pid; backup saved.tar.gz' bash "$repository"
    [ "$(tail -n 1 "$calls" | cut -d ' ' -f 2)" = start ]
    [ ! -e saved.tar.gz ]
}

@test "a disk that is full leaves no half of an archive" {
    healthy_container
    echo 'echo a dump' >"$answers/podman-exec"
    echo 'echo a volume' >"$answers/podman-run"
    echo '[[ "$3" != *Mounts* ]] || echo a-volume' >>"$answers/podman-inspect"
    ln -s /dev/full saved.tar.gz.new
    fails_with 'saved.tar.gz cannot be written' backup saved.tar.gz
    [ ! -e saved.tar.gz.new ] && [ ! -L saved.tar.gz.new ]
}

@test "a file is named from where the operator is" {
    cp -r "$repository/deploy" "$repository/deploy.sh" .
    mkdir elsewhere
    echo 'echo "podman-compose version 1.6.0"' >"$answers/podman-compose-version"
    cd elsewhere
    run ../deploy.sh --dry-run backup mine.tar.gz
    [[ $output == *"backup to $PWD/mine.tar.gz"* ]]
    run ../deploy.sh restore mine.tar.gz
    [[ $output == *"$PWD/mine.tar.gz cannot be read"* ]]
}

@test "a restore that was cut off has to be finished before anything else" {
    healthy_container
    cp -r "$repository/deploy" "$repository/deploy.sh" .
    echo 'echo "podman-compose version 1.6.0"' >"$answers/podman-compose-version"
    local part command
    for part in format database.dump uploads.tar store.tar; do
        echo 1 >"$part"
    done
    tar --create --gzip --file saved.tar.gz format database.dump uploads.tar store.tar .env config.json prometheus
    (ASSUME_YES=yes restore_configuration "$PWD/saved.tar.gz")
    for command in deploy upgrade 'backup other.tar.gz' --check; do
        # shellcheck disable=SC2086 # words
        run -1 ./deploy.sh $command
        [[ $output == *"the restore of $PWD/saved.tar.gz was cut off"* ]]
    done
    # With the data in place, it is over.
    echo 'cat >/dev/null' | tee "$answers/podman-exec" >"$answers/podman-run"
    echo '[[ "$3" != *Mounts* ]] || echo a-volume' >>"$answers/podman-inspect"
    make_work_folder
    open_archive saved.tar.gz
    restore_data
    check_no_restore_is_unfinished
}

@test "a restore that was interrupted at its last step is finished, not begun with an empty page" {
    healthy_container
    cat >"$answers/podman-exec" <<'ANSWER'
[[ "$*" != *'--dbname cachet '* ]] || exit 2
cat >>statements
ANSWER
    run make_database
    [[ $output == *'there, as it was restored'* ]]
    [ "$(<statements)" = 'ALTER DATABASE "cachet_restored" RENAME TO "cachet"' ]
    # Without one, it is made.
    cat >>"$answers/podman-exec" <<'ANSWER'
[[ $(tail -n 1 statements) != ALTER* ]]
ANSWER
    run make_database
    [[ $output == *made ]]
    [ "$(tail -n 1 statements)" = 'CREATE DATABASE "cachet"' ]
    echo 'echo "role does not exist"; exit 1' >"$answers/podman-exec"
    fails_with 'DB_USERNAME has to be that of the first start' make_database
}

@test "a password that the database does not take is in no log of the database" {
    healthy_container
    # As PostgreSQL does it: a statement that fails is logged, unless the session said that it is not to be.
    cat >"$answers/podman-exec" <<'ANSWER'
read -r statement
[[ "$*" == *'sh -c'* ]] && exit 1
[[ $statement == 'SET log_min_error_statement = panic; '* ]] || echo "STATEMENT: $statement" >>log
exit 1
ANSWER
    echo 'cat log' >"$answers/podman-logs"
    touch log
    env_set DB_PASSWORD averysecretone
    fails_with 'cannot be set' set_database_password
    [[ $output != *averysecretone* ]]
}
