# What the tests of deploy.sh share: a folder of the operator's own for each, with the examples copied, and deploy.sh read
# shellcheck disable=SC2034,SC2154 # bats sets status and output, and deploy.sh reads what is set here
# without being run.

repository=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)

# The tests ask the reader of .env that podman-compose uses; tests/deploy/run.sh says where it is.
PYTHON=${PYTHON:-$repository/target/tools/venv/bin/python}

# The operator's folder: .env with the two domains filled in, config.json, and the folder of the targets file.
operator_folder() {
    cd "$BATS_TEST_TMPDIR" || return
    sed 's/example\.com/example-hosting.net/' "$repository/.env.example" >.env
    cp "$repository/.env.example" .
    cp "$repository/config.json.example" config.json
    cp "$repository/prometheus.yml.example" .
    mkdir -p prometheus
    cp "$repository/prometheus.yml.example" prometheus/prometheus.yml
    cp "$repository/podman-compose.yml" .
    export UNPRIVILEGED_PORT_FILE=/dev/null
    # shellcheck source=/dev/null
    [ "$(type -t main)" = function ] || source "$repository/deploy.sh"
    # What else runs on the machine is no matter of the tests.
    port_answers() { false; }
}

# change NAME LINE: replaces the line of a variable, as an editor would.
change() {
    local line found=no
    while IFS= read -r line; do
        if [[ $line == "$1="* ]]; then
            line=$2 found=yes
        fi
        printf '%s\n' "$line"
    done <.env >.env.edited
    [ "$found" = yes ] || printf '%s\n' "$2" >>.env.edited
    mv .env.edited .env
}

# Puts stand-ins for podman and podman-compose first on the PATH. Both write down what they are called with, in $calls.
# A test says what podman answers in a file answers/SUBCOMMAND, which is sourced.
stand_ins() {
    calls=$BATS_TEST_TMPDIR/calls
    answers=$BATS_TEST_TMPDIR/answers
    mkdir -p bin "$answers"
    : >"$calls"
    local name
    for name in podman podman-compose; do
        cat >"bin/$name" <<STAND_IN
#!/usr/bin/env bash
printf '%s\n' "$name \$*" >>"$calls"
[ ! -e "$answers/$name-\$1" ] || source "$answers/$name-\$1"
STAND_IN
        chmod +x "bin/$name"
    done
    PATH=$PWD/bin:$PATH
    PODMAN_COMPOSE=podman-compose
    echo 'echo "podman version 4.3.1"' >"$answers/podman---version"
    cat >"$answers/podman-compose--f" <<'ANSWER'
[ "$3" != config ] || cat podman-compose.yml
ANSWER
}

# fails_with TEXT COMMAND…: it has to fail and say so.
fails_with() {
    local wanted=$1
    shift
    run "$@"
    [ "$status" -eq 1 ] || { echo "exit code $status: $output" && return 1; }
    [[ $output == *"$wanted"* ]] || { echo "not in: $output" && return 1; }
}

# succeeds: what was run did.
succeeds() {
    [ "$status" -eq 0 ] || { echo "exit code $status: $output" && return 1; }
}
