# lib.sh - what every case may use.
sluice() { "$SLUICE" "$@"; }
make() { "$TOOL_MAKE" "$@"; }

# fails CODE ARGUMENTS...: sluice must end with CODE, say why on standard error (shown), print nothing and leave the folder
# as it was.  With limit=N before it no file may grow beyond N KiB, which stands in for a full disk.
fails() {
    local want=$1 before after code
    shift
    before=$(tree)
    (ulimit -f "${limit:-unlimited}" && exec "$SLUICE" "$@") >.stdout 2>.stderr
    code=$?
    after=$(tree)
    echo "\$ sluice $*"
    cat .stderr
    [ "$code" = "$want" ] || echo "WRONG: exit code $code, not $want"
    [ -s .stdout ] && { echo "WRONG: standard output:"; head -n 5 .stdout; }
    grep -q . .stderr || echo "WRONG: no message"
    [ "$before" = "$after" ] || { echo "WRONG: the folder changed:"; diff <(echo "$before") <(echo "$after"); }
    rm -f .stdout .stderr
}

# Masks numbers that a better way of training would change.
numbers() { sed -E 's/-?[0-9]+(\.[0-9]+)?(e-?[0-9]+)?/N/g; s/ +/ /g'; }

# The first column of a table of simulate.
labels_column() { sed -n 's/^| *\([a-z0-9: ]*[a-z0-9]\) *|.*/\1/p'; }

# Names and contents of all files below here, but our own.
tree() { find . -type f ! -name .stdout ! -name .stderr -exec cksum {} + | sort -k 3; find . ! -type f | sort; }

# identical A B...: all files hold the same bytes as the first.
identical() {
    local first=$1 other
    shift
    for other in "$@"; do cmp "$first" "$other" || echo "WRONG: $first and $other differ"; done
}

# Bytes given as hexadecimal digits: hex 93 4e 55.
hex() { printf '%b' "$(printf '\\x%s' "$@")"; }

# An npy file with any header: npy_with FILE "{...}" BYTES-OF-DATA
npy_with() {
    local text=$2 size
    size=$((${#text} + 1))
    { printf '\x93NUMPY\x01\x00'; hex "$(printf %02x $((size % 256)))" "$(printf %02x $((size / 256)))"; printf '%s\n' "$text"; head -c "$3" /dev/zero; } >"$1"
}

# A safetensors file with any header: safetensors_with FILE "{...}" BYTES-OF-DATA
safetensors_with() {
    local text=$2 size
    size=${#text}
    { hex "$(printf %02x $((size % 256)))" "$(printf %02x $((size / 256)))" 00 00 00 00 00 00; printf '%s' "$text"; head -c "$3" /dev/zero; } >"$1"
}

# Tiers that run on this machine.
tiers() { "$SLUICE" devices | sed -n 's/.*tiers that run here: \(.*\) (SLUICE_CPU.*/\1/p'; }
