# shellcheck shell=bash
# What the operator sees: one line a step, with its outcome; questions; and how it ends when it goes wrong.

# What went before the message in hand: empty between steps.
current_step=

# Starts a step; `done_with OUTCOME` ends it. Everything goes to stderr but what is asked for, such as --help.
step() {
    current_step=$1
    # Some take minutes. Where there is a terminal it is seen at once, and what comes next is written over it.
    ! on_terminal || printf '%-46s …\r' "$1" >&2
}

on_terminal() {
    [ -t 2 ] && [ "${TERM:-dumb}" != dumb ]
}

# clear_line: removes a step that is under way from the terminal.
clear_line() {
    ! on_terminal || printf '\033[K' >&2
}

# done_with OUTCOME: done, already done, changed, skipped…
done_with() {
    clear_line
    printf '%-46s %s\n' "$current_step" "$1" >&2
    current_step=
}

note() {
    clear_line
    printf '    %s\n' "$@" >&2
}

# Something that does not stop the work.
warn() {
    clear_line
    printf 'warning: %s\n' "$1" >&2
}

# die MESSAGE [LINE…]: ends it all, with the step that was under way.
die() {
    clear_line
    [ -z "$current_step" ] || printf '%-46s FAILED\n' "$current_step" >&2
    printf 'error: %s\n' "$1" >&2
    shift
    [ "$#" -eq 0 ] || note "$@"
    exit 1
}

# ask QUESTION: whether the operator says yes; --yes answers, and without a terminal nobody does.
ask() {
    [ "${ASSUME_YES:-no}" = no ] || return 0
    if [ ! -t 0 ]; then
        warn "$1 Nobody can be asked: --yes answers."
        return 1
    fi
    local answer
    clear_line
    read -r -p "$1 [y/N] " answer
    case ${answer,,} in
        y | yes) return 0 ;;
        *) return 1 ;;
    esac
}

# For --dry-run: says what would be done and succeeds, so that the caller leaves it.
only_planned() {
    [ "${DRY_RUN:-no}" = yes ] || return 1
    done_with "would $1"
}
