#!/bin/sh
# run.sh BUILD SOURCE CC CXX - installs into a fresh prefix and builds a C and a C++ program against it, by pkg-config and by CMake.
set -eu
build=$1 source=$2 cc=$3 cxx=$4
work=$(mktemp -d ./install-test-XXXXXX)
trap 'rm -rf "$work"' EXIT
work=$(cd "$work" && pwd)
cmake --install "$build" --prefix "$work/prefix" >/dev/null
pc=$(dirname "$(find "$work/prefix" -name sluice.pc)")
lib=$(dirname "$(find "$work/prefix" -name libsluice.so)")
flags=$(PKG_CONFIG_PATH=$pc pkg-config --cflags --libs sluice)

# shellcheck disable=SC2086
"$cc" -std=c17 -Wall -Wextra -Werror "$source/tests/install/consumer.c" $flags -o "$work/by-pkg-config-c"
# shellcheck disable=SC2086
"$cxx" -std=c++17 -Wall -Wextra -Werror "$source/tests/install/consumer.cpp" $flags -o "$work/by-pkg-config-cpp"
cmake -S "$source/tests/install" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" \
      -DCMAKE_C_COMPILER="$cc" -DCMAKE_CXX_COMPILER="$cxx" >/dev/null
cmake --build "$work/build" >/dev/null

passed=0
for program in "$work/by-pkg-config-c" "$work/by-pkg-config-cpp" "$work/build/consumer_c" "$work/build/consumer_cpp"; do
    got=$(LD_LIBRARY_PATH=$lib "$program")
    [ "$got" = "picked rows 2 0" ] || { echo "FAIL: $program printed '$got'"; exit 1; }
    passed=$((passed + 1))
done
"$work/prefix/bin/sluice" --version >/dev/null
# A header must stand alone, in C and in C++; nothing but sluice_ symbols may leave the shared library.
for header in sluice.h sluice_ops.h sluice_backend.h; do
    echo "#include <$header>" | "$cc" -std=c17 -Wall -Wextra -Werror -I"$work/prefix/include" -fsyntax-only -x c -
    echo "#include <$header>" | "$cxx" -std=c++17 -Wall -Wextra -Werror -I"$work/prefix/include" -fsyntax-only -x c++ -
    passed=$((passed + 1))
done
# A plug-in that was built is installed where the program looks for it.
shown=$(env -u SLUICE_PLUGIN_DIR "$work/prefix/bin/sluice" devices)
for plugin in cuda mpi; do
    [ -e "$build/$plugin/libsluice_$plugin.so" ] || continue
    case $shown in *"libsluice_$plugin.so: "*) echo "FAIL: the installed plug-in is not found: $shown"; exit 1 ;; esac
    passed=$((passed + 1))
done
foreign=$(nm -D --defined-only "$lib/libsluice.so" | awk '$2 ~ /[TDBR]/ && $3 !~ /^sluice_/ { print $3 }')
[ -z "$foreign" ] || { echo "FAIL: libsluice.so exports $foreign"; exit 1; }
echo "$passed passed, 0 failed"
