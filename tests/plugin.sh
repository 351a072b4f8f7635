#!/bin/sh
# plugin.sh PLUGIN LIBSLUICE SLUICE TOOL_PLUGIN - the CUDA plug-in from outside: exports its entry alone, needs nothing but
# the C and C++ runtimes, refuses another ABI, and without a GPU says why, as `sluice devices` does.  libsluice knows no CUDA
# symbol.
set -eu
plugin=$1 library=$2 sluice=$3 tool=$4
passed=0

pass() { passed=$((passed + 1)); }
fail() { echo "FAIL: $*"; exit 1; }

exported=$(nm -D --defined-only "$plugin" | awk '{ print $3 }')
[ "$exported" = sluice_backend_open ] || fail "the plug-in exports: $exported"
pass

needed=$(readelf -d "$plugin" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
         grep -Ev '^(ld-linux.*|lib(c|m|dl|rt|pthread|gcc_s|stdc\+\+)\.so\.[0-9]+)$' || true)
[ -z "$needed" ] || fail "the plug-in needs: $needed"
pass

missing=$(ldd -r "$plugin" 2>&1 | grep -E 'undefined symbol|not found' || true)
[ -z "$missing" ] || fail "the plug-in lacks: $missing"
pass

cuda=$(nm -D "$library" | awk '{ print $NF }' | grep -E '^(cu[A-Z]|cuda|cublas|cudnn|nccl|__cuda|__nv)' || true)
[ -z "$cuda" ] || fail "libsluice names: $cuda"
pass

said=$("$tool" "$plugin") || fail "$said"
pass

shown=$(SLUICE_PLUGIN_DIR=$(dirname "$plugin") "$sluice" devices)
case $said in
"no device: "*) why="not used: ${said#no device: }" ;;
*) why=cuda:0 ;;
esac
case $shown in
*"$why"*) pass ;;
*) fail "sluice devices does not say '$why': $shown" ;;
esac

echo "$said"
echo "$passed passed, 0 failed"
