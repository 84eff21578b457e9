#!/bin/sh
# Builds the page again and fails if the committed files are not what the sources give.
set -eu
cd "$(dirname "$0")"
built=../src/nanovl/serve/ui
kept=$(mktemp -d)
trap 'rm -rf "$kept"' EXIT
cp -R "$built/." "$kept/"
npm ci --no-audit --no-fund --silent
npm run --silent check
npm test --silent
npm run --silent build >/dev/null
if ! diff -r "$kept" "$built" >/dev/null; then
  diff -rq "$kept" "$built" || true
  echo "web/: src/nanovl/serve/ui is not what the sources give; commit the files built just now" >&2
  exit 1
fi
echo "web/: the built page is fresh"
