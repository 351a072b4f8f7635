#!/usr/bin/env bash
# docs/cli.md holds the help text of every command word for word: docs.sh [--accept] SLUICE
# A block begins with "$ sluice ... --help" and ends with the fence.
set -u
accept=0
[ "$1" = --accept ] && accept=1 && shift
sluice=$(realpath "$1")
page=$(cd "$(dirname "$0")/../.." && pwd)/docs/cli.md
new=$(mktemp) || exit 1
trap 'rm -f "$new"' EXIT
inside=0
while IFS= read -r line; do
    case $line in
    '$ sluice '*'--help')
        inside=1
        printf '%s\n' "$line"
        # shellcheck disable=SC2086
        "$sluice" ${line#'$ sluice '}
        ;;
    '```'*) inside=0; printf '%s\n' "$line" ;;
    *) [ $inside = 1 ] || printf '%s\n' "$line" ;;
    esac
done <"$page" >"$new"
if [ $accept = 1 ]; then cp "$new" "$page"; exit 0; fi
diff -u "$page" "$new" || { echo "docs/cli.md differs from the option tables: tests/cli/run.sh --accept rewrites it" >&2; exit 1; }
for command in $("$sluice" --help | sed -n 's/^  \([a-z]*\)  .*/\1/p'); do
    grep -q "^\$ sluice $command --help" "$page" || { echo "docs/cli.md has no help of '$command'" >&2; exit 1; }
done
