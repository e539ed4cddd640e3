# Passwords and keys: made once, kept, never on a command line, and given to containers as files.
bats_require_minimum_version 1.5.0
load helper

setup() {
    operator_folder
    stand_ins
    # What the server prints for a password on stdin; the stand-in shows in the hash that it was given.
    cat >"$answers/podman-run" <<'ANSWER'
read -r password
[[ "$*" != *hash-password* ]] || echo "${*: -1}:hash-of-${#password}"
ANSWER
    dotenv_load
}

@test "what is empty is made, and stays at the next run" {
    make_secrets 2>said
    dotenv_load
    [[ $(env_get APP_KEY) =~ ^base64:[A-Za-z0-9+/]{43}=$ ]]
    [[ $(env_get DB_PASSWORD) =~ ^[A-Za-z0-9]{32}$ ]]
    [[ $(env_get CACHET_ADMIN_PASSWORD) =~ ^[A-Za-z0-9]{32}$ ]]
    [ "$(env_get WEBHOOK_BASIC_AUTH)" = alertmanager:hash-of-32 ]
    [ "$(env_get DB_PASSWORD)" != "$(env_get CACHET_ADMIN_PASSWORD)" ]
    local before
    before=$(<.env)
    run make_secrets
    succeeds
    [ "$(<.env)" = "$before" ]
    [[ $output != *generated* ]]
    check_env
}

@test "what the operator wrote stays" {
    change DB_PASSWORD "DB_PASSWORD='my own | password'"
    change WEBHOOK_BASIC_AUTH "WEBHOOK_BASIC_AUTH='me:\$2y\$05\$hash'"
    dotenv_load
    make_secrets
    dotenv_load
    [ "$(env_get DB_PASSWORD)" = 'my own | password' ]
    # shellcheck disable=SC2016 # a hash
    [ "$(env_get WEBHOOK_BASIC_AUTH)" = 'me:$2y$05$hash' ]
}

@test "the webhook's password is shown, with what Alertmanager needs, and is in no file and on no command line" {
    make_secrets 2>said
    local password
    password=$(sed -n 's/.*shown this once: //p' said)
    [ "${#password}" -eq 32 ]
    grep -q 'url: https://webhook.example-hosting.net/webhook' said
    run ! grep -rqF "$password" .env "$calls"
    make_secrets 2>again
    run ! grep -q 'shown this once' again
}

@test "nothing that was made is said, but that password" {
    make_secrets 2>said
    write_secrets 2>>said
    local name
    for name in APP_KEY DB_PASSWORD CACHET_ADMIN_PASSWORD WEBHOOK_BASIC_AUTH; do
        run ! grep -qF "$(env_get $name)" said "$calls"
    done
    run ! grep -qF "$(<secrets/webhook_password)" said "$calls"
}

@test "a developer's machine takes admin:admin, and nothing of it gets into production" {
    change ENVIRONMENT ENVIRONMENT=local
    dotenv_load
    make_secrets
    write_secrets
    [ "$(head -n 1 secrets/webhook_basic_auth)" = "admin:$(sed -n 's/^const HASH_OF_ADMIN.*"\(.*\)";/\1/p' "$repository/src/config/users.rs")" ]
    change ENVIRONMENT ENVIRONMENT=production
    dotenv_load
    make_secrets 2>said
    write_secrets
    grep -q 'shown this once' said
    run ! grep -q '^admin:' secrets/webhook_basic_auth .env
}

@test "a server that prints no hash leaves nobody without a password" {
    echo 'echo "warning: no systemd"' >"$answers/podman-run"
    local before
    make APP_KEY x
    before=$(<.env)
    fails_with 'printed no hash' make_webhook_password
    [ "$(<.env)" = "$before" ]
}

@test "containers can read the files, and other users of the machine cannot get to them" {
    make_secrets
    write_secrets
    [ "$(stat --format %a secrets)" = 700 ]
    local name
    for name in app_key db_password cachet_admin_password mail_url cachet_api_token webhook_basic_auth webhook_password; do
        [ "$(stat --format %a "secrets/$name")" = 444 ]
    done
    [ "$(<secrets/db_password)" = "$(env_get DB_PASSWORD)" ]
    [ "$(<secrets/webhook_basic_auth)" = $'alertmanager:hash-of-32\nstack:hash-of-32' ]
}

@test "files that say the same already are not touched, so that nothing restarts" {
    make_secrets
    write_secrets
    local before
    before=$(stat --format '%n %i %Z' secrets/*)
    run write_secrets
    [[ $output == *unchanged* ]]
    [ "$(stat --format '%n %i %Z' secrets/*)" = "$before" ]
}

@test "a value that changed in .env gets to its file" {
    make_secrets
    write_secrets
    env_set WEBHOOK_BASIC_AUTH me:another
    run write_secrets
    [[ $output == *written* ]]
    [ "$(<secrets/webhook_basic_auth)" = $'me:another\nstack:hash-of-32' ]
}

@test "a folder in a secret's place, as an engine makes it for a file that is missing, is replaced" {
    mkdir -p secrets/app_key
    make_secrets
    write_secrets
    [ "$(<secrets/app_key)" = "$(env_get APP_KEY)" ]
}

@test "a half-made set of files is completed" {
    make_secrets
    write_secrets
    rm secrets/webhook_password
    printf 'half' >secrets/db_password.new
    write_secrets
    [ "$(wc --bytes <secrets/webhook_password)" -eq 33 ]
    [ "$(<secrets/db_password)" = "$(env_get DB_PASSWORD)" ]
}

@test "the password of the stack and its hash go together, wherever a run was interrupted" {
    echo 'read -r password; echo "${*: -1}:hash-of-$password"' >"$answers/podman-run"
    make_secrets
    write_secrets
    rm secrets/webhook_password
    cp "$answers/podman-run" answer
    echo 'exit 1' >"$answers/podman-run"
    fails_with 'cannot hash' write_webhook_users
    cp answer "$answers/podman-run"
    write_secrets
    grep -qxF "stack:hash-of-$(<secrets/webhook_password)" secrets/webhook_basic_auth
}

# The stand-in for Cachet's seeder: it knows one token, and makes another where that is not the one it is told.
seeder() {
    echo 'echo cachet-container' >"$answers/podman-ps"
    cat >"$answers/podman-exec" <<ANSWER
[[ "\$*" == *' seed' ]] || exit 0
read -r known
echo 'seed: a sentence' >&2
[ "\$known" = "\$(cat known-token 2>/dev/null)" ] && [ -n "\$known" ] && exit
echo '7|freshTOKEN' >known-token
echo 'CACHET_API_TOKEN=7|freshTOKEN'
ANSWER
    mkdir -p secrets
}

@test "a token is made, and written to .env and its file" {
    seeder
    make_token
    dotenv_load
    [ "$(env_get CACHET_API_TOKEN)" = '7|freshTOKEN' ]
    [ "$(<secrets/cachet_api_token)" = '7|freshTOKEN' ]
    run make_token
    [[ $output == *'already there'* ]]
}

@test "a token that Cachet does not know is replaced" {
    seeder
    env_set CACHET_API_TOKEN '3|lost'
    make_token
    [ "$(env_get CACHET_API_TOKEN)" = '7|freshTOKEN' ]
}

@test "the token is on no command line and in no message" {
    seeder
    env_set CACHET_API_TOKEN '3|lost'
    run make_token
    [[ $output != *TOKEN=* && $output != *lost* ]]
    run ! grep -qE 'lost|fresh' "$calls"
}

@test "a seeder that fails is quoted, and .env stays" {
    seeder
    echo 'echo "seed: the database is gone" >&2; exit 1' >"$answers/podman-exec"
    local before
    before=$(<.env)
    fails_with 'the database is gone' make_token
    [ "$(<.env)" = "$before" ]
}
