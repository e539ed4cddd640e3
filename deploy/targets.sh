# shellcheck shell=bash
# The targets file, prometheus.yml, and the files beside it that its patterns name.
#
# They are in a folder of their own, PROMETHEUS_DIR in .env, which the containers see whole. Deployments from before have no
# such variable and prometheus.yml beside deploy.sh, of which the containers see that file alone: its folder has .env.

# targets_source: what the containers see, beside deploy.sh: the folder, or the one file.
targets_source() {
    env_get PROMETHEUS_DIR prometheus.yml
}

# targets_file: where the targets file is, seen from deploy.sh.
targets_file() {
    local folder
    folder=$(env_get PROMETHEUS_DIR)
    printf %s "${folder:+$folder/}prometheus.yml"
}

# is_name_beside TEXT: whether it is a name of something beside deploy.sh. podman-compose.yml makes paths of it.
is_name_beside() {
    [[ $1 =~ ^[A-Za-z0-9_][A-Za-z0-9._-]*$ ]]
}

# Where the targets file is, and who can read it.
check_targets() {
    local folder file
    folder=$(env_get PROMETHEUS_DIR)
    file=$(targets_file)
    if [ -n "$folder" ] && ! is_name_beside "$folder"; then
        problem "PROMETHEUS_DIR is '$folder': write the name of a folder beside deploy.sh, such as prometheus" \
            'if the folder is elsewhere, make a link to it: ln -s /path/of/the/folder prometheus'
    elif [ -n "$folder" ] && [ -e "$folder" ] && ! { [ -d "$folder" ] && [ -r "$folder" ] && [ -x "$folder" ]; }; then
        problem "$folder (PROMETHEUS_DIR in .env) is no folder that can be read: correct it"
    elif [ -n "$folder" ] && has_secrets "$folder"; then
        problem "$folder (PROMETHEUS_DIR in .env) has passwords or keys, which the server must not see: name a folder of its own"
    elif [ ! -e "$file" ]; then
        missing_targets_file "$folder"
    else
        check_readable "$file"
        [ -z "$folder" ] || check_targets_folder "$folder"
    fi
}

# has_secrets FOLDER: whether the folder is one that has secrets of the stack, or has such a folder in it.
has_secrets() {
    local here folder
    here=$(realpath .)
    folder=$(realpath "$1")
    [[ $here/ == "${folder%/}/"* || $folder/ == "$here/secrets/"* || $folder/ == "$here/traefik/"* ]]
}

# missing_targets_file FOLDER: says how to get it there.
missing_targets_file() {
    local folder=$1 file make=''
    file=$(targets_file)
    [ -z "$folder" ] || [ -d "$folder" ] || make="mkdir $folder && "
    if [ -z "$folder" ] && [ -f prometheus/prometheus.yml ]; then
        problem 'prometheus.yml is missing, but there is prometheus/prometheus.yml: set PROMETHEUS_DIR=prometheus in .env'
    elif [ -n "$folder" ] && [ -f prometheus.yml ]; then
        problem "$file is missing (PROMETHEUS_DIR in .env names the folder), but there is prometheus.yml:" \
            "${make}mv prometheus.yml $folder/" \
            'and move the files there that it names (file_sd_configs)'
    else
        problem "$file is missing: ${make}cp prometheus.yml.example $file, and edit it"
    fi
}

# check_targets_folder FOLDER: what the server could not see of it, or not read.
check_targets_folder() {
    local folder=$1 real link unreadable names=('(' -name '*.yml' -o -name '*.yaml' -o -name '*.json' ')')
    [ ! -e prometheus.yml ] ||
        warn "prometheus.yml is not read: PROMETHEUS_DIR is set in .env, and $folder/prometheus.yml is read instead"
    real=$(realpath "$folder")
    while IFS= read -r link; do
        [[ $(realpath --canonicalize-missing "$link" 2>/dev/null) == "$real"/* ]] ||
            problem "$link is a link that leads out of $folder, which is all that the server's container has: put the file itself there"
    done < <(found -H "$folder" -type l "${names[@]}")
    # prometheus.yml itself was looked at before.
    mapfile -t unreadable < <(found -L "$folder" '(' -type d -not -perm -005 -o \
        -type f "${names[@]}" -not -path "$folder/prometheus.yml" -not -perm -004 ')')
    [ "${#unreadable[@]}" -eq 0 ] || problem \
        "${unreadable[0]} cannot be read by the server, which is another user in its container: chmod -R o+rX $folder" \
        "${unreadable[@]:1:9}"
}

# found ARGUMENT…: what find finds, in order, of what we can read.
found() {
    { find "$@" 2>/dev/null || true; } | sort
}

# unseen_files TEXT: why the server found no files for what its `check` names in that text, where it cannot know it.
unseen_files() {
    local text name pattern folder
    folder=$(env_get PROMETHEUS_DIR)
    # It breaks its lines.
    text=$(tr -s '[:space:]' ' ' <<<"$1")
    while [[ $text =~ there\ is\ no\ file\ \"([^\"]*)\"|\"([^\"]*)\"\ matches\ no\ file ]]; do
        pattern=${BASH_REMATCH[2]}
        name=${BASH_REMATCH[1]}$pattern
        text=${text#*"${BASH_REMATCH[0]}"}
        if [ -z "$folder" ]; then
            printf '%s\n' "$name is not in the server's container, which has prometheus.yml alone: mkdir prometheus, move \
prometheus.yml and its other files there, name these relative to it, and set PROMETHEUS_DIR=prometheus in .env"
        elif [[ $name == /* ]]; then
            printf '%s\n' "$name is not in the server's container, which has only $folder/ of this machine: move the files there, and \
name them relative to prometheus.yml"
        elif [ -n "$pattern" ]; then
            printf '%s\n' "no file matches $folder/$pattern, so it names no targets yet"
        fi
    done
}
