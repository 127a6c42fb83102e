#!/usr/bin/env bash
# install.sh SECTION... - installs the Debian packages of these sections of packages.txt that are
# missing; without root (or sudo that asks nothing) or apt it says which they are and exits 2.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

missing=()
while read -r section package probe; do
    case " $* " in *" $section "*) ;; *) continue ;; esac
    probe=${probe//x86_64-linux-gnu/$(uname -m)-linux-gnu}
    if [[ $probe == /* ]]; then
        [ -e "$probe" ] || missing+=("$package")
    else
        command -v "$probe" >/dev/null || missing+=("$package")
    fi
done < <(grep -v '^#' "$here/packages.txt")
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
    as_root=(sudo -n)
    command -v sudo >/dev/null && sudo -n true 2>/dev/null || as_root=()
fi
if ! command -v apt-get >/dev/null || { [ "$(id -u)" != 0 ] && [ ${#as_root[@]} -eq 0 ]; }; then
    echo "bnexp needs these Debian 12 packages: ${missing[*]}" >&2
    echo "install them as root: apt-get install ${missing[*]}" >&2
    exit 2
fi
echo "installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
