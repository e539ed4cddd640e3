#!/usr/bin/env bash
# Makes the pictures of the console in the README anew: the tests in a real browser take them on their way.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo test --test it -- console::browser::an_outage_comes_and_is_overridden_and_shown_again_without_a_reload
cp target/screenshots/console.png target/screenshots/console-component.png docs/
