# shellcheck shell=bash
# shellcheck disable=SC2154,SC2317,SC2329,SC2016 # run.sh sets the variables, check() calls the functions, PHP has dollars too
# What is looked at. Every check is a sentence and a command that is true.

passed=0
failed=0

check() {
    local sentence=$1 output
    shift
    if output=$("$@" 2>&1); then
        passed=$((passed + 1))
        printf 'ok   %s\n' "$sentence"
    else
        failed=$((failed + 1))
        printf 'FAIL %s\n%s\n' "$sentence" "$(tail -n 15 <<<"$output" | sed 's/^/     /')"
    fi
}

# A check without which the others make no sense.
must() {
    check "$@"
    [ "$failed" -eq 0 ] || summary
}

summary() {
    local word=ok
    [ "$failed" -eq 0 ] || {
        word=FAILED
        show_logs
    }
    printf 'test result: %s. %d passed; %d failed\n' "$word" "$passed" "$failed"
    [ "$failed" -eq 0 ]
}

not() { ! "$@"; }

# eventually SECONDS COMMAND…: true as soon as the command is.
eventually() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.5
    done
}

equals() {
    [ "$1" = "$2" ] || {
        echo "is \"$1\", must be \"$2\""
        return 1
    }
}

contains() {
    [[ $1 == *"$2"* ]] || {
        echo "$1"
        return 1
    }
}

# container SERVICE: its id.
container() {
    podman ps --all --quiet --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" \
        --filter "label=com.docker.compose.service=$1"
}

inspect() { podman inspect --format "$2" "$(container "$1")"; }

# Without systemd, nobody else runs the health checks.
healthy() { podman healthcheck run "$(container "$1")" >/dev/null 2>&1; }

# status SERVICE FIELD: of the container's first process, as the kernel tells it.
status() { sed -n "s/^$2:[[:space:]]*//p" "/proc/$(inspect "$1" '{{.State.Pid}}')/status"; }

look_at_the_server_image() {
    local image=localhost/alertmanager-cachet:latest
    check 'the image runs as nobody in particular' equals "$(podman inspect --format '{{.Config.User}}' $image)" 65532:65532
    check 'the image says its commit' equals \
        "$(podman inspect --format '{{index .Config.Labels "org.opencontainers.image.revision"}}' $image)" 0123456789ab
    check 'the image has a health check' contains "$(podman inspect --format '{{.HealthCheck}}' $image)" healthcheck
    check 'the image has no shell' not podman run --rm --entrypoint /bin/sh $image -c true
    check 'the binary starts on its own' podman run --rm --read-only --network none $image --version
    check 'without its files it says what is missing' contains "$(podman run --rm $image check 2>&1)" config.json
}

look_at_order() {
    started() { date -d "$(inspect "$1" '{{.State.StartedAt}}' | sed 's/ +.*//')" +%s%N; }
    check 'PostgreSQL was started before Cachet' test "$(started postgres)" -lt "$(started cachet)"
}

look_at_rights() {
    local service
    for service in "${services[@]}"; do
        check "$service has a root that is read only" equals "$(inspect "$service" '{{.HostConfig.ReadonlyRootfs}}')" true
        check "$service has no capability" equals "$(status "$service" CapEff)" 0000000000000000
        check "$service can gain none" equals "$(status "$service" CapBnd)$(status "$service" NoNewPrivs)" 00000000000000001
        check "$service has a limit of memory" not equals "$(inspect "$service" '{{.HostConfig.Memory}}')" 0
        check "$service has a limit of log" contains "$(inspect "$service" '{{.HostConfig.LogConfig}}')" 10
    done
    check 'the server is not root' contains "$(status alertmanager-cachet Uid)" 65532
    check 'Cachet is www-data' contains "$(status cachet Uid)" 33
    check 'PostgreSQL is not root' not equals "$(status postgres Uid | cut -f 1)" 0
    check 'the sources of Cachet cannot be changed' not podman exec "$(container cachet)" touch /app/public/index.php
    check 'only Traefik has ports on the machine' equals \
        "$(for service in cachet alertmanager-cachet postgres; do podman port "$(container "$service")"; done)" ''
}

look_at_php() {
    local settings
    settings=$(podman exec "$(container cachet)" php-fpm8.4 -i)
    check 'PHP keeps what it compiled' contains "$settings" 'opcache.enable => On'
    check 'PHP does not look whether its files changed' contains "$settings" 'opcache.validate_timestamps => Off'
}

look_at_mails() {
    check 'Cachet is told who sends its mails' equals "$(podman exec "$(container cachet)" php -r \
        '$of = require getenv("APP_CONFIG_CACHE"); echo $of["MAIL_MAILER"], " ", $of["MAIL_URL"], " ", $of["MAIL_FROM_ADDRESS"];')" \
        'smtp smtp://status:the-password-of-the-mails@mail.example.org:587 status@example.org'
}

look_at_networks() {
    local database edge=${COMPOSE_PROJECT_NAME}_edge
    database=$(inspect postgres '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}')
    reach() {
        podman run --rm --network "$1" --entrypoint php localhost/cachet:latest -r \
            'exit(@fsockopen($argv[1], (int) $argv[2], $code, $why, 3) ? 0 : 1);' "$2" "$3"
    }
    check 'Cachet reaches the database by name' podman exec "$(container cachet)" \
        php -r 'exit(@fsockopen("postgres", 5432, $code, $why, 3) ? 0 : 1);'
    check "Traefik's neighbours reach the server" reach "$edge" alertmanager-cachet 5000
    check "Traefik's neighbours do not know the database's name" not reach "$edge" postgres 5432
    check "Traefik's neighbours do not reach the database's address" not reach "$edge" "$database" 5432
    check 'the database has no way out' not podman exec "$(container postgres)" grep -qE '^[^[:space:]]+[[:space:]]00000000' /proc/net/route
}

look_at_secrets() {
    local service everything secret name
    everything=$(for service in "${services[@]}"; do
        podman inspect "$(container "$service")"
        podman logs "$(container "$service")" 2>&1
    done)
    for name in app_key db_password cachet_admin_password mail_url cachet_api_token webhook_basic_auth; do
        secret=$(<"$stack/secrets/$name")
        check "$name is neither in podman inspect nor in a log" not contains "$everything" "$secret"
    done
    check 'what serves readers has no secret in its environment' not contains "$(page /reader)" '"DB_PASSWORD"'
    check 'the server reads its secrets though it is another user' podman exec "$(container alertmanager-cachet)" alertmanager-cachet check
}

page() { curl --silent --show-error --max-time 10 "http://localhost:$port$1"; }

# post USER:PASSWORD FILE: the answer's status.
post() {
    curl --silent --max-time 10 --output /dev/null --write-out '%{http_code}' --user "$1" --header 'Content-Type: application/json' \
        --data-binary "@$2" "http://localhost:$port/webhook"
}

look_at_the_way_of_an_alert() {
    local alert=$scratch/alert.json empty=$repository/tests/containers/empty.json
    sed 's/@STARTS_AT@/'"$(date --utc --date '-1 minute' +%FT%TZ)"'/' "$repository/tests/containers/alert.json" >"$alert"
    check 'the page answers through Traefik' contains "$(page /api/ping)" Pong
    check "PHP is told the reader's address, not Traefik's" not contains "$(page /reader)" \
        "$(inspect traefik '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}')"
    check 'a wrong password gets 401' equals "$(post "alertmanager:wrong" "$empty")" 401
    check 'an empty notification gets 200' equals "$(post "alertmanager:$password" "$empty")" 200
    check 'a firing alert gets 200' equals "$(post "alertmanager:$password" "$alert")" 200
    check 'its component is in Major Outage on the page' eventually 30 component_is Database 4
    check 'the log has the address of who posted' contains "$(podman logs "$(container alertmanager-cachet)" 2>/dev/null)" \
        "source_ip=$(page /reader | sed 's/.*"address":"\([^"]*\)".*/\1/')"
}

# component_is NAME STATUS, as Cachet's public API shows it.
component_is() {
    page '/api/components?per_page=100&sort=id' | python3 -c '
import json, sys
name, status = sys.argv[1], int(sys.argv[2])
components = [entry["attributes"] for entry in json.load(sys.stdin)["data"]]
sys.exit(not any(each["name"] == name and each["status"]["value"] == status for each in components))' "$1" "$2"
}

look_at_restarts() {
    local service before
    for service in alertmanager-cachet cachet postgres; do
        before=$(inspect "$service" '{{.State.Pid}}')
        kill -KILL "$before"
        check "$service comes again after a kill" eventually 60 is_anew "$service" "$before"
    done
    check 'the page answers after all of that' eventually 60 answers_ping
    before=$(process_in cachet fake-cachet)
    kill -KILL "$before"
    check "Cachet's queue worker comes again after a kill" eventually 30 is_another "$before" cachet fake-cachet
}

is_anew() { [ "$(inspect "$1" '{{.State.Pid}}')" != "$2" ] && healthy "$1"; }

# process_in SERVICE WORD: the id on this machine of the process in the service's container whose command has that word.
process_in() {
    local namespace pid
    namespace=$(readlink "/proc/$(inspect "$1" '{{.State.Pid}}')/ns/pid")
    for pid in $(pgrep -f -- "$2"); do
        [ "$(readlink "/proc/$pid/ns/pid")" != "$namespace" ] || echo "$pid"
    done | head -n 1
}

is_another() {
    local now
    now=$(process_in "$2" "$3")
    [ -n "$now" ] && [ "$now" != "$1" ]
}

answers_ping() { [[ $(page /api/ping) == *Pong* ]]; }

look_at_what_lasts() {
    local before after
    starts() {
        podman exec "$(container postgres)" psql --username cachet --dbname cachet --tuples-only --no-align --command 'SELECT count(*) FROM starts'
    }
    check 'the stack stops, as at a shutdown' compose stop
    check 'nobody answers' not answers_ping
    # shellcheck disable=SC2046 # several words
    check 'the unit of systemd starts it' compose $(sed -n 's/^ExecStart=.* -f podman-compose.yml //p' "$repository/systemd/alertmanager-cachet.service")
    check 'the page answers again' eventually 120 answers_ping
    before=$(starts)
    check 'the stack goes down' compose down
    check 'nothing of it is left' equals "$(container cachet)" ''
    check 'the stack comes up again' compose up --detach
    check 'the page answers again' eventually 120 answers_ping
    check 'its token is the same' equals "$(podman exec --interactive "$(container cachet)" seed <"$stack/secrets/cachet_api_token")" ''
    check 'the server remembers its alerts' contains \
        "$(podman exec "$(container alertmanager-cachet)" alertmanager-cachet explain Database 2>&1)" TargetDown
    after=$(starts)
    check 'the database is the same one, and Cachet has migrated it again' test "$after" -gt "$before"
}
