# A signal ends a long job soon, with 128 + its number, and leaves nothing behind.
make npy pool.npy rows=60 width=1024
make labels labels.csv rows=60
sluice train pool.npy --labels labels.csv --out head.safetensors --quiet
npy_with big.npy "{'descr': '<f4', 'fortran_order': False, 'shape': (2000000, 1024), }" 0
truncate -s $((128 + 2000000 * 4096)) big.npy
size=$(stat -c %s big.npy)
npy_with big.npy "$(printf "%-117s" "{'descr': '<f4', 'fortran_order': False, 'shape': (2000000, 1024), }")" 0
truncate -s "$size" big.npy
for signal in INT TERM USR1; do
    # Background jobs of a script ignore SIGINT, so the program is started by exec with it reset.
    (trap - INT; exec env --default-signal=INT "$SLUICE" select big.npy --head head.safetensors -k 10 --mem-mib 16 --out picks.csv) 2>err &
    sleep 0.4
    kill -$signal $!
    wait $!
    echo "$signal: exit $?"
    sed -E 's/after [0-9]+/after N/' err
done
"$SLUICE" train pool.npy --labels labels.csv --layers mlp:64,relu,linear --epochs 1000000 --patience 1000000 --out mlp.safetensors --loss-log loss.csv --quiet 2>err &
sleep 0.4
kill -TERM $!
wait $!
echo "train: exit $?"
ls
