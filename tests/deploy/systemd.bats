# The unit that starts the stack after a reboot: its commands run as systemd would run them, which is not as a shell would.
bats_require_minimum_version 1.5.0
load helper

setup() {
    operator_folder
    sed "s|@DIRECTORY@|$PWD|" "$repository/systemd/alertmanager-cachet.service" >unit
    # Where `pipx install podman-compose` puts it, and nowhere else.
    mkdir -p home/.local/bin
    printf '#!/bin/sh\npwd >>"%s/calls"; echo "$*" >>"%s/calls"\n' "$PWD" "$PWD" >home/.local/bin/podman-compose
    chmod +x home/.local/bin/podman-compose
}

# setting NAME: of the unit, with %h replaced.
setting() {
    sed -n "s/^$1=//p" unit | sed "s|%h|$PWD/home|g"
}

# as_systemd COMMAND: in the unit's folder, with the unit's environment only. A program without a path is looked for in
# folders that were chosen when systemd was built, never in the unit's PATH.
as_systemd() {
    local words
    read -r -a words <<<"$1"
    [[ ${words[0]} == /* ]] || {
        echo "${words[0]} is not found by systemd"
        return 1
    }
    (cd "$(setting WorkingDirectory)" && env -i "$(setting Environment)" "${words[@]}")
}

@test "the unit finds the podman-compose that pipx installed" {
    as_systemd "$(setting ExecStart)"
    as_systemd "$(setting ExecStop)"
    [ "$(<calls)" = "$PWD
-f podman-compose.yml up --detach --no-build
$PWD
-f podman-compose.yml stop" ]
}

@test "nothing in the unit is left to be filled in" {
    run ! grep -E '^[^#].*@' unit
}
