# .env is read as podman-compose reads it, and edited so that nothing else changes.
# shellcheck disable=SC2016 # dollars and backslashes are what this is about
bats_require_minimum_version 1.5.0
load helper

setup() {
    operator_folder
}

# The reader that podman-compose itself uses.
python_dotenv() {
    "$PYTHON" -c 'import sys, dotenv; sys.stdout.write(dotenv.dotenv_values(".env")[sys.argv[1]] or "")' "$1"
}

@test "a value survives being written and read, whatever signs it has" {
    local values=(
        plain 'two words' 'a|b' 'a#b' 'a #b' '#' '$2y$05$abc.DEF/ghi' "it's" '"quoted"' "it's \"both\" for \$5" 'a=b' 'C:\dir'
        ' blanks around ' 'ü€🚨' '`id`' '$(id)' '!' '*' '~' 'a;b&c' "'" '""' '\n' "a'b'c"
    )
    local value
    for value in "${values[@]}"; do
        env_set APP_NAME "$value"
        dotenv_load
        [ "$(
            env_get APP_NAME
            printf .
        )" = "$value." ] || { echo "ours: $value" && false; }
        [ "$(
            python_dotenv APP_NAME
            printf .
        )" = "$value." ] || { echo "podman-compose's: $value" && false; }
    done
}

@test "what the readers disagree about is refused, and the file stays" {
    local value before
    before=$(<.env)
    for value in $'two\nlines' '${HOME}' 'ends in \' 'double \\ backslash' "\\'"; do
        fails_with 'cannot be written' env_set APP_NAME "$value"
        [ "$(<.env)" = "$before" ]
    done
}

@test "it is read as python-dotenv reads it" {
    local line
    for line in 'A=' 'A=x#y' 'A=x #y' 'A= #y' 'A=#y' "A='x #y' # z" 'A=two words  ' "A=it's" "A='it\\'s'" "A='C:\\dir\\\\'" \
        'A="a\nb\q"' 'export A=1' 'A = 1' 'A=$HOME' 'A=${NO_SUCH}' 'A=${NO_SUCH:-yes}' "A='\${TZ}'" 'A=${TZ' \
        'A=a${TZ}b${TZ}c' 'A="x" # y' 'A=a#b #c #d' 'A=$2y$05$ab#c' $'A=1\r'; do
        printf '%s\n' 'TZ=UTC' "$line" >.env
        dotenv_load
        [ "$(
            env_get A
            printf .
        )" = "$(
            python_dotenv A
            printf .
        )" ] || { echo "$line" && false; }
    done
}

@test "a line without the form NAME=value is named" {
    printf 'TZ=UTC\nnonsense\n' >.env
    fails_with '.env, line 2 is not of the form NAME=value' dotenv_load
    printf "TZ=UTC\nA='open\n" >.env
    fails_with '.env, line 2: the quotes' dotenv_load
}

@test "nothing in it is ever run" {
    printf 'A=$(touch run)\nB=`touch run`\nC="$(touch run)"\n' >.env
    dotenv_load
    env_set A "$(env_get B)"
    [ ! -e run ]
}

@test "only the line that is set changes" {
    env_set APP_NAME 'a | b'
    run diff "$repository/.env.example" .env
    [ "$(grep -c '^>' <<<"$output")" -eq "$(grep -c '^<' <<<"$output")" ]
    [ "$(grep '^>' <<<"$output" | grep -v 'example-hosting')" = "> APP_NAME='a | b'" ]
}

@test "a variable that is missing is added, also after a last line without an end" {
    printf 'TZ=UTC' >.env
    env_set APP_KEY x
    [ "$(<.env)" = $'TZ=UTC\nAPP_KEY=x' ]
}

@test "of a variable that is there twice, both are set" {
    printf 'TZ=a\nexport TZ=b\nTZ_OTHER=c\n' >.env
    env_set TZ d
    [ "$(<.env)" = $'TZ=d\nTZ=d\nTZ_OTHER=c' ]
}

@test "only its owner may read what was written, and nothing is left beside it" {
    chmod 644 .env
    env_set APP_KEY x
    [ "$(stat --format %a .env)" = 600 ]
    [ "$(find . -name '.env.*' ! -name .env.example)" = '' ]
}

@test "a link stays a link" {
    mkdir elsewhere
    mv .env elsewhere/env
    ln -s elsewhere/env .env
    env_set APP_KEY x
    [ -L .env ]
    grep -q '^APP_KEY=x$' elsewhere/env
}

@test "a write that is interrupted leaves the old file whole" {
    local before
    before=$(<.env)
    mv() { return 1; }
    run env_set APP_KEY x
    [ "$(<.env)" = "$before" ]
}
