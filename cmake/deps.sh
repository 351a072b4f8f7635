#!/bin/sh
# deps.sh GROUP... - installs the Debian or Ubuntu packages a make target needs, where they are missing.
set -eu

packages_of() {
    case $1 in
    build) echo gcc g++ cmake ninja-build pkg-config libjansson-dev libxxhash-dev zlib1g-dev liburing-dev ;;
    demo) echo dataset-fashion-mnist ;;
    test) echo binutils libopenmpi-dev openmpi-bin slurmctld slurmd slurm-client munge ;;
    clang) echo clang libomp-dev libclang-rt-dev ;;
    python) echo python3 python3-venv ;;
    lint) echo clang-format clang-tidy shellcheck ;;
    *) echo "deps.sh: no group '$1'" >&2; exit 2 ;;
    esac
}

wanted=""
for group; do wanted="$wanted $(packages_of "$group")"; done

if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "This is not Debian or Ubuntu: please install what these packages hold, if you have not:$wanted" >&2
    exit 0
fi

missing=""
for p in $wanted; do
    [ "$(dpkg-query -W -f '${Status}' "$p" 2>/dev/null)" = "install ok installed" ] || missing="$missing $p"
done
[ -n "$missing" ] || exit 0

sudo=""
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || { echo "As root, please run: apt-get install$missing" >&2; exit 1; }
    sudo=sudo
fi
echo "installing:$missing" >&2
$sudo apt-get update -qq || true
# Releases cut clang's runtime differently: what this one does not package comes with another.
known=""
for p in $missing; do
    if apt-cache show "$p" >/dev/null 2>&1; then known="$known $p"; else echo "no package $p here" >&2; fi
done
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $known >/dev/null
