#!/usr/bin/env bash
# Makes sure that the image debian:bookworm-slim is there. Does nothing when it is.
#
# It is pulled where an image registry can be reached. Elsewhere an equivalent is made from Debian's
# package archive with mmdebstrap, which needs Debian (or its like) and root.
set -euo pipefail

image=debian:bookworm-slim
log() { printf 'base image: %s\n' "$*" >&2; }
stop() { log "$*"; exit 1; }

if docker image inspect "$image" >/dev/null 2>&1; then exit 0; fi
docker version >/dev/null 2>&1 || stop "no Docker Engine answers; run scripts/engine.sh first"

log "pulling $image"
if why=$(timeout 180 docker pull -q "$image" 2>&1 </dev/null); then exit 0; fi
log "cannot pull: $(tail -n 1 <<<"$why" | cut -c 1-200)"

if [ "$(id -u)" != 0 ] && sudo -n true 2>/dev/null; then exec sudo -n "$0"; fi
[ "$(id -u)" = 0 ] || stop "without a registry $image is made from Debian's packages, which needs root: run 'sudo scripts/base-image.sh'"
if ! command -v mmdebstrap >/dev/null; then
  command -v apt-get >/dev/null || stop "without a registry $image is made with mmdebstrap, which this system has no package of; load the image with 'docker load'"
  log "installing mmdebstrap"
  apt-get update -qq >/dev/null || log "apt-get update failed; going on with the lists that are there"
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mmdebstrap debian-archive-keyring >/dev/null ||
    stop "apt-get could not install mmdebstrap"
fi

# In memory where there is room: dpkg syncs every file, which costs nothing there.
room=$(df -Pm /dev/shm 2>/dev/null | awk 'NR == 2 { print $4 }')
if [ "${room:-0}" -ge 1024 ]; then tmp=$(mktemp -d /dev/shm/base-image.XXXXXX); else tmp=$(mktemp -d); fi
trap 'rm -rf "$tmp"' EXIT
chmod 755 "$tmp"

# This machine's own sources when it runs the same release; mmdebstrap knows Debian's otherwise.
sources=()
if grep -qs '^VERSION_CODENAME=bookworm$' /etc/os-release && grep -qs '^ID=debian$' /etc/os-release; then
  for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
    if [ -s "$file" ]; then sources=("$file"); break; fi
  done
fi

# What the official image does too (no documentation, no caches, no service starts), and this
# machine's way out: its apt settings, and the certificate authorities of a proxy in between, which
# Debian's ca-certificates takes up from that folder when a Dockerfile installs it.
cat >"$tmp/hook" <<'H'
#!/bin/sh
set -e
root=$1
rm -rf "$root"/usr/share/doc/* "$root"/usr/share/man/* "$root"/usr/share/locale/* "$root"/usr/share/info/* "$root"/usr/share/lintian/*
rm -f "$root"/etc/resolv.conf "$root"/etc/hostname "$root"/var/cache/apt/*.bin
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/archives/*.deb
apt=$root/etc/apt/apt.conf.d
printf 'Apt::AutoRemove::SuggestsImportant "false";\n' >"$apt/docker-autoremove-suggests"
printf 'DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb || true"; };\nDir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";\n' >"$apt/docker-clean"
printf 'Acquire::Languages "none";\n' >"$apt/docker-no-languages"
printf 'path-exclude /usr/share/%s/*\n' doc man locale info >"$root/etc/dpkg/dpkg.cfg.d/docker"
printf 'path-include /usr/share/doc/*/copyright\n' >>"$root/etc/dpkg/dpkg.cfg.d/docker"
printf 'force-unsafe-io\n' >"$root/etc/dpkg/dpkg.cfg.d/docker-apt-speedup"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
for file in $(grep -ls Acquire:: /etc/apt/apt.conf.d/* || true); do cp -n "$file" "$apt/"; done
for file in /usr/local/share/ca-certificates/*.crt; do
  if [ -f "$file" ]; then
    mkdir -p "$root/usr/local/share/ca-certificates"
    cp "$file" "$root/usr/local/share/ca-certificates/"
  fi
done
H
chmod 755 "$tmp/hook"

log "making $image from Debian's packages"
TMPDIR=$tmp mmdebstrap --quiet --mode=root --variant=apt --aptopt='Acquire::Languages "none"' \
  --customize-hook="$tmp/hook \"\$1\"" bookworm "$tmp/root.tar" ${sources[@]+"${sources[@]}"} >&2 </dev/null ||
  stop "mmdebstrap failed; its messages are above"
docker import -c 'CMD ["bash"]' -c 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
  "$tmp/root.tar" "$image" >/dev/null
log "made $image ($(($(docker image inspect -f '{{.Size}}' "$image") / 1000000)) MB)"
