#!/usr/bin/env bash
# Runs the Autobahn test suite against examples/echo.rs, which speaks through the program's own frame reader, compression
# and closing handshake. The suite's cases come with the Python package kosoku, which is installed below target/.
#
#   scripts/autobahn.sh              all cases but those on limits and performance (group 9), some minutes
#   scripts/autobahn.sh '1.*' 13.2.1 these cases only
#
# CARGO_PROFILE chooses the build: release, or dev where nothing is to be compiled again.
#
# Fails with the list of the cases that did not pass; the reports are in target/autobahn/reports.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=target/autobahn/venv
kosoku=0.1.0
if [ ! -x $venv/bin/kosoku ]; then
  python3 -m venv $venv
  $venv/bin/pip install --quiet --disable-pip-version-check kosoku==$kosoku
fi

profile=${CARGO_PROFILE:-release}
cargo build --locked --profile "$profile" --example echo
[ "$profile" = dev ] && built=target/debug || built=target/$profile
exec 3< <(exec "$built/examples/echo" 127.0.0.1:0)
echo_pid=$!
trap 'kill $echo_pid' EXIT
read -r -t 10 -u 3 address || { echo "the echo server did not start" >&2; exit 1; }

cases=()
for case in "$@"; do cases+=(-i "$case"); done
[ $# -gt 0 ] || cases=(-x '9.*')
$venv/bin/kosoku -m fuzzingclient -p 4 "${cases[@]}" -o target/autobahn/reports "ws://$address"
