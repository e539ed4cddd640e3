#!/usr/bin/env bash
# Deploys the status page: containers, Traefik, Cachet, PostgreSQL and the server, step by step.
#
# Every step looks first whether it is done already, so that running it again changes nothing, and repairs a run that was
# interrupted. The steps are in deploy/.
set -euo pipefail

here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
for part in ui dotenv engine prerequisites validate targets secrets cachet setup verify backup; do
    # shellcheck source=/dev/null
    source "$here/deploy/$part.sh"
done

usage() {
    cat <<'HELP'
Usage: ./deploy.sh [OPTION…] [COMMAND]

Deploys the status page from .env, config.json and prometheus.yml, which is in the folder that PROMETHEUS_DIR in .env names
(copy the examples, edit them). Run it again at any time: what is done already stays as it is.

Commands
  (none)                 deploy, or bring what runs in line with the files
  upgrade                back up, build the images anew, and deploy
  backup [FILE]          save database, uploads, store and your files in one archive
  restore FILE           replace all of them by those of an archive, and deploy
  uninstall [--volumes]  remove containers and networks, and with --volumes all data, too

Options
  --check                only say what is wrong with the files
  --dry-run              say what would be done, and do nothing
  --yes                  answer every question with yes
  --reset                have setup remove all that it made first (asks)
  --help                 this

Environment
  CONTAINER_ENGINE       podman (default), with podman-compose; or docker, with docker compose
  PODMAN_COMPOSE         podman-compose, where it is not on the PATH
  COMPOSE_PROJECT_NAME   what the names of containers and volumes begin with (default: as podman-compose.yml says)
  BUILD                  missing (default): build images that are not there; always; never
  HEALTH_TIMEOUT         seconds that a service may take to become healthy (300)
  VERIFY_TIMEOUT         seconds that the page may take for its first answer (60)

Exit code: 0 if everything is as it should be, 1 if not, 2 if the command line makes no sense.
HELP
}

misused() {
    printf 'error: %s: see ./deploy.sh --help\n' "$1" >&2
    exit 2
}

# Reads the command line into COMMAND, ARGUMENT and the options.
# shellcheck disable=SC2034 # the steps in deploy/ read them
parse() {
    COMMAND=deploy ARGUMENT='' DRY_RUN=no ASSUME_YES=no RESET=no VOLUMES=no CHECK_ONLY=no
    while [ "$#" -gt 0 ]; do
        case $1 in
            --help | -h) usage && exit 0 ;;
            --check) CHECK_ONLY=yes ;;
            --dry-run) DRY_RUN=yes ;;
            --yes | -y) ASSUME_YES=yes ;;
            --reset) RESET=yes ;;
            --volumes) VOLUMES=yes ;;
            deploy | upgrade | backup | restore | uninstall)
                [ "$COMMAND" = deploy ] || misused "two commands, $COMMAND and $1"
                COMMAND=$1
                ;;
            -*) misused "unknown option $1" ;;
            *)
                [ -z "$ARGUMENT" ] || misused "'$1' is too much"
                ARGUMENT=$1
                ;;
        esac
        shift
    done
    case $COMMAND in
        restore) [ -n "$ARGUMENT" ] || misused 'restore needs a file' ;;
        backup) ;;
        *) [ -z "$ARGUMENT" ] || misused "unknown command '$ARGUMENT'" ;;
    esac
    [ "$VOLUMES" = no ] || [ "$COMMAND" = uninstall ] || misused '--volumes is for uninstall'
    [ "$RESET" = no ] || [ "$COMMAND" = deploy ] || misused '--reset is for deploying'
}

check() {
    check_env
    check_with_server
}

# From the files to a running PostgreSQL.
prepare() {
    check_env
    build_image alertmanager-cachet
    check_with_server
    make_secrets
    write_secrets
    build_image cachet
    start postgres
    make_database
    set_database_password
}

# From there to a page that was seen to work.
bring_up() {
    start cachet
    make_token
    start alertmanager-cachet
    start traefik
    set_components_up
    [ "$DRY_RUN" = yes ] || verify
    say_where
}

say_where() {
    [ "$DRY_RUN" = no ] || return 0
    note '' "page      $(env_get APP_URL)" "webhook   $(entry "$(env_get WEBHOOK_DOMAIN)")/webhook" \
        "log in as $(env_get CACHET_ADMIN_USERNAME) at $(env_get APP_URL)/dashboard (password: CACHET_ADMIN_PASSWORD in .env)"
}

deploy() {
    prepare
    bring_up
}

upgrade() {
    [ "$BUILD" = never ] || BUILD=always
    backup
    note 'if the new release does not work: go back to the old one and restore this backup'
    [ "$BUILD" = never ] || pull_images
    prepare
    bring_up
}

# The files of the archive are in place already.
restore() {
    prepare
    restore_data
    bring_up
}

uninstall() {
    local down=(--profile monitoring down) question='Remove all containers and networks of the status page?'
    if [ "$VOLUMES" = yes ]; then
        down+=(--volumes)
        question='Remove all containers, networks AND ALL DATA of the status page?'
    fi
    step 'uninstall'
    ! only_planned "remove containers and networks, volumes: $VOLUMES" || return 0
    ask "$question" || die 'nothing was removed'
    quietly compose "${down[@]}" || die 'not everything could be removed'
    remove_leftovers
    [ "$VOLUMES" = no ] || rm -f "$UNFINISHED_RESTORE"
    done_with 'removed'
    note "Your files stay: .env, config.json, $(targets_source), secrets/."
    [ "$VOLUMES" = yes ] || note 'The volumes stay, too: ./deploy.sh goes on with them.'
}

main() {
    parse "$@"
    # A file is named from where the operator is.
    case $ARGUMENT in
        '' | /*) ;;
        *) ARGUMENT=$PWD/$ARGUMENT ;;
    esac
    cd "$here"
    # Nothing may end it without a word.
    set -o errtrace
    trap 'printf "error: stopped at %s, line %s\n" "${BASH_SOURCE[0]#"$here/"}" "$LINENO" >&2' ERR
    # Podman makes folders within containers by it, for other users than ours.
    umask 022
    check_prerequisites
    case $COMMAND in
        deploy | upgrade | backup) check_no_restore_is_unfinished ;;
    esac
    if [ "$COMMAND" = restore ]; then
        # It brings the files.
        restore_configuration "$ARGUMENT"
        [ "$DRY_RUN" = no ] || return 0
    fi
    check_files
    if [ "$CHECK_ONLY" = yes ]; then
        check
        return
    fi
    case $COMMAND in
        deploy) deploy ;;
        backup) backup "$ARGUMENT" ;;
        *) "$COMMAND" ;;
    esac
}

[ "${BASH_SOURCE[0]}" != "$0" ] || main "$@"
