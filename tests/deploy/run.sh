#!/usr/bin/env bash
# Checks the deployment's files, and tests deploy.sh without containers. All parts run, whatever fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

tools=$(tests/tools.sh)
# The tests ask the reader of .env that podman-compose uses.
export PYTHON=$tools/python
failed=0

# check NAME COMMAND…
check() {
    local name=$1
    shift
    if "$@"; then
        printf 'ok      %s\n' "$name"
    else
        printf 'FAILED  %s\n' "$name"
        failed=1
    fi
}

# The files of the repository, also those that are not committed yet.
files() {
    git ls-files --cached --others --exclude-standard -- "$@"
}

mapfile -t scripts < <(files '*.sh' '*.bash' .ci/run 'containers/*/bin/*')
mapfile -t tests < <(files 'tests/**/*.bats')
mapfile -t containerfiles < <(files '*Containerfile*')
mapfile -t yaml < <(files '*.yml' '*.yml.example' ':!tests/fixtures')

# Functions that are called by a name in a variable look as if nobody called them.
check 'shellcheck' "$tools/shellcheck" --external-sources --exclude SC2317,SC2329 "${scripts[@]}"
# bats sets variables, the helper others, and a test hands quoted dollars on.
check 'shellcheck of tests' "$tools/shellcheck" --exclude SC1003,SC2016,SC2030,SC2031,SC2034,SC2154 "${tests[@]}"
check 'shfmt' "$tools/shfmt" --diff --indent 4 --case-indent "${scripts[@]}" "${tests[@]}"
check 'hadolint' "$tools/hadolint" "${containerfiles[@]}"
check 'yamllint' "$tools/yamllint" --strict "${yaml[@]}"
check 'compose schema' "$tools/check-jsonschema" --builtin-schema vendor.compose-spec podman-compose.yml
check 'amtool' amtool check-config alertmanager.yml.example
check 'promtool rules' promtool check rules alert-rules.yml.example
check 'promtool tests' promtool test rules tests/deploy/alert-rules.test.yml
check 'bats' "$tools/bats" --timing tests/deploy
exit "$failed"
