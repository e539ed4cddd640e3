# shellcheck shell=bash
# shellcheck disable=SC2154 # current_step is in ui.sh
# Whether it works, asked from outside: through Traefik, as readers and Alertmanager do.

# How long Traefik and Cachet may take for their first answer, in seconds.
VERIFY_TIMEOUT=${VERIFY_TIMEOUT:-60}

# A notification without alerts: it has to be accepted, and changes nothing.
EMPTY_NOTIFICATION='{"version":"4","groupKey":"deploy.sh","truncatedAlerts":0,"status":"resolved",
"receiver":"deploy.sh","groupLabels":{},"commonLabels":{},"commonAnnotations":{},"externalURL":"","alerts":[]}'

# entry DOMAIN: its base address, as Traefik is reached from this machine.
entry() {
    if is_local; then
        printf 'http://%s:%s' "$1" "$(port_of HTTP_PORT)"
    else
        printf 'https://%s:%s' "$1" "$(port_of HTTPS_PORT)"
    fi
}

# status_of URL OPTION…: the status of the answer, 000 if there was none. What is secret comes on stdin, as curl's
# configuration; the name is not asked of any DNS, which may not know it yet.
status_of() {
    local url=$1 host ports=HTTP_PORT
    shift
    [[ $url != https:* ]] || ports=HTTPS_PORT
    host=${url#*://}
    host=${host%%/*}
    curl --config - --silent --output /dev/null --write-out '%{http_code}' --max-time 15 --noproxy '*' \
        --resolve "$host:$(address_of "$ports")" "$@" "$url" || true
}

# expect STATUS WHAT COMMAND…: tries until the command prints that status.
expect() {
    local wanted=$1 what=$2 deadline=$((SECONDS + VERIFY_TIMEOUT)) found
    shift 2
    step "$what"
    while found=$("$@") && [ "$found" != "$wanted" ]; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            die_unexpected "$found" "$wanted"
        fi
        sleep 1
    done
    done_with "$found"
}

# die_unexpected FOUND WANTED: with the log of whoever is to blame.
die_unexpected() {
    local culprit=alertmanager-cachet
    [[ $current_step == *page* ]] && culprit=cachet
    case $1 in
        000 | 404) culprit=traefik ;;
    esac
    die_with_log "$culprit" "the answer is $1, and should be $2"
}

post_with() {
    printf 'user = "%s:%s"\n' "$STACK_USER" "$1" |
        status_of "$(entry "$(env_get WEBHOOK_DOMAIN)")/webhook" "${tls_options[@]}" \
            --header 'Content-Type: application/json' --data-raw "$EMPTY_NOTIFICATION"
}

post_rightly() {
    post_with "$(<"$SECRETS/webhook_password")"
}

page_status() {
    status_of "$(entry "$(env_get CACHET_DOMAIN)")/" "${tls_options[@]}" </dev/null
}

webhook_domain_status() {
    status_of "$(entry "$(env_get WEBHOOK_DOMAIN)")$1" "${tls_options[@]}" </dev/null
}

plain_webhook_status() {
    status_of "http://$(env_get WEBHOOK_DOMAIN):$(port_of HTTP_PORT)/webhook" --request POST </dev/null
}

# Whether the certificates are ones that Alertmanager and browsers trust. If not it is a warning only, for the name may
# not lead here yet.
check_trust() {
    local deadline=$SECONDS untrusted
    tls_options=()
    is_local && return
    step 'certificates'
    # Let's Encrypt needs up to a minute for a new one. No other gets better while it is waited for.
    [ "$(env_get CERT_RESOLVER)" != letsencrypt ] || deadline=$((SECONDS + VERIFY_TIMEOUT))
    while untrusted=$(untrusted_domain) && [ -n "$untrusted" ]; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            tls_options=(--insecure)
            done_with 'not trusted (yet)'
            warn "Alertmanager and browsers refuse the certificate of $untrusted: see what Traefik says of it, $ENGINE logs $(container traefik)"
            return
        fi
        sleep 1
    done
    done_with 'trusted'
}

# untrusted_domain: one of the two whose certificate is not trusted, if any.
untrusted_domain() {
    local domain path
    for path in /webhook /api/ping; do
        domain=$(env_get WEBHOOK_DOMAIN)
        [ "$path" = /webhook ] || domain=$(env_get CACHET_DOMAIN)
        [ "$(status_of "$(entry "$domain")$path" </dev/null)" != 000 ] || { printf %s "$domain" && return; }
    done
}

verify() {
    local tls_options=()
    check_trust
    expect 200 'the page answers' page_status
    expect 200 'an authenticated notification is accepted' post_rightly
    expect 401 'a wrong password is refused' post_with wrong
    if ! is_local; then
        expect 404 'the webhook is not redirected on plain HTTP' plain_webhook_status
    fi
    if [ "$(env_get WEBHOOK_DOMAIN)" != "$(env_get CACHET_DOMAIN)" ]; then
        expect 404 'nothing else of the server is public' webhook_domain_status /metrics
    fi
}
