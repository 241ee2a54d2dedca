#!/usr/bin/env bash
# A release from its archive alone, in an empty folder: does it unpack, find its parts, and answer?
#
#   dist-test.sh LONGSHORE AGENT
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
host=
finish() {
  [ -z "$host" ] || kill "$host" 2>/dev/null || true
  [ -z "$host" ] || wait "$host" 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT
fail() {
  printf 'dist-test: %s\n' "$*" >&2
  [ ! -f "$work/host.log" ] || tail -n 40 "$work/host.log" >&2
  exit 1
}

"$here/scripts/dist.sh" "$1" "$2" "$work/one" >/dev/null
"$here/scripts/dist.sh" "$1" "$2" "$work/two" >/dev/null
cmp "$work/one/SHA256SUMS" "$work/two/SHA256SUMS" || fail "two archives of the same binaries differ"
(cd "$work/one" && sha256sum -c --quiet SHA256SUMS) || fail "the checksum is another one"

mkdir "$work/empty"
tar -C "$work/empty" -xzf "$work"/one/longshore-*.tar.gz
cd "$work"/empty/longshore-*
for file in longshore longshore-agent README.md LICENCES.md longshore.service man/longshore.1 completions/_longshore docs/cli.md; do
  [ -s "$file" ] || fail "the archive has no $file"
done
! grep -rIlE "$(printf '%s' "$here" | sed 's/[.[\*^$]/\\&/g')" --exclude=longshore --exclude=longshore-agent . || fail "a file names this checkout"
./longshore --version | grep -q '^longshore [0-9]' || fail "no version"
./longshore init "$work/home" >/dev/null
# It finds the agent beside itself; an image that is current is kept.
./longshore image build
export LONGSHORE_ROOT=$work/home KEEP_WARM_SECONDS=0
./longshore run --rehearsal >"$work/host.log" 2>&1 &
host=$!
for _ in $(seq 200); do
  [ ! -S "$work/home/data/host.sock" ] || break
  kill -0 "$host" 2>/dev/null || fail "the host ended"
  sleep 0.1
done
answer=$(./longshore chat main --once 'hello') || fail "no answer: $answer"
[ -n "$answer" ] || fail "an empty answer"
kill -TERM "$host"
wait "$host" || fail "the host did not end well"
host=
printf 'dist-test: the release starts from its archive and answers: %s\n' "$(printf '%s' "$answer" | head -n 1)"
