#!/usr/bin/env bash
# README's two commands from nothing, on a Debian that has Python and git and no compiler.
#   sudo tests/fresh_root.sh SUITE [run|test|both] [DIR]      (trixie has Python 3.13, forky 3.14)
# The commit that is checked out is tried, with the data of $RELCOMP_DATA (or ../shared/data) if there are any. The root
# needs 12 GB; it is made under $TMPDIR and removed at the end, or made in DIR and kept.
set -euo pipefail
suite=${1:?name a Debian suite, such as trixie}
what=${2:-both}
keep=${3:-}
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
fail() { printf '%s\n' "$*" >&2; exit 2; }
case $what in run | test | both) ;; *) fail "name run, test or both, not $what" ;; esac
[ "$(id -u)" = 0 ] || fail "only root can make another root: use sudo"

# All mounts are made in a namespace of their own: nobody else sees them, and they end with this script however it ends.
if [ -z "${FRESH_ROOT_NAMESPACE:-}" ]; then
  FRESH_ROOT_NAMESPACE=1 exec unshare --mount --propagation slave bash "${BASH_SOURCE[0]}" "$@"
fi
command -v debootstrap >/dev/null || apt-get -qq install -y debootstrap >/dev/null || fail "debootstrap cannot be installed"

if [ -n "$keep" ]; then
  [ ! -e "$keep" ] || fail "$keep exists: remove it, or name another folder"
  mkdir -p "$keep"
  root=$(cd "$keep" && pwd)
else
  root=$(mktemp -d)
fi
cleanup() {
  for mounted in data dev proc; do umount --recursive --lazy "$root/$mounted" 2>/dev/null || true; done
  if [ -n "$keep" ]; then
    rm -rf "$root/root/.cache/pip"
  elif grep -qF " $root/" /proc/self/mounts; then  # what is mounted there must not be removed with it
    echo "$root is left: something is still mounted in it" >&2
  else
    rm -rf --one-file-system "$root"
  fi
}
trap cleanup EXIT

mirror=$(sed -nE 's/^(URIs:|deb) +(\[[^]]*\] +)?(https?[^ ]+\/debian\/?)( .*)?$/\3/p' \
  /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null | head -n 1 || true)
[ -n "$mirror" ] || fail "no mirror of Debian stands in this machine's apt sources: add one"
# A suite younger than this debootstrap is made like the newest that it knows.
script=/usr/share/debootstrap/scripts/$suite
[ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid
log=$(mktemp)
debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates,git "$suite" "$root" "$mirror" "$script" >"$log" 2>&1 ||
  { tail -n 5 "$log" >&2; exit 1; }
rm -f "$log"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
# The way to the package index, and the certificates, are this machine's.
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
cp -L --remove-destination /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
for place in /etc/pip.conf /etc/xdg/pip ~/.config/pip ~/.pip; do
  if [ -e "$place" ]; then
    mkdir -p "$root/$(dirname "$place")"
    cp -rL "$place" "$root/$(dirname "$place")/"
  fi
done
mapfile -t settings < <(env | grep -E '^(PIP_[A-Z_]+|[A-Z_]*CERT[A-Z_]*|[A-Z]+_PROXY|[a-z]+_proxy|OMP_NUM_THREADS)=' || true)
if [ -z "${RELCOMP_DATA:-}" ] && [ -d "$project/../shared/data" ]; then RELCOMP_DATA=$project/../shared/data; fi
mkdir "$root/data"
if [ -n "${RELCOMP_DATA:-}" ]; then
  mount --bind "$RELCOMP_DATA" "$root/data"
  mount -o remount,bind,ro "$root/data"
  settings+=(RELCOMP_DATA=/data)
fi
git clone --quiet "$project" "$root/root/relcomp_kit"

worst=0
inside() {
  local start=$SECONDS status=0
  printf '== %s: %s\n' "$suite" "$1"
  chroot "$root" env -i HOME=/root LANG=C.UTF-8 PATH=/usr/bin:/bin "${settings[@]}" \
    bash -euc "cd /root/relcomp_kit; $1" || status=$?
  printf '== %s: exit code %s after %s s\n' "$suite" "$status" "$((SECONDS - start))"
  if [ "$status" != 0 ]; then worst=1; fi
}
inside "python3 --version; ! command -v cc g++ clang++"
# The commands are read where people read them.
mapfile -t commands < <(grep '^python3 -m venv' "$project/README.md")
[ "${#commands[@]}" = 2 ] || fail "README should have two lines that make an environment"
if [ "$what" != test ]; then inside "${commands[0]}"; fi
if [ "$what" != run ]; then inside "${commands[1]}"; fi
inside "du -sh .venv"
exit "$worst"
