# shellcheck shell=bash
# Everything that is wrong with the operator's files, at once, before anything is started.

declare -ga PROBLEMS=()

# problem MESSAGE [LINE…]: notes one down; the lines say more.
problem() {
    PROBLEMS+=("$1")
    shift
    PROBLEMS+=("${@/#/    }")
}

# die_of_problems: ends, if any was noted.
die_of_problems() {
    [ "${#PROBLEMS[@]}" -eq 0 ] || die "$1" "${PROBLEMS[@]}"
}

# The operator's own files, and what .env says.
check_files() {
    step 'files'
    check_file .env
    check_file config.json
    if [ ! -e .env ]; then
        # Where the targets file has to be, if .env becomes a copy of the example.
        dotenv_load .env.example
        check_targets
    elif [ -f .env ] && [ -r .env ]; then
        dotenv_load
        check_targets
    fi
    die_of_problems 'the configuration is not complete'
    done_with 'there'
}

# check_file FILE: one that has an example beside it.
check_file() {
    if [ ! -e "$1" ]; then
        problem "$1 is missing: cp $1.example $1, and edit it"
    else
        check_readable "$1"
    fi
}

# check_readable FILE: whether we, and the users within the containers, can read it.
check_readable() {
    if [ ! -f "$1" ] || [ ! -r "$1" ]; then
        problem "$1 is no file that can be read: correct it (a missing file that a container mounted becomes a folder)"
    elif [ "$1" != .env ] && [[ $(stat --dereference --format %A "$1") != *r?? ]]; then
        problem "$1 cannot be read by the server, which is another user in its container: chmod o+r $1"
    fi
}

# The variables of .env.
check_env() {
    step 'validation of .env'
    check_names
    check_where
    check_urls
    check_cachet
    check_passwords
    check_ports
    check_ports_are_free
    [ "$(env_get CERT_RESOLVER)$(env_get ENVIRONMENT production)" != production ] || check_certificate
    die_of_problems "$ENV_FILE cannot be used"
    done_with 'no problems'
}

is_local() {
    [ "$(env_get ENVIRONMENT production)" = local ]
}

# port_of NAME: the number in HTTP_PORT or HTTPS_PORT, which may have an address before it.
port_of() {
    local value
    value=$(env_get "$1")
    printf %s "${value##*:}"
}

# address_of NAME: where this machine itself reaches the port in HTTP_PORT or HTTPS_PORT.
address_of() {
    local value
    value=$(env_get "$1")
    case $value in
        0.0.0.0:*) printf 127.0.0.1 ;;
        *:*) printf %s "${value%:*}" ;;
        *) printf 127.0.0.1 ;;
    esac
}

# A variable that neither .env.example nor a compose program knows is mostly a typing error.
check_names() {
    local name
    for name in "${!DOTENV[@]}"; do
        [[ $name == COMPOSE_* ]] || grep -qE "^(# )?$name=" .env.example || warn "$name in $ENV_FILE is not known: is it a typing error?"
    done
}

# one_of NAME DEFAULT VALUE…
one_of() {
    local name=$1 value choice
    value=$(env_get "$name" "$2")
    shift 2
    for choice in "$@"; do
        [ "$value" != "$choice" ] || return 0
    done
    problem "$name is '$value', must be one of: $*"
}

# matches NAME PATTERN CURE
matches() {
    [[ $(env_get "$1") =~ $2 ]] || problem "$1 is '$(env_get "$1")': $3"
}

check_where() {
    local name label='[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?'
    one_of ENVIRONMENT production production local
    for name in CACHET_DOMAIN WEBHOOK_DOMAIN; do
        matches "$name" "^$label(\.$label)*$" 'write a name such as status.example.org, without http:// and port'
        is_local || ! [[ $(env_get "$name") =~ (^|\.)example\.(com|net|org)$|^localhost$ ]] ||
            problem "$name is $(env_get "$name"): write your own domain (or ENVIRONMENT=local on a developer's machine)"
    done
    for name in HTTP_PORT HTTPS_PORT; do
        matches "$name" '^([0-9.]+:)?[1-9][0-9]{0,4}$' 'write the number of a port, or address:port'
    done
    [ "$(port_of HTTP_PORT)" != "$(port_of HTTPS_PORT)" ] || problem 'HTTP_PORT and HTTPS_PORT are the same: choose two'
    is_local || [ -z "$(env_get CERT_RESOLVER)" ] || one_of CERT_RESOLVER '' letsencrypt letsencrypt-staging
    [ ! -d /usr/share/zoneinfo ] || for name in TZ APP_TIMEZONE; do
        [ -e "/usr/share/zoneinfo/$(env_get "$name" UTC)" ] ||
            problem "$name is '$(env_get "$name")', which is no time zone: write one such as UTC or Europe/Berlin"
    done
}

check_urls() {
    local name url scheme=https
    ! is_local || scheme='https?'
    for name in APP_URL ASSET_URL; do
        url=$(env_get "$name")
        [[ $url =~ ^$scheme://$(env_get CACHET_DOMAIN)(:[0-9]+)?/?$ ]] ||
            problem "$name is '$url': write ${scheme%\?}://$(env_get CACHET_DOMAIN), with the port where it is not the usual one"
    done
    # The page would answer, and its styles would come from where nobody does.
    if is_local && [[ $(env_get APP_URL) == http://* ]]; then
        [ "$(env_get APP_FORCE_HTTPS true)" = false ] ||
            problem 'APP_FORCE_HTTPS is true, and APP_URL begins with http: set it to false'
        [[ "$(env_get APP_URL):80" =~ ^http://[^/:]*:"$(port_of HTTP_PORT)"([/:]|$) ]] ||
            warn "APP_URL is $(env_get APP_URL), and the page will be at $(entry "$(env_get CACHET_DOMAIN)"): do both have the same port?"
    fi
    matches CACHET_API_URL '^https?://[^/]+(/[^?#]*)?/api/?$' 'write http://cachet:8080/api'
}

check_cachet() {
    one_of APP_ENV production production local
    one_of APP_DEBUG false true false
    one_of APP_FORCE_HTTPS true true false
    one_of DB_CONNECTION pgsql pgsql
    is_local || [ "$(env_get APP_DEBUG false)" = false ] ||
        problem 'APP_DEBUG is true, and would show visitors the inside of errors: set it to false'
    for name in DB_DATABASE DB_USERNAME; do
        matches "$name" '^[a-z_][a-z0-9_]{0,62}$' 'write small letters, digits and _'
    done
    matches CACHET_ADMIN_USERNAME '^[^@[:space:]]+@[^@[:space:]]+$' 'write a mail address'
    [ -n "$(env_get CACHET_ADMIN_NAME)" ] || problem 'CACHET_ADMIN_NAME is empty: write the name that Cachet shows'
    if [ -n "$(env_get MAIL_URL)" ]; then
        # It holds a password, so it is not repeated.
        [[ $(env_get MAIL_URL) =~ ^smtps?://[^[:space:]]+:[0-9]+$ ]] ||
            problem 'MAIL_URL is no address of a mail server: write smtp://user:password@mail.example.com:587'
        matches MAIL_FROM_ADDRESS '^[^@[:space:]]+@[^@[:space:]]+$' 'write the mail address that mails come from'
    fi
    [[ -z $(env_get APP_KEY) || $(env_get APP_KEY) =~ ^base64:[A-Za-z0-9+/]{43}=$ ]] ||
        problem 'APP_KEY is no key of Laravel (base64:…): leave it empty, and one is made'
}

# Whether a value is one that somebody forgot to replace. The value itself is never shown.
#
# What we make must not look like one: 32 letters and digits, which in one run of a thousand begin with "my" or "your".
is_placeholder() {
    [[ ${1,,} =~ change.?(me|it|this)|placeholder|^(your|my)[-_.\ ]?(own|new|strong|secure|secret|pass|token|key|admin|database)|^\<.*\>$|^x{3,}$|^todo|^(admin|root|secret|password|cachet|postgres|example|test|demo)[0-9]*!*$|^1234 ]]
}

check_passwords() {
    local name value
    for name in DB_PASSWORD CACHET_ADMIN_PASSWORD; do
        value=$(env_get "$name")
        if [ -z "$value" ] || is_local; then
            continue
        fi
        if is_placeholder "$value"; then
            problem "$name is a placeholder: choose a password, or leave it empty, and one is made"
        elif [ "${#value}" -lt 10 ]; then
            problem "$name has ${#value} signs, and ten are the least: choose a longer one, or leave it empty, and one is made"
        fi
    done
    for name in CACHET_API_TOKEN WEBHOOK_BASIC_AUTH; do
        # Not the number of a token, nor the name of a user.
        value=$(env_get "$name")
        ! is_placeholder "${value#*[:|]}" || problem "$name is a placeholder: leave it empty, and it is made"
    done
}

# The operator's own certificate, where no resolver gets one.
check_certificate() {
    local certificate=traefik/certificates/fullchain.pem key=traefik/certificates/privkey.pem name
    if [ ! -r "$certificate" ] || [ ! -r "$key" ]; then
        problem "CERT_RESOLVER is empty, and $certificate and $key are not there: put your certificate there, or set CERT_RESOLVER=letsencrypt"
        return
    fi
    openssl x509 -in "$certificate" -noout -checkend 0 >/dev/null 2>&1 ||
        problem "$certificate has expired or is no certificate: put a valid one there"
    [ "$(openssl x509 -in "$certificate" -noout -pubkey 2>/dev/null)" = "$(openssl pkey -in "$key" -pubout 2>/dev/null)" ] ||
        problem "$key does not belong to $certificate: put the right one there"
    for name in CACHET_DOMAIN WEBHOOK_DOMAIN; do
        openssl x509 -in "$certificate" -noout -checkhost "$(env_get "$name")" 2>/dev/null | grep -q 'does match' ||
            problem "$certificate is not for $(env_get "$name"): get one for both domains"
    done
}

# What the server itself says of both files and of .env, as it will be told them.
check_with_server() {
    local image said unseen status=0 token_is_coming=()
    step 'validation by the server'
    image=$(image_of alertmanager-cachet)
    if ! image_exists "$image"; then
        done_with 'skipped: its image is not built yet'
        return
    fi
    # Before the first start the token is still to be made, and without a URL the server does not miss it.
    [ -n "$(env_get CACHET_API_TOKEN)" ] || token_is_coming=(--env CACHET_API_URL=)
    # Who may post is made in a later step.
    [ -n "$(env_get WEBHOOK_BASIC_AUTH)" ] || token_is_coming+=(--env ENVIRONMENT=local)
    said=$(one_off "$image" "${token_is_coming[@]}" -- check 2>&1) || status=$?
    mapfile -t unseen < <(unseen_files "$said")
    if [ "$status" -ne 0 ]; then
        mapfile -t said <<<"$said"
        die 'the server finds problems' "${said[@]}" "${unseen[@]}"
    fi
    done_with 'no problems'
    # For a pattern without a file there is no problem, for files may come later.
    local line
    for line in "${unseen[@]}"; do
        warn "$line"
    done
}

# one_off IMAGE OPTION… -- ARGUMENT…: a command of the server in a container of its own, with the operator's files, and
# without a network. It runs as the caller, who alone may read .env.
one_off() {
    local image=$1 options=() user=0
    shift
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    shift
    [ "$ENGINE" = podman ] || user=$(id -u):$(id -g)
    # The empty variables hide what the image sets for the server's own container.
    "$ENGINE" run --rm --network none --read-only --no-healthcheck --user "$user" --security-opt label=disable \
        --volume "$PWD/$ENV_FILE:/check/.env:ro" \
        --volume "$PWD/config.json:/check/config.json:ro" \
        --volume "$PWD/$(targets_source):/check/$(targets_source):ro" \
        --workdir /check --env CONFIG_FILE=config.json --env TARGETS_FILE="$(targets_file)" "${options[@]}" \
        "$image" "$@"
}
