#!/usr/bin/env bash
# README's two commands from nothing, on a Debian that has Python and git and no compiler.
#   sudo tests/fresh_root.sh trixie [run|test|both]      (trixie has Python 3.13, forky 3.14)
# The commit that is checked out is tried; $RELCOMP_DATA is shown to it where it is set. Needs 12 GB under $TMPDIR.
set -euo pipefail
suite=${1:?name a Debian suite, such as trixie}
what=${2:-both}
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
[ "$(id -u)" = 0 ] || { echo "only root can make another root: use sudo" >&2; exit 2; }
command -v debootstrap >/dev/null || { echo "debootstrap is missing: apt-get install debootstrap" >&2; exit 2; }

root=$(mktemp -d)
cleanup() {
  for mounted in data dev proc; do umount --recursive --lazy "$root/$mounted" 2>/dev/null || true; done
  rm -rf --one-file-system "$root"
}
trap cleanup EXIT

mirror=$(sed -nE 's/^(URIs:|deb) +(\[[^]]*\] +)?(https?[^ ]+).*/\3/p' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -n 1)
[ -n "$mirror" ] || { echo "no mirror of Debian stands in this machine's apt sources: add one" >&2; exit 2; }
# A suite younger than this debootstrap is made like the newest that it knows.
script=/usr/share/debootstrap/scripts/$suite
[ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid
debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates,git "$suite" "$root" "$mirror" "$script" >"$root.log" 2>&1 ||
  { tail -n 5 "$root.log" >&2; exit 1; }
rm -f "$root.log"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --make-rslave "$root/dev"  # so that its end is not that of this machine's /dev
# The way to the package index and the certificates is this machine's.
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
cp -L --remove-destination /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
for file in /etc/pip.conf ~/.config/pip/pip.conf; do
  if [ -f "$file" ]; then install -D "$file" "$root/$file"; fi
done
mkdir "$root/data"
data=()
if [ -n "${RELCOMP_DATA:-}" ]; then
  mount --bind "$RELCOMP_DATA" "$root/data"
  data=(RELCOMP_DATA=/data)
fi
git clone --quiet "$project" "$root/root/relcomp_kit"

inside() {
  local start=$SECONDS
  # shellcheck disable=SC2046
  chroot "$root" env -i HOME=/root LANG=C.UTF-8 PATH=/usr/bin:/bin "${data[@]}" $(env | grep -E '^(PIP_[A-Z_]+|[A-Z_]*CERT[A-Z_]*)=' || true) \
    bash -euc "cd /root/relcomp_kit; $1"
  echo "== $suite: $2 took $((SECONDS - start)) s"
}
inside "python3 --version; ! command -v cc g++ clang++; python3 -m venv .venv" "Python"
if [ "$what" != test ]; then
  inside ". .venv/bin/activate && pip install --quiet -e . && relcomp check && relcomp run" "install and relcomp run"
fi
if [ "$what" != run ]; then
  inside '. .venv/bin/activate && pip install --quiet -e ".[test]" && du -sh .venv && python -m pytest -q' "install and pytest"
fi
