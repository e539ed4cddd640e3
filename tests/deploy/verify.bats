# The stack is asked from outside. What stands in for Traefik and what is behind it answers real HTTP and HTTPS, at
# addresses of its own, with a certificate that nobody trusts but who is told to.
bats_require_minimum_version 1.5.0
load helper

setup() {
    operator_folder
    stand_ins
    mkdir -p secrets
    echo the-password-of-the-stack >secrets/webhook_password
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=test -days 2 \
        -addext 'subjectAltName=DNS:*.example-hosting.net' -keyout key.pem -out certificate.pem 2>/dev/null
    VERIFY_TIMEOUT=0
    change CERT_RESOLVER CERT_RESOLVER=
    serve_at 127.0.0.2 127.0.0.3
    dotenv_load
}

teardown() {
    kill "$server"
}

# serve_at HTTP HTTPS: answers at two addresses as the stack would, and puts them into .env. What is asked is in `asked`;
# a file `answers-METHOD-PATH` has another status for it, `/` being `_`.
serve_at() {
    cat >server.py <<'SERVER'
import base64, http.server, os, ssl, sys, threading

class Stack(http.server.BaseHTTPRequestHandler):
    def answer(self):
        secure = isinstance(self.connection, ssl.SSLSocket)
        host = self.headers["Host"].split(":")[0]
        with open("asked", "a") as asked:
            print(self.command, "https" if secure else "http", host + self.path, file=asked)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status = 404
        if secure and host.startswith("status."):
            status = 200
        elif secure and self.path == "/webhook":
            right = "Basic " + base64.b64encode(b"stack:the-password-of-the-stack").decode()
            status = 200 if self.headers["Authorization"] == right and b'"alerts":[]' in body else 401
        file = f"answers-{self.command}-{self.path.replace('/', '_')}"
        self.send_response(int(open(file).read()) if secure and os.path.exists(file) else status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass

http_server, https_server = (http.server.ThreadingHTTPServer((address, 0), Stack) for address in sys.argv[1:])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("certificate.pem", "key.pem")
https_server.socket = context.wrap_socket(https_server.socket, server_side=True)
threading.Thread(target=http_server.serve_forever, daemon=True).start()
print(http_server.server_port, https_server.server_port, flush=True)
https_server.serve_forever()
SERVER
    local http https
    mkfifo ports
    "$PYTHON" server.py "$1" "$2" >ports 2>/dev/null 3>&- &
    server=$!
    read -r http https <ports
    change HTTP_PORT "HTTP_PORT=$1:$http"
    change HTTPS_PORT "HTTPS_PORT=$2:$https"
}

@test "the page, the webhook and what must not be public are asked, each where it is" {
    export CURL_CA_BUNDLE=$PWD/certificate.pem
    run verify
    succeeds
    [[ $output == *'certificates '*' trusted'* ]]
    [[ $output != *warning* ]]
    [ "$(sort -u asked)" = 'GET https status.example-hosting.net/
GET https status.example-hosting.net/api/ping
GET https webhook.example-hosting.net/metrics
GET https webhook.example-hosting.net/webhook
POST http webhook.example-hosting.net/webhook
POST https webhook.example-hosting.net/webhook' ]
}

@test "a certificate that nobody trusts is warned of, and the rest is verified all the same" {
    run verify
    succeeds
    [[ $output == *'refuse the certificate of webhook.example-hosting.net'* ]]
    [[ $output == *'an authenticated notification is accepted'* ]]
}

@test "the certificate of Let's Encrypt is waited for" {
    change CERT_RESOLVER CERT_RESOLVER=letsencrypt
    dotenv_load
    VERIFY_TIMEOUT=30
    # It is there when it is asked for the third time.
    untrusted_domain() {
        echo >>asks
        [ "$(wc --lines <asks)" -ge 3 ] || echo webhook.example-hosting.net
    }
    run check_trust
    [[ $output == *' trusted'* && $output != *warning* ]]
}

@test "what answers otherwise than it should is named, with the log of who is to blame" {
    echo 'echo "$4"' >"$answers/podman-ps"
    sed -i 's/.*/for last; do :; done; echo "a-container-of-${last##*=}"/' "$answers/podman-ps"
    echo 'echo "the log of $4"' >"$answers/podman-logs"
    local answer
    for answer in GET-_:500:cachet POST-_webhook:502:alertmanager-cachet GET-_metrics:200:alertmanager-cachet POST-_webhook:404:traefik; do
        IFS=: read -r what status culprit <<<"$answer"
        echo "$status" >"answers-$what"
        fails_with "the answer is $status, and should be" verify
        [[ $output == *"| the log of a-container-of-$culprit"* ]]
        rm "answers-$what"
    done
}

@test "the password of the stack is on no command line" {
    mkdir -p watched
    printf '#!/bin/sh\nprintf "%%s\\n" "$*" >>"%s"\nexec %s "$@"\n' "$PWD/commands" "$(command -v curl)" >watched/curl
    chmod +x watched/curl
    PATH=$PWD/watched:$PATH
    run verify
    succeeds
    grep -q /webhook commands
    run ! grep -q the-password-of-the-stack commands
}
