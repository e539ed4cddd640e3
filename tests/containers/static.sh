#!/usr/bin/env bash
# Checks what the containers are made of, without containers, as far as tests/deploy/run.sh does not: PHP, and the
# configuration of the profile `monitoring`. Needs Debian's php-cli, prometheus and prometheus-alertmanager.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

while IFS= read -r file; do
    php --syntax-check "$file" >/dev/null
done < <(find containers tests/containers -name '*.php' -o -name artisan)
php containers/cachet/tests/seeder.php

# As the profile mounts them.
sed "s|/etc/prometheus/\*rules.yml|$PWD/alert-rules.yml.example|" prometheus.yml.example >"$scratch/prometheus.yml"
promtool check config "$scratch/prometheus.yml" >/dev/null
amtool check-config monitoring/alertmanager.yml >/dev/null

# The seeder's token may do what the server's own error messages say that a call takes, and nothing else.
needed=$(sed -n '/fn ability(/,/^    }/p' crates/cachet/src/http.rs | grep -oE '"[a-z-]+\.(manage|delete)"' | tr -d '"' | sort -u)
given=$(sed -n '/ABILITIES = \[/,/\]/p' containers/cachet/seeder/Seeder.php | grep -oE "'[a-z.-]+'" | tr -d "'" | sort -u)
if [ "$needed" != "$given" ]; then
    printf 'the seeder gives other abilities than crates/cachet/src/http.rs needs:\n%s\n' "$(diff <(echo "$needed") <(echo "$given"))" >&2
    exit 1
fi
