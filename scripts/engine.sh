#!/usr/bin/env bash
# Makes sure that a Docker Engine answers. Does nothing when one does.
#
# On Debian and its like, with root or a sudo that asks nothing, it installs Debian's docker.io and
# starts it: by systemd where that runs, by hand elsewhere (a container, a minimal machine).
# Anywhere else it stops with one sentence that says what to do.
set -euo pipefail

log() { printf 'engine: %s\n' "$*" >&2; }
stop() { log "$*"; exit 1; }
answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

if answers; then exit 0; fi

[ "$(uname -s)" = Linux ] || stop "no Docker Engine answers; install Docker Desktop (or colima), start it, and run this again"
[ -z "${DOCKER_HOST:-}" ] || stop "no Docker Engine answers at DOCKER_HOST=$DOCKER_HOST; start it there, or unset DOCKER_HOST to use this machine's"

if [ "$(id -u)" = 0 ]; then
  as_root() { "$@"; }
elif sudo -n true 2>/dev/null; then
  as_root() { sudo -n "$@"; }
else
  as_root() { return 1; }
fi

if command -v docker >/dev/null && [ "$(id -u)" != 0 ] && as_root docker version >/dev/null 2>&1; then
  stop "the Docker Engine answers root only; run 'sudo usermod -aG docker $(id -un)', log in again, and run this again"
fi
as_root true || stop "no Docker Engine answers and this user is not root; install and start Docker Engine (Debian: 'sudo apt-get install docker.io'), and run this again"

export DEBIAN_FRONTEND=noninteractive
install=()
command -v docker >/dev/null && [ -x "$(PATH=$PATH:/usr/sbin:/sbin command -v dockerd)" ] || install+=(docker.io ca-certificates)
# Recommended only, but the engine does not start without it.
PATH=$PATH:/usr/sbin:/sbin command -v iptables >/dev/null || install+=(iptables)
# A machine whose init mounts no cgroups (a container) needs them mounted by hand.
mountpoint -q /sys/fs/cgroup || install+=(cgroupfs-mount)
if [ "${#install[@]}" -gt 0 ]; then
  command -v apt-get >/dev/null || stop "no Docker Engine is installed and this is not Debian; install it with this system's package tool, start it, and run this again"
  log "installing ${install[*]}"
  as_root apt-get update -qq >/dev/null || log "apt-get update failed; going on with the lists that are there"
  # Newer Debian releases have the client in a package of its own.
  case " ${install[*]} " in *" docker.io "*) ! apt-cache show docker-cli >/dev/null 2>&1 || install+=(docker-cli) ;; esac
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${install[@]}" >/dev/null ||
    stop "apt-get could not install ${install[*]}; install Docker Engine yourself and run this again"
fi

if [ -d /run/systemd/system ]; then
  log "starting docker.service"
  as_root systemctl start docker || stop "systemd could not start Docker Engine; 'journalctl -u docker' says why"
  for _ in $(seq 100); do if answers; then exit 0; fi; sleep 0.1; done
  stop "docker.service runs and does not answer this user; run 'sudo usermod -aG docker $(id -un)', log in again, and run this again"
fi

mountpoint -q /sys/fs/cgroup || as_root cgroupfs-mount
file=${DOCKERD_LOG:-/var/log/longshore-dockerd.log}
# A daemon that was killed leaves its number behind. When another process has that number now, the
# next daemon takes it for a living one and does not start.
forget() {
  local pid
  pid=$(as_root cat "$2" 2>/dev/null) || return 0
  [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$1" ] || as_root rm -f "$2"
}
# A start soon after a killed daemon fails once ("timeout waiting for containerd to start").
for try in 1 2 3; do
  forget dockerd /var/run/docker.pid
  forget containerd /var/run/docker/containerd/containerd.pid
  log "starting dockerd by hand (try $try), its log is $file"
  # Its own session and no inherited stream: it outlives this script, its terminal and its pipes.
  as_root sh -c 'PATH=$PATH:/usr/sbin:/sbin; export PATH
    setsid nohup dockerd --live-restore --log-opt max-size=10m --log-opt max-file=3 >>"$1" 2>&1 </dev/null &
    echo $! >"$1.pid"' sh "$file"
  pid=$(as_root cat "$file.pid")
  for _ in $(seq 300); do
    if answers; then exit 0; fi
    as_root kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  if as_root kill -0 "$pid" 2>/dev/null && as_root docker version >/dev/null 2>&1; then
    stop "the Docker Engine answers root only; run 'sudo usermod -aG docker $(id -un)', log in again, and run this again"
  fi
  sleep 2
done
stop "dockerd does not start; the end of $file says why: $(as_root tail -n 3 "$file" 2>/dev/null | tr '\n' ' ')"
