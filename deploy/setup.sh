# shellcheck shell=bash
# Groups and components in Cachet, by the server's own `setup`.

server() {
    inside alertmanager-cachet alertmanager-cachet "$@"
}

# set_components_up: shows what is missing, asks, and makes it. Removes nothing unless --reset.
set_components_up() {
    local plan lines options=()
    step 'groups and components'
    ! only_planned 'make what config.json and prometheus.yml name and Cachet lacks' || return 0
    if [ "${RESET:-no}" = yes ]; then
        # Asked here, for the server in its container has no terminal.
        ask 'Remove every component and group of Cachet, with their history, and make them anew?' ||
            die 'nothing was removed'
        options=(--reset --yes)
    fi
    plan=$(planned "${options[@]}") || die_with_lines 'setup cannot be planned' "$plan"
    if [[ $plan == *'nothing to do'* ]]; then
        done_with 'already there'
        return
    fi
    mapfile -t lines <<<"$plan"
    note "${lines[@]}"
    if ! ask 'Make these?'; then
        done_with 'skipped: run ./deploy.sh again, or answer with --yes'
        return
    fi
    plan=$(server setup "${options[@]}" </dev/null 2>&1) ||
        die_with_lines 'setup stopped' "$plan"
    done_with "$(tail -n 1 <<<"$plan")"
}

# planned OPTION…: what setup would do. Just after its start Cachet may be too slow for it.
planned() {
    local deadline=$((SECONDS + VERIFY_TIMEOUT)) said
    until said=$(server setup --dry-run "$@" </dev/null 2>&1); do
        if [ "$SECONDS" -ge "$deadline" ]; then
            printf '%s\n' "$said"
            return 1
        fi
        sleep 1
    done
    printf '%s\n' "$said"
}

# die_with_lines MESSAGE TEXT
die_with_lines() {
    local lines
    mapfile -t lines <<<"$2"
    die "$1" "${lines[@]}"
}
