#!/usr/bin/env bash
# Takes the pictures of the README anew, from `tailcast --demo`. It needs Chromium and its driver, Node.js, and fonts
# with Chinese characters (on Debian: chromium-driver, nodejs, fonts-noto-cjk, fonts-noto-color-emoji).
set -euo pipefail
cd "$(dirname "$0")/.."
binary=${1:-target/release/tailcast}
[ $# -gt 0 ] || cargo build --release --locked
node scripts/screenshots.mjs "$binary" docs/images
