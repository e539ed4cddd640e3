# shellcheck shell=bash
# shellcheck disable=SC1003,SC2016 # quotes and backslashes are what this is about
# Reads and writes .env, by the rules of podman-compose's reader (python-dotenv), which the server follows too.
#
# It is never sourced: it is data, and `$(…)` in it has no business to run.

# What .env says, NAME to value, once dotenv_load has read it.
declare -gA DOTENV=()

# The file; tests have their own.
ENV_FILE=${ENV_FILE:-.env}

# dotenv_load [FILE]: fills DOTENV. Fails at a line that has not the form NAME=value, and names it.
dotenv_load() {
    local file=${1:-$ENV_FILE} line number=0 value
    DOTENV=()
    while IFS= read -r line || [ -n "$line" ]; do
        number=$((number + 1))
        line=${line%$'\r'}
        [[ $line =~ ^[[:space:]]*(#|$) ]] && continue
        if ! [[ $line =~ ^[[:space:]]*(export[[:space:]]+)?([A-Za-z_][A-Za-z0-9_]*)[[:space:]]*=(.*)$ ]]; then
            die "$file, line $number is not of the form NAME=value: correct it"
        fi
        local name=${BASH_REMATCH[2]}
        value=$(dotenv_value "${BASH_REMATCH[3]}" && printf .) ||
            die "$file, line $number: the quotes around the value of $name are not closed on its line: close them"
        DOTENV[$name]=$(dotenv_expand "${value%.}")
    done <"$file"
}

# dotenv_value TEXT: what stands behind the `=`, without quotes and comment.
dotenv_value() {
    local text=$1 quote
    text=${text#"${text%%[![:space:]]*}"}
    case $text in
        "'"* | '"'*)
            quote=${text:0:1}
            dotenv_quoted "$quote" "${text:1}"
            ;;
        '#'*) [ "$text" != "$1" ] || printf %s "$text" ;; # a comment only behind a blank
        *)
            [[ $text =~ ^(.*[^[:space:]])?[[:space:]]+#.*$ ]] && text=$(dotenv_before_comment "$text")
            printf %s "${text%"${text##*[![:space:]]}"}"
            ;;
    esac
}

# The part of an unquoted value before the first `#` that follows a blank.
dotenv_before_comment() {
    local text=$1 at
    for ((at = 1; at < ${#text}; at++)); do
        if [[ ${text:at:1} == '#' && ${text:at-1:1} == [[:space:]] ]]; then
            printf %s "${text:0:at}"
            return
        fi
    done
    printf %s "$text"
}

# dotenv_quoted QUOTE TEXT: the text up to the closing quote, its escapes undone.
dotenv_quoted() {
    local quote=$1 text=$2 value='' at character next
    for ((at = 0; at < ${#text}; at++)); do
        character=${text:at:1}
        if [ "$character" = "$quote" ]; then
            [[ ${text:at+1} =~ ^[[:space:]]*(#.*)?$ ]] || return 1
            printf %s "$value"
            return
        fi
        next=${text:at+1:1}
        if [ "$character" = '\' ] && [ -n "$next" ]; then
            at=$((at + 1))
            value+=$(dotenv_escape "$quote" "$next" && printf .)
            value=${value%.}
        else
            value+=$character
        fi
    done
    return 1
}

# dotenv_escape QUOTE CHARACTER: what a backslash and the character after it stand for.
dotenv_escape() {
    case $1$2 in
        "''" | "'\\" | '""' | '"\' | "\"'") printf %s "$2" ;;
        '"n') printf '\n' ;;
        '"t') printf '\t' ;;
        '"r') printf '\r' ;;
        *) printf '\\%s' "$2" ;;
    esac
}

# dotenv_expand TEXT: with ${NAME} and ${NAME:-default} replaced by what the file said above, or the environment.
dotenv_expand() {
    local text=$1 result=''
    local reference='^([^$]|\$[^{])*\$\{([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}'
    while [[ $text =~ $reference ]]; do
        local whole=${BASH_REMATCH[0]} name=${BASH_REMATCH[2]} default=${BASH_REMATCH[4]}
        result+="${whole%%"\${$name"*}${DOTENV[$name]-${!name-$default}}"
        text=${text:${#whole}}
    done
    printf %s "$result$text"
}

# env_get NAME [DEFAULT]: a value of .env; the default where there is none or it is empty.
env_get() {
    local value=${DOTENV[$1]-}
    printf %s "${value:-${2-}}"
}

# env_set NAME VALUE: changes the line of NAME, or adds one; everything else stays as it is, byte for byte.
#
# The file is replaced in one step, so that an interruption leaves the old one or the new one, and only its owner may
# read it.
env_set() {
    local name=$1 value=$2 line quoted found=no file temporary
    quoted=$(dotenv_quote "$value") || die "the value for $name cannot be written to $ENV_FILE: ${quoted:-it is not valid}"
    file=$(readlink -f "$ENV_FILE")
    temporary=$(mktemp "$file.XXXXXX")
    while IFS= read -r line || [ -n "$line" ]; do
        if [[ $line =~ ^[[:space:]]*(export[[:space:]]+)?${name}[[:space:]]*= ]]; then
            # The last of several counts, so all are made to say the same.
            printf '%s=%s\n' "$name" "$quoted"
            found=yes
        else
            printf '%s\n' "$line"
        fi
    done <"$file" >"$temporary"
    [ "$found" = yes ] || printf '%s=%s\n' "$name" "$quoted" >>"$temporary"
    mv -f "$temporary" "$file"
    DOTENV[$name]=$value
}

# dotenv_quote VALUE: in the one quoting that podman-compose, docker compose and the server read alike.
#
# They disagree on doubled backslashes, on one before the closing quote, and on ${…}, so these are refused.
dotenv_quote() {
    case $1 in
        *$'\n'* | *$'\r'*) printf 'it has more than one line' && return 1 ;;
        *'${'*) printf 'it holds ${, which would be replaced' && return 1 ;;
        *'\\'* | *'\' | *"\\'"*) printf 'it holds a backslash that not all readers take alike' && return 1 ;;
    esac
    if [[ $1 =~ ^[A-Za-z0-9_./:@%+=,-]*$ ]]; then
        printf %s "$1"
    elif [[ $1 == *"'"* && $1 != *[\"\`\$\\]* ]]; then
        printf '"%s"' "$1"
    else
        printf "'%s'" "${1//\'/\\\'}"
    fi
}
