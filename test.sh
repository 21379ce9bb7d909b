#!/usr/bin/env bash
# Installs what the tests need where it is missing, then checks formatting, lints, documentation and behaviour.
set -euo pipefail
cd "$(dirname "$0")"

# The stock clients that people have, and a browser with its driver for the page.
packages=(python3 python3-venv python3-websockets python3-websocket nodejs node-ws chromium chromium-driver logrotate zstd bindfs fuse)
packages+=(fonts-noto-cjk fonts-noto-color-emoji) # what the page shows in Chinese has the same shape everywhere
missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  as_root=()
  [ "$(id -u)" -eq 0 ] || as_root=(sudo)
  echo "installing ${missing[*]}"
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi
command -v cargo >/dev/null || { echo "cargo is missing: install Rust first" >&2; exit 1; }

cargo fmt --check
cargo clippy --all-targets --locked -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --locked --document-private-items
/usr/bin/node --test tests/page/*.test.mjs
cargo test --locked
CARGO_PROFILE=dev scripts/autobahn.sh '1.*' '2.*' '3.*' '4.*' '5.*' '6.*' '7.*' '10.*'
