# shellcheck shell=bash
# Passwords and keys: made where .env has none, and given to the containers as files.

# Containers read these as users of their own, so the files are for everybody; the folder is not.
SECRETS=secrets

# Who posts to the webhook for the stack itself: the verification, and the bundled Alertmanager.
STACK_USER=stack

# Who else posts where ENVIRONMENT is local: `admin`, at the lowest cost, for it protects nothing. It is never written to
# .env, from where it would get into production.
# shellcheck disable=SC2016 # a hash
LOCAL_USER='admin:$2b$04$abcdefghijklmnopqrstuuQe66hACgXZ.ImKMvPGdqru0gQrWJ8Ju'

# random_password: 32 letters and digits.
random_password() {
    local password
    password=$(openssl rand -base64 64 | tr -dc 'A-Za-z0-9')
    printf %s "${password:0:32}"
}

# make NAME VALUE: writes a value to .env where it has none.
make() {
    step "$1"
    if [ -n "$(env_get "$1")" ]; then
        done_with 'already set'
    elif ! only_planned 'generate it and write it to .env'; then
        env_set "$1" "$2"
        done_with 'generated, written to .env'
    fi
}

make_secrets() {
    keep_env_private
    make APP_KEY "base64:$(openssl rand -base64 32)"
    make DB_PASSWORD "$(random_password)"
    make CACHET_ADMIN_PASSWORD "$(random_password)"
    make_webhook_password
}

keep_env_private() {
    step 'permissions of .env'
    if [ "$(stat --dereference --format %a "$ENV_FILE")" = 600 ]; then
        done_with 'only its owner may read it'
    elif ! only_planned 'chmod 600'; then
        chmod 600 "$ENV_FILE"
        done_with 'changed: only its owner may read it'
    fi
}

# hash_password USER: the line for WEBHOOK_BASIC_AUTH; the password comes on stdin.
hash_password() {
    local said line
    said=$("$ENGINE" run --rm --interactive --network none --read-only --no-healthcheck \
        "$(image_of alertmanager-cachet)" hash-password "$1" 2>&1) || die 'the server cannot hash the password' "$said"
    line=$(grep "^$1:" <<<"$said") || die 'the server printed no hash of the password' "$said"
    printf '%s\n' "$line"
}

make_webhook_password() {
    local user=alertmanager password line
    step WEBHOOK_BASIC_AUTH
    if [ -n "$(env_get WEBHOOK_BASIC_AUTH)" ]; then
        done_with 'already set'
        return
    elif is_local; then
        done_with 'empty: local takes admin:admin'
        return
    fi
    ! only_planned 'generate a password, show it once, and write its hash to .env' || return 0
    password=$(random_password)
    line=$(hash_password "$user" <<<"$password") || exit
    # Shown before it is stored: whoever interrupts between the two gets another one at the next run.
    done_with 'generated, its hash written to .env'
    show_webhook_password "$user" "$password"
    env_set WEBHOOK_BASIC_AUTH "$line"
}

show_webhook_password() {
    local port
    port=$(port_of HTTPS_PORT)
    [ "$port" = 443 ] && port='' || port=:$port
    note '' "The password of the webhook, shown this once: $2" '' \
        'Write it to /etc/alertmanager/webhook_password, and this to alertmanager.yml (alertmanager.yml.example has more):' '' \
        '  receivers:' \
        '    - name: status-page' \
        '      webhook_configs:' \
        "        - url: https://$(env_get WEBHOOK_DOMAIN)$port/webhook" \
        '          send_resolved: true' \
        '          max_alerts: 0' \
        '          http_config:' \
        '            follow_redirects: false' \
        "            basic_auth: {username: $1, password_file: /etc/alertmanager/webhook_password}" ''
}

# write_secret NAME VALUE: replaces the file if it says something else. Prints changed if so.
write_secret() {
    local file=$SECRETS/$1
    # A read-only file that its owner replaces, so that nobody ever reads half of it.
    if [ -f "$file" ] && [ "$(<"$file")" = "$2" ] && [ "$(stat --format %a "$file")" = 444 ]; then
        return
    fi
    rm -rf "$file.new"
    (umask 077 && printf '%s\n' "$2" >"$file.new")
    chmod 444 "$file.new"
    [ ! -d "$file" ] || rmdir "$file"
    mv -f "$file.new" "$file"
    echo changed
}

# The secrets as files, from .env.
write_secrets() {
    local changed=''
    step "files in $SECRETS/"
    ! only_planned 'write what .env says' || return 0
    mkdir -p "$SECRETS"
    chmod 700 "$SECRETS"
    changed+=$(write_secret app_key "$(env_get APP_KEY)")
    changed+=$(write_secret db_password "$(env_get DB_PASSWORD)")
    changed+=$(write_secret cachet_admin_password "$(env_get CACHET_ADMIN_PASSWORD)")
    changed+=$(write_secret mail_url "$(env_get MAIL_URL)")
    changed+=$(write_secret cachet_api_token "$(env_get CACHET_API_TOKEN)")
    changed+=$(write_webhook_users)
    if [ -n "$changed" ]; then
        done_with 'written'
    else
        done_with 'unchanged'
    fi
}

# The operator's users, and that of the stack, whose hash is kept as long as its password is.
write_webhook_users() {
    local users=$SECRETS/webhook_basic_auth line='' others
    others=$(env_get WEBHOOK_BASIC_AUTH)
    [ -n "$others" ] || ! is_local || others=$LOCAL_USER
    if [ -f "$users" ] && [ -f "$SECRETS/webhook_password" ]; then
        line=$(grep "^$STACK_USER:" "$users" || true)
    fi
    if [ -z "$line" ]; then
        # Interrupted between the two, it must not leave a new password beside the hash of an old one.
        rm -f "$users"
        write_secret webhook_password "$(random_password)"
        line=$(hash_password "$STACK_USER" <"$SECRETS/webhook_password") || exit
    fi
    write_secret webhook_basic_auth "$others"$'\n'"$line"
}
