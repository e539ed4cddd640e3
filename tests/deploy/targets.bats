# Where the targets file is, what the containers see of its folder, and what is said where they would not see enough.
bats_require_minimum_version 1.5.0
load helper

setup() {
    operator_folder
    stand_ins
}

# beside_deploy: as deployments from before have it.
beside_deploy() {
    mv prometheus/prometheus.yml .
    rmdir prometheus
    change PROMETHEUS_DIR ''
}

# mounted SERVICE…: what the real podman-compose makes of podman-compose.yml: volumes, commands and TARGETS_FILE.
mounted() {
    PODMAN_COMPOSE=$(dirname "$PYTHON")/podman-compose compose --profile monitoring config |
        "$PYTHON" -c '
import sys, yaml
services = yaml.safe_load(sys.stdin)["services"]
for service in [services[name] for name in sys.argv[1:] or services]:
    print(*service["volumes"], *service.get("command", []), service["environment"].get("TARGETS_FILE", "-"), sep="\n")' "$@"
}

@test "the containers see the whole folder, read-only" {
    dotenv_load
    run mounted alertmanager-cachet
    succeeds
    [[ $output == *'./prometheus:/etc/alertmanager-cachet/prometheus:ro,z'* ]]
    [[ $output == */etc/alertmanager-cachet/prometheus/prometheus.yml ]]
    run mounted prometheus
    [[ $output == *'./prometheus:/etc/prometheus/prometheus:ro,z'* ]]
    [[ $output == *--config.file=/etc/prometheus/prometheus/prometheus.yml* ]]
}

@test "a deployment from before, with prometheus.yml beside deploy.sh, needs no change" {
    beside_deploy
    run check_files
    succeeds
    [[ $output != *warning* ]]
    dotenv_load
    run mounted alertmanager-cachet
    succeeds
    [[ $output == *'./prometheus.yml:/etc/alertmanager-cachet/prometheus.yml:ro,z'* ]]
    [[ $output == */etc/alertmanager-cachet/./prometheus.yml ]]
    run mounted prometheus
    [[ $output == *'./prometheus.yml:/etc/prometheus/prometheus.yml:ro,z'* ]]
    [[ $output == *--config.file=/etc/prometheus/./prometheus.yml* ]]
    check_with_server
    grep -q -- "--volume $PWD/prometheus.yml:/check/prometheus.yml:ro .*TARGETS_FILE=prometheus.yml " "$calls"
}

@test "no container sees the folder of .env" {
    dotenv_load
    run mounted
    succeeds
    [[ $output == *./prometheus:/*./monitoring/blackbox.yml:/* ]]
    run ! grep -E '^(\.{0,2}/?|\.?/?\.env.*):' <<<"$output"
}

@test "the server is asked about the folder that its own container will see" {
    dotenv_load
    check_with_server
    grep -q -- "--volume $PWD/prometheus:/check/prometheus:ro .*TARGETS_FILE=prometheus/prometheus.yml " "$calls"
}

@test "a folder or file that is missing is said, with the way there" {
    rm -r prometheus
    fails_with 'mkdir prometheus && cp prometheus.yml.example prometheus/prometheus.yml' check_files
    mkdir prometheus
    fails_with 'prometheus/prometheus.yml is missing: cp prometheus.yml.example prometheus/prometheus.yml' check_files
    rmdir prometheus
    touch prometheus prometheus.yml
    fails_with 'prometheus (PROMETHEUS_DIR in .env) is no folder' check_files
    rm prometheus
    fails_with 'mkdir prometheus && mv prometheus.yml prometheus/' check_files
    change PROMETHEUS_DIR ''
    mkdir prometheus
    mv prometheus.yml prometheus/
    fails_with 'set PROMETHEUS_DIR=prometheus in .env' check_files
}

@test "the targets file that is not read is said" {
    run check_files
    succeeds
    [[ $output != *warning* ]]
    cp prometheus.yml.example prometheus.yml
    run check_files
    succeeds
    [[ $output == *'warning: prometheus.yml is not read'* ]]
}

@test "only a folder beside deploy.sh is taken, and none with secrets" {
    local folder
    for folder in /etc/prometheus ../prometheus . .. ./prometheus prometheus/ 'my folder' 'a:b'; do
        change PROMETHEUS_DIR "PROMETHEUS_DIR='$folder'"
        fails_with "PROMETHEUS_DIR is '$folder'" check_files
        [[ $output == *'ln -s /path/of/the/folder prometheus'* ]]
    done
    mkdir -p secrets traefik/certificates
    ln -s . here
    ln -s .. above
    ln -s / root
    ln -s traefik/certificates keys
    for folder in secrets traefik here above root keys; do
        change PROMETHEUS_DIR "PROMETHEUS_DIR=$folder"
        fails_with "$folder (PROMETHEUS_DIR in .env) has passwords or keys" check_files
    done
}

@test "a link to a folder elsewhere is as good as the folder" {
    mkdir elsewhere
    mv prometheus elsewhere/of-prometheus
    ln -s elsewhere/of-prometheus prometheus
    ln -s prometheus.yml prometheus/inside.yml
    run check_files
    succeeds
    chmod 600 elsewhere/of-prometheus/prometheus.yml
    fails_with 'chmod o+r prometheus/prometheus.yml' check_files
}

@test "what the server cannot read in its container is said" {
    mkdir prometheus/file_sd
    touch prometheus/file_sd/{a,b}.yml
    touch prometheus/password
    chmod 600 prometheus/password
    run check_files
    succeeds
    chmod 600 prometheus/file_sd/*
    fails_with 'prometheus/file_sd/a.yml cannot be read by the server' check_files
    [[ $output == *'chmod -R o+rX prometheus'*prometheus/file_sd/b.yml* ]]
    chmod -R o+rX prometheus
    chmod 700 prometheus/file_sd
    fails_with 'prometheus/file_sd cannot be read by the server' check_files
    chmod 755 prometheus/file_sd
    chmod 750 prometheus
    fails_with 'prometheus cannot be read by the server' check_files
}

@test "a link that leads out of the folder is said" {
    touch targets.yml
    ln -s ../targets.yml prometheus/targets.yml
    fails_with 'prometheus/targets.yml is a link that leads out of prometheus' check_files
}

@test "a file that the server's container does not have is explained" {
    dotenv_load
    cat >"$answers/podman-run" <<'ANSWER'
echo '      there is no file "/srv/file_sd/a.yml", so its targets are'
echo '      unknown: create it'
exit 1
ANSWER
    fails_with "/srv/file_sd/a.yml is not in the server's container, which has only prometheus/" check_with_server
    # A name in the folder needs no explanation.
    echo 'echo "there is no file \"a.yml\""; exit 1' >"$answers/podman-run"
    fails_with 'there is no file "a.yml"' check_with_server
    [[ $output != *container* ]]
    cat >"$answers/podman-run" <<'ANSWER'
echo '      "/srv/file_sd/*.yml" matches no'
echo '      file'
echo '      "file_sd/*.yml" matches no file'
ANSWER
    run check_with_server
    succeeds
    [[ $output == *"warning: /srv/file_sd/*.yml is not in the server's container"* ]]
    [[ $output == *'warning: no file matches prometheus/file_sd/*.yml'* ]]
    beside_deploy
    dotenv_load
    run check_with_server
    [[ $output == *'warning: file_sd/*.yml is not in '*'set PROMETHEUS_DIR=prometheus in .env'* ]]
}

# running_since_now: a container of the server that was started this moment.
running_since_now() {
    mkdir -p secrets
    touch secrets/{cachet_api_token,webhook_basic_auth}
    echo 'echo 0123456789abcdef' >"$answers/podman-ps"
    date --utc '+%Y-%m-%d %H:%M:%S.%N +0000 UTC' >started
    echo '[[ $3 != *StartedAt* ]] || cat started' >"$answers/podman-inspect"
}

@test "the server is started anew for a file that was changed, added or removed in the folder" {
    dotenv_load
    mkdir prometheus/file_sd
    touch 'prometheus/file_sd/of web.yml'
    local change
    for change in true 'touch prometheus/prometheus.yml' 'touch prometheus/file_sd/new.yml' 'rm prometheus/file_sd/new.yml' \
        'mv prometheus/file_sd prometheus/other'; do
        running_since_now
        : >"$calls"
        $change
        restart_if_stale alertmanager-cachet
        [ "$change" = true ] || grep -q '^podman restart' "$calls" || { echo "$change" && false; }
        [ "$change" != true ] || run ! grep -q '^podman restart' "$calls"
    done
}

@test "a backup holds the folder, and restores it with what is in it" {
    dotenv_load
    running_since_now
    echo '[[ "$*" != *pg_dump* ]] || echo a dump' >"$answers/podman-exec"
    echo '[[ "$*" != *"tar -c"* ]] || echo a volume' >"$answers/podman-run"
    echo '[[ "$3" != *Mounts* ]] || echo a-volume' >>"$answers/podman-inspect"
    mkdir prometheus/file_sd
    echo '[]' >prometheus/file_sd/a.yml
    (backup saved.tar.gz)
    (ASSUME_YES=yes restore_configuration saved.tar.gz)
    [ ! -e prometheus.before-restore ]
    local round
    for round in 1 2; do
        echo "changed $round" >prometheus/file_sd/a.yml
        (ASSUME_YES=yes restore_configuration saved.tar.gz)
        [ "$(<prometheus/file_sd/a.yml)" = '[]' ]
        [ "$(<prometheus.before-restore/file_sd/a.yml)" = "changed $round" ]
        [ ! -e prometheus.before-restore/prometheus ]
    done
    # To where there is nothing, and .env of another deployment.
    rm -r prometheus
    change PROMETHEUS_DIR ''
    dotenv_load
    (ASSUME_YES=yes restore_configuration saved.tar.gz)
    [ "$(<prometheus/file_sd/a.yml)" = '[]' ]
    grep -qx PROMETHEUS_DIR=prometheus .env
}

@test "an archive from before restores prometheus.yml beside deploy.sh" {
    beside_deploy
    local part
    for part in format database.dump uploads.tar store.tar; do
        echo 1 >"$part"
    done
    tar --create --gzip --file saved.tar.gz format database.dump uploads.tar store.tar .env config.json prometheus.yml
    operator_folder
    rm prometheus.yml
    (ASSUME_YES=yes restore_configuration "$PWD/saved.tar.gz")
    cmp prometheus.yml prometheus.yml.example
    dotenv_load
    [ "$(targets_file)" = prometheus.yml ]
}

@test "an archive whose .env names another folder is refused" {
    local part
    for part in format database.dump uploads.tar store.tar; do
        echo 1 >"$part"
    done
    change PROMETHEUS_DIR PROMETHEUS_DIR=../elsewhere
    tar --create --gzip --file saved.tar.gz format database.dump uploads.tar store.tar .env config.json prometheus
    fails_with 'PROMETHEUS_DIR names no folder beside it' restore_configuration saved.tar.gz
}

@test "of a link to a folder elsewhere, a backup holds what it leads to" {
    dotenv_load
    mkdir elsewhere work
    mv prometheus elsewhere/of-prometheus
    ln -s elsewhere/of-prometheus prometheus
    running_since_now
    echo '[[ "$*" != *pg_dump* ]] || echo a dump' >"$answers/podman-exec"
    echo '[[ "$*" != *"tar -c"* ]] || echo a volume' >"$answers/podman-run"
    echo '[[ "$3" != *Mounts* ]] || echo a-volume' >>"$answers/podman-inspect"
    (backup saved.tar.gz)
    tar --extract --gzip --file saved.tar.gz --directory work
    [ ! -L work/prometheus ]
    cmp work/prometheus/prometheus.yml prometheus.yml.example
}
