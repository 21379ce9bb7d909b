#!/usr/bin/env bash
# Checks the types in the comments of the page's modules. The compiler is fetched into target/ and is no part of the
# build or of the tests.
set -euo pipefail
cd "$(dirname "$0")/.."
npm install --silent --no-save --no-package-lock --prefix target/types typescript@7
target/types/node_modules/.bin/tsc --project .
