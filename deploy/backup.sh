# shellcheck shell=bash
# Backup and restore: the database, what was uploaded to Cachet, the server's store and the operator's files, in one
# archive.

# backed_up: the operator's files that belong to a backup; the secrets are made from .env again.
backed_up() {
    printf '%s\n' .env config.json "$(targets_source)"
}

# Names the archive of which files are restored and the data not all yet.
UNFINISHED_RESTORE=.restore-unfinished

# Where an archive is put together or taken apart: only we can read it, and it goes in the end.
work_folder=

# The service that is stopped while its files are copied.
stopped_service=

make_work_folder() {
    work_folder=$(mktemp -d "${TMPDIR:-/tmp}/status-page.XXXXXX")
    trap leave EXIT
}

# leave: however it ends, by a full disk or a lost connection as well, nothing stays stopped.
leave() {
    [ -z "$stopped_service" ] || start_again "$stopped_service" || true
    rm -rf "$work_folder"
}

# backup [FILE]
backup() {
    local file=${1:-backup-$(date +%Y%m%d-%H%M%S).tar.gz} files
    mapfile -t files < <(backed_up)
    step "backup to $file"
    [ ! -e "$file" ] || die "$file is there already: name another file"
    ! only_planned 'save database, uploads, store and files' || return 0
    make_work_folder
    dump_database >"$work_folder/database.dump" || die_with_log postgres 'the database cannot be dumped'
    saved cachet /app/storage/app >"$work_folder/uploads.tar" || die 'the uploads cannot be copied'
    save_store >"$work_folder/store.tar" || die 'the store cannot be copied'
    # What is a link here is in the archive itself; links within the folder of the targets file stay in it.
    cp --preserve --recursive -H "${files[@]}" "$work_folder"
    echo 1 >"$work_folder/format"
    (
        # It holds every password.
        umask 077
        tar --create --gzip --file "$file.new" --directory "$work_folder" \
            format database.dump uploads.tar store.tar "${files[@]}"
    ) || {
        rm -f "$file.new"
        die "$file cannot be written: make room, or name another place"
    }
    mv "$file.new" "$file"
    done_with "$(du --human-readable "$file" | cut --fields 1), holds passwords: keep it safe"
}

dump_database() {
    inside postgres pg_dump --username "$(env_get DB_USERNAME)" --format custom "$(env_get DB_DATABASE)" </dev/null
}

# The store, as tar. The server is stopped meanwhile, for a few seconds: its files belong together, and what Alertmanager
# posts then gets a 502 and is posted again.
save_store() {
    local status=0
    stopped_service=alertmanager-cachet
    # A store that is written to meanwhile would be a broken one.
    stop alertmanager-cachet || return 1
    saved alertmanager-cachet /data || status=1
    start_again alertmanager-cachet || return 1
    stopped_service=
    return "$status"
}

# saved SERVICE PATH: the volume that the service has there, as tar.
saved() {
    with_volume "$1" "$2" tar -c -C /volume . </dev/null
}

# with_volume SERVICE PATH COMMAND…: runs a command of PostgreSQL's image, for the server's has none, with the volume that
# the service has at the path as /volume.
with_volume() {
    local id volume
    id=$(container "$1")
    [ -n "$id" ] || die "there is no container of $1: run ./deploy.sh"
    volume=$(ask_engine inspect --format "{{range .Mounts}}{{if eq .Destination \"$2\"}}{{.Name}}{{end}}{{end}}" "$id")
    [ -n "$volume" ] || die "$1 has no volume at $2: check $COMPOSE_FILE"
    shift 2
    "$ENGINE" run --rm --interactive --network none --no-healthcheck --user 0 --security-opt label=disable \
        --volume "$volume:/volume" --entrypoint '' "$(image_of postgres)" "$@"
}

stop() {
    local id
    id=$(container "$1")
    [ -z "$id" ] || quietly "$ENGINE" stop "$id"
}

start_again() {
    quietly "$ENGINE" start "$(container "$1")"
}

# restore FILE: takes it apart and puts the operator's files in place. The data follow when PostgreSQL runs.
restore_configuration() {
    local file=$1
    step "restore from $file"
    make_work_folder
    open_archive "$file"
    ! only_planned 'replace database, uploads, store and files by what it holds' || return 0
    done_with 'complete'
    ask "Replace the database, the uploads, the store, .env, config.json and $(targets_source) by it?" || die 'nothing was changed'
    printf '%s\n' "$file" >"$UNFINISHED_RESTORE"
    restore_files
}

# Nothing is touched before all of it is there. From here on, .env is the one of the archive.
open_archive() {
    local part
    [ -r "$1" ] || die "$1 cannot be read: name a file that ./deploy.sh backup made"
    tar --extract --gzip --file "$1" --directory "$work_folder" --no-same-owner 2>/dev/null ||
        die "$1 is no archive, or not all of one: name a file that ./deploy.sh backup made"
    for part in format database.dump uploads.tar store.tar .env config.json; do
        archive_has "$1" "$part"
    done
    dotenv_load "$work_folder/.env"
    is_name_beside "$(targets_source)" || die "$1 has a .env whose PROMETHEUS_DIR names no folder beside it"
    archive_has "$1" "$(targets_file)"
    [ "$(<"$work_folder/format")" = 1 ] || die "$1 is of a newer release: restore it with that one"
}

# archive_has FILE PART
archive_has() {
    [ -s "$work_folder/$2" ] || die "$1 has no $2: name a file that ./deploy.sh backup made"
}

restore_files() {
    local file files
    step 'files'
    mapfile -t files < <(backed_up)
    for file in "${files[@]}"; do
        if ! diff --recursive --brief "$work_folder/$file" "$file" >/dev/null 2>&1; then
            rm -rf "$file.new"
            cp --recursive --preserve=mode "$work_folder/$file" "$file.new"
            if [ -e "$file" ] || [ -L "$file" ]; then
                # A folder would be moved into one of that name.
                rm -rf "$file.before-restore"
                mv "$file" "$file.before-restore"
            fi
            mv "$file.new" "$file"
        fi
    done
    chmod 600 "$ENV_FILE"
    done_with 'restored; what differed is beside them as *.before-restore'
}

# The database and the volumes, with PostgreSQL running and nothing else.
restore_data() {
    local service
    for service in traefik alertmanager-cachet cachet; do
        stop "$service"
    done
    restore_database
    restore_volume cachet /app/storage/app "$work_folder/uploads.tar"
    restore_volume alertmanager-cachet /data "$work_folder/store.tar"
    rm "$UNFINISHED_RESTORE"
}

# The page of one time with the store of another is nothing to go on with, nor to save.
check_no_restore_is_unfinished() {
    [ ! -e "$UNFINISHED_RESTORE" ] ||
        die "the restore of $(<"$UNFINISHED_RESTORE") was cut off, and the data are of two times: restore it again, or \
remove $UNFINISHED_RESTORE to go on with them as they are"
}

# Into a database of its own, which takes the old one's place when it is whole.
restore_database() {
    local name user
    step 'database'
    name=$(env_get DB_DATABASE)
    user=$(env_get DB_USERNAME)
    if ! {
        sql "DROP DATABASE IF EXISTS \"${name}_restored\"" &&
            sql "CREATE DATABASE \"${name}_restored\"" &&
            quietly inside postgres pg_restore --exit-on-error --no-owner --no-privileges \
                --username "$user" --dbname "${name}_restored" <"$work_folder/database.dump" &&
            sql "DROP DATABASE IF EXISTS \"$name\" WITH (FORCE)" &&
            sql "ALTER DATABASE \"${name}_restored\" RENAME TO \"$name\""
    }; then
        die_with_log postgres 'the database cannot be restored'
    fi
    done_with 'restored'
}

# sql STATEMENT: from a database that no statement touches.
sql() {
    quietly inside postgres psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 \
        --username "$(env_get DB_USERNAME)" --dbname template1 <<<"$1"
}

# restore_volume SERVICE PATH FILE: what is in the volume goes first, for a write-ahead log of before would be taken for
# one of the restored store.
restore_volume() {
    step "volume of $1"
    quietly compose up --no-start "$1" || die "the container of $1 cannot be made"
    # shellcheck disable=SC2016 # for the shell in the container
    with_volume "$1" "$2" sh -ec 'find /volume -mindepth 1 -delete
        tar -x -C /volume
        owner=$(stat -c %u:%g /volume)
        chown -R "$owner" /volume' <"$3" || die "the volume of $1 cannot be restored"
    done_with 'restored'
}
