# Everything that is wrong is said at once, before anything is started.
bats_require_minimum_version 1.5.0
load helper

setup() {
    operator_folder
}

# problems_of LINE…: what check_env says of the example with these lines instead.
problems_of() {
    local line
    for line in "$@"; do
        change "${line%%=*}" "$line"
    done
    dotenv_load
    check_env
}

@test "the example with one's own domains has no problem" {
    run problems_of
    succeeds
    [[ $output == *'no problems'* ]]
    [[ $output != *warning* ]]
}

@test "the example as it is wants domains of one's own" {
    cp .env.example .env
    fails_with 'CACHET_DOMAIN is status.example.com' problems_of
    [[ $output == *'WEBHOOK_DOMAIN is webhook.example.com'* ]]
}

@test "a developer's machine needs what the example says" {
    run problems_of ENVIRONMENT=local CACHET_DOMAIN=localhost WEBHOOK_DOMAIN=localhost HTTP_PORT=127.0.0.1:8080 HTTPS_PORT=127.0.0.1:8443 CERT_RESOLVER= \
        APP_ENV=local APP_DEBUG=true APP_URL=http://localhost:8080 APP_FORCE_HTTPS=false CACHET_ADMIN_PASSWORD=admin
    succeeds
}

@test "a page on a developer's machine whose styles would come from elsewhere is noticed" {
    local there=(ENVIRONMENT=local CACHET_DOMAIN=localhost WEBHOOK_DOMAIN=localhost CERT_RESOLVER= APP_ENV=local HTTP_PORT=127.0.0.1:8080)
    fails_with 'APP_FORCE_HTTPS is true' problems_of "${there[@]}" APP_URL=http://localhost:8080
    run problems_of APP_FORCE_HTTPS=false
    succeeds
    [[ $output != *warning* ]]
    run problems_of APP_URL=http://localhost
    [[ $output == *'APP_URL is http://localhost, and the page will be at http://localhost:8080'* ]]
    run problems_of HTTP_PORT=80
    [[ $output != *warning* ]]
}

@test "every problem is named with its variable" {
    local line
    for line in ENVIRONMENT=prod CACHET_DOMAIN=https://status.example.org 'WEBHOOK_DOMAIN=a b' WEBHOOK_DOMAIN= HTTP_PORT=http \
        HTTPS_PORT=0 CERT_RESOLVER=lets-encrypt TZ=Europe/Bern-Bümpliz APP_ENV=live APP_DEBUG=true APP_FORCE_HTTPS=yes \
        APP_URL=http://status.example-hosting.net ASSET_URL=https://elsewhere.org DB_CONNECTION=mysql \
        'DB_DATABASE=cachet;drop' DB_USERNAME=Cachet CACHET_ADMIN_USERNAME=admin CACHET_ADMIN_NAME= APP_KEY=abc \
        CACHET_API_URL=http://cachet:8080; do
        operator_folder
        fails_with "${line%%=*} is" problems_of "$line"
    done
}

@test "a mail server that cannot be one is named, without its password" {
    run problems_of 'MAIL_URL=smtp://me:a-password@mail.example.org:587' MAIL_FROM_ADDRESS=status@example.org
    succeeds
    [[ $output != *warning* ]]
    fails_with 'MAIL_URL is no address of a mail server' problems_of MAIL_URL=me:a-password@mail.example.org
    [[ $output != *a-password* ]]
    operator_folder
    fails_with "MAIL_FROM_ADDRESS is ''" problems_of MAIL_URL=smtps://mail.example.org:465
}

@test "placeholders and short passwords are refused, and not repeated" {
    local value
    for value in changeme CHANGE-ME-please 'change me' password Secret cachet postgres your-password-here '<password>' xxxx 12345678 \
        placeholder admin123 short; do
        operator_folder
        fails_with 'DB_PASSWORD' problems_of "DB_PASSWORD='$value'"
        [[ $output != *"'$value'"* ]]
        operator_folder
        fails_with 'CACHET_ADMIN_PASSWORD' problems_of "CACHET_ADMIN_PASSWORD='$value'"
    done
    fails_with 'CACHET_API_TOKEN is a placeholder' problems_of CACHET_API_TOKEN=your-token
}

@test "good passwords are not taken for placeholders" {
    local value
    for value in 'correct horse battery' 'Tr0ub4dor&3|#$x' "it's a secret, yes" 'exampleOfEntropy7'; do
        operator_folder
        run problems_of "DB_PASSWORD=$(dotenv_quote "$value")"
        succeeds
    done
}

@test "a name or a password that begins with my or your is no placeholder" {
    run problems_of DB_PASSWORD=myTk83LzPq0vBnXcAeRwYuIoGhJkLdSf CACHET_ADMIN_PASSWORD=yourself-is-11-signs \
        "WEBHOOK_BASIC_AUTH='mymonitoring:\$2y\$05\$hash'" "CACHET_API_TOKEN='1234|AbcDef'"
    succeeds
    operator_folder
    fails_with 'WEBHOOK_BASIC_AUTH is a placeholder' problems_of WEBHOOK_BASIC_AUTH=alertmanager:changeme
    operator_folder
    fails_with 'DB_PASSWORD is a placeholder' problems_of DB_PASSWORD=my_secure_password_1
}

@test "all problems come at once" {
    fails_with ENVIRONMENT problems_of ENVIRONMENT=x HTTP_PORT=x APP_ENV=x DB_PASSWORD=changeme
    local name
    for name in HTTP_PORT APP_ENV DB_PASSWORD; do
        [[ $output == *"$name is"* ]]
    done
}

@test "a name with a typing error is warned of" {
    run problems_of COMPOSE_PROJECT_NAME=mine
    [[ $output != *warning* ]]
    run problems_of CACHET_DOMIAN=x
    [[ $output == *'CACHET_DOMIAN in .env is not known'* ]]
}

@test "the three files are asked for at once" {
    rm -r .env config.json prometheus
    fails_with 'cp .env.example .env' check_files
    [[ $output == *'cp config.json.example config.json'* ]]
    [[ $output == *'mkdir prometheus && cp prometheus.yml.example prometheus/prometheus.yml'* ]]
    mkdir -p prometheus/prometheus.yml
    fails_with 'prometheus/prometheus.yml is no file' check_files
}

@test "a file that the server cannot read in its container is said" {
    chmod 600 config.json
    fails_with 'chmod o+r config.json' check_files
    local mode
    for mode in 644 664 666 755 604; do
        chmod "$mode" config.json
        run check_files
        succeeds
    done
    for mode in 640 622 711; do
        chmod "$mode" config.json
        fails_with 'chmod o+r config.json' check_files
    done
}

@test "a link to a file that the server can read is as good as the file" {
    mkdir elsewhere
    mv config.json elsewhere/
    ln -s elsewhere/config.json config.json
    run check_files
    succeeds
    chmod 600 elsewhere/config.json
    fails_with 'chmod o+r config.json' check_files
}

@test "a port for root only is said, with its cure" {
    [ "$(id -u)" -ne 0 ] || id() { echo 1000; }
    echo 1024 >first_port
    UNPRIVILEGED_PORT_FILE=first_port
    fails_with 'net.ipv4.ip_unprivileged_port_start=80' problems_of
    run problems_of HTTP_PORT=8080 HTTPS_PORT=8443 APP_URL=https://status.example-hosting.net:8443
    succeeds
}

# listener: somebody else's program on a port, in $port, until the test ends.
listener() {
    mkfifo said
    "$PYTHON" -c 'import socket, time; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1], flush=True); time.sleep(60)' \
        >said 3>&- &
    listener=$!
    read -r port <said
}

@test "a port that somebody else has is said before anything is built" {
    local port listener
    stand_ins
    # shellcheck source=/dev/null
    source "$repository/deploy/prerequisites.sh"
    listener
    fails_with "HTTPS_PORT is 127.0.0.1:$port, where something else answers already" \
        problems_of HTTP_PORT=127.0.0.1:1 "HTTPS_PORT=127.0.0.1:$port"
    # Our own Traefik may.
    echo 'echo 0123456789abcdef' >"$answers/podman-ps"
    echo 'echo running' >"$answers/podman-inspect"
    run problems_of HTTP_PORT=127.0.0.1:1 "HTTPS_PORT=127.0.0.1:$port"
    kill "$listener"
    succeeds
}

# certificate_for NAME DAYS: in the place of the operator's own.
certificate_for() {
    mkdir -p traefik/certificates
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=test -days "$2" \
        -addext "subjectAltName=DNS:$1" -keyout traefik/certificates/privkey.pem \
        -out traefik/certificates/fullchain.pem 2>/dev/null
}

@test "without a resolver, a certificate for both domains is wanted" {
    fails_with 'CERT_RESOLVER is empty' problems_of CERT_RESOLVER=
    certificate_for '*.example-hosting.net' 2
    run problems_of CERT_RESOLVER=
    succeeds
    certificate_for status.example-hosting.net 2
    fails_with 'is not for webhook.example-hosting.net' problems_of CERT_RESOLVER=
    openssl genpkey -algorithm ed25519 -out traefik/certificates/privkey.pem
    fails_with 'does not belong to' problems_of CERT_RESOLVER=
}

@test "older versions are told from newer ones" {
    version_at_least 1.6.0 1.1.0
    version_at_least 1.10.0 1.9.0
    version_at_least 1.1.0 1.1.0
    run ! version_at_least 1.0.6 1.1.0
    run ! version_at_least 0 1.1.0
}

@test "what is missing on the machine is said with how to install it" {
    mkdir empty
    for tool in cat dirname bash sed sort head printf; do
        ln -s "$(command -v "$tool")" "empty/$tool"
    done
    HOME=$PWD PATH=$PWD/empty PODMAN_COMPOSE=podman-compose fails_with \
        'podman-compose is missing: install pipx && pipx install podman-compose' check_prerequisites
    [[ $output == *'openssl is missing: install openssl'* ]]
}

@test "an old podman-compose is refused" {
    stand_ins
    echo 'echo "podman-compose version 1.0.6"' >"$answers/podman-compose-version"
    fails_with 'podman-compose is 1.0.6' check_prerequisites
    echo 'echo "podman-compose version 1.4.1"' >"$answers/podman-compose-version"
    fails_with 'podman-compose is 1.4.1, and older than 1.5.0' check_prerequisites
    echo 'echo "podman-compose version 1.6.0"' >"$answers/podman-compose-version"
    run check_prerequisites
    succeeds
}

@test "an old podman, or one that does not work, is refused" {
    stand_ins
    echo 'echo "podman-compose version 1.6.0"' >"$answers/podman-compose-version"
    echo 'echo "podman version 3.4.4"' >"$answers/podman---version"
    fails_with 'podman is 3.4.4, and older than 4.0.0' check_prerequisites
    echo 'echo "podman version 5.4.2"' >"$answers/podman---version"
    echo 'echo "no subuid ranges found"; exit 125' >"$answers/podman-info"
    fails_with 'podman does not work for the user' check_prerequisites
    [[ $output == *'no subuid ranges found'* ]]
}

@test "podman-compose is found where pipx puts it, before the next login" {
    stand_ins
    mkdir -p home/.local/bin
    mv bin/podman-compose home/.local/bin/
    echo 'echo "podman-compose version 1.6.0"' >"$answers/podman-compose-version"
    PODMAN_COMPOSE=podman-compose-of-pipx
    HOME=$PWD/home
    check_prerequisites
    [ "$PODMAN_COMPOSE" = "$PWD/home/.local/bin/podman-compose" ]
}
