# shellcheck shell=bash
# What has to be made in PostgreSQL and in Cachet: the database, its password, the administrator, the token.

# PostgreSQL's image makes the database after its data directory, and not again where that was interrupted in between.
make_database() {
    local name
    name=$(env_get DB_DATABASE)
    step 'database'
    ! only_planned 'make it where it is missing' || return 0
    if inside postgres psql --no-psqlrc --username "$(env_get DB_USERNAME)" --dbname "$name" --command '' \
        </dev/null >/dev/null 2>&1; then
        done_with 'there'
    elif sql "ALTER DATABASE \"${name}_restored\" RENAME TO \"$name\"" 2>/dev/null; then
        # A restore that was interrupted at its last step: the old one is gone, and this one is whole.
        done_with 'there, as it was restored'
    else
        sql "CREATE DATABASE \"$name\"" || die_with_log postgres \
            'the database cannot be made: where its role does not exist, DB_USERNAME has to be that of the first start'
        done_with 'made'
    fi
}

# The database keeps the password that it was made with. Where .env says another one, such as after an uninstall that
# kept the volumes, it is set anew.
set_database_password() {
    local password
    step 'password of the database'
    ! only_planned 'make it the one in .env' || return 0
    if database_takes_password; then
        done_with 'as in .env'
        return
    fi
    password=$(env_get DB_PASSWORD)
    # The container's own socket asks for no password. A statement that fails is logged, and this one holds it.
    sql "SET log_min_error_statement = panic; ALTER ROLE \"$(env_get DB_USERNAME)\" PASSWORD '${password//\'/\'\'}'" ||
        die_with_log postgres 'the password of the database cannot be set'
    database_takes_password || die_with_log postgres 'the database does not take its new password'
    done_with 'changed to that in .env'
}

# Over the network, as Cachet comes.
database_takes_password() {
    # shellcheck disable=SC2016 # for the shell in the container
    inside postgres sh -c 'IFS= read -r PGPASSWORD; export PGPASSWORD
        exec psql --no-password --host "$(hostname)" --username "$1" --dbname "$2" --command ""' \
        sh "$(env_get DB_USERNAME)" "$(env_get DB_DATABASE)" <<<"$(env_get DB_PASSWORD)" >/dev/null 2>&1
}

# make_token: the administrator and the token, by the seeder in Cachet's image.
#
# It is told the token that we have, and answers with another one only if Cachet does not know that (any more): a token
# is stored there as a hash, and one that was lost cannot be read again. So it is written down before anything else.
make_token() {
    local said token
    step 'administrator and token'
    ! only_planned 'make what is missing in Cachet' || return 0
    if ! said=$(printf '%s\n' "$(env_get CACHET_API_TOKEN)" | inside cachet seed 2>&1); then
        note "$(grep -v '^CACHET_API_TOKEN=' <<<"$said")"
        die_with_log cachet 'the administrator or the token cannot be made'
    fi
    token=$(sed -n 's/^CACHET_API_TOKEN=//p' <<<"$said")
    if [ -z "$token" ]; then
        done_with 'already there'
        return
    fi
    [[ $token =~ ^[0-9]+\|[A-Za-z0-9]+$ ]] || die 'Cachet made no token that we know the form of'
    env_set CACHET_API_TOKEN "$token"
    write_secret cachet_api_token "$token" >/dev/null
    done_with 'made, the token written to .env'
}
