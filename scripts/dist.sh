#!/usr/bin/env bash
# Packs a release for this machine: the same bytes for the same binaries.
#
#   dist.sh LONGSHORE AGENT [FOLDER]     FOLDER: where the archive goes, `dist` if absent
#
# WHATSAPP names the adapter's program, which goes in if it is there.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
longshore=$(realpath "$1") agent=$(realpath "$2")
out=${3:-$here/dist}
whatsapp=${WHATSAPP:-}

version=$("$longshore" --version | cut -d ' ' -f 2)
triple=$(rustc -vV | sed -n 's/^host: //p')
name=longshore-$version-$triple
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
top=$work/$name
mkdir -p "$top"/completions "$top"/man "$top"/docs "$out"

install -m 755 "$longshore" "$top/longshore"
install -m 755 "$agent" "$top/longshore-agent"
manifests=("$here/Cargo.toml:longshore-host,longshore-agent")
if [ -n "$whatsapp" ] && [ -x "$whatsapp" ]; then
  install -m 755 "$whatsapp" "$top/longshore-whatsapp"
  manifests+=("$here/channels/whatsapp/Cargo.toml:longshore-whatsapp")
fi
"$longshore" completions bash >"$top/completions/longshore.bash"
"$longshore" completions zsh >"$top/completions/_longshore"
"$longshore" completions fish >"$top/completions/longshore.fish"
"$longshore" man >"$top/man/longshore.1"
"$longshore" --root /var/lib/longshore service install --print --systemd --program /usr/local/bin/longshore >"$top/longshore.service"
install -m 644 "$here"/README.md "$here"/CHANGELOG.md "$here"/.env.example "$top/"
install -m 644 "$here"/docs/*.md "$top/docs/"
cp -r "$here/docs/schema" "$here/docs/decisions" "$top/docs/"
python3 "$here/scripts/licences.py" "$triple" "${manifests[@]}" >"$top/LICENCES.md"
find "$top" -type d -exec chmod 755 {} + -o -type f ! -perm -u+x -exec chmod 644 {} +

archive=$name.tar.gz
tar -C "$work" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --format=gnu -cf - "$name" | gzip -9n >"$out/$archive"
(cd "$out" && sha256sum "$archive" >SHA256SUMS)
printf '%s\n' "$out/$archive"
