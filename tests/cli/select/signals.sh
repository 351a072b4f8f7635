# A signal ends a long job soon: with a checkpoint and 75 (or --resumable-exit) where the same command goes on, else with
# 128 + its number and nothing left behind.
make npy pool.npy rows=60 width=1024
make labels labels.csv rows=60
sluice train pool.npy --labels labels.csv --out head.safetensors --quiet
npy_with big.npy "{'descr': '<f4', 'fortran_order': False, 'shape': (2000000, 1024), }" 0
truncate -s $((128 + 2000000 * 4096)) big.npy
size=$(stat -c %s big.npy)
npy_with big.npy "$(printf "%-117s" "{'descr': '<f4', 'fortran_order': False, 'shape': (2000000, 1024), }")" 0
truncate -s "$size" big.npy
masked() { sed -E 's/after [0-9]+ of [0-9]+/after N of N/; s/knows [0-9]+/knows N/; s/(cannot simulate: ).* stopped .*/\1stopped/' err; }
# stopped SIGNAL ARGUMENTS...: starts the program, sends the signal.
stopped() {
    local signal=$1
    shift
    # Background jobs of a script ignore SIGINT, so the program is started by exec with it reset.
    (trap - INT; exec env --default-signal=INT "$SLUICE" "$@" --mem-mib 16) 2>err >out &
    sleep 0.4
    kill -"$signal" $!
    wait $!
    echo "$signal: exit $?"
    masked
    ! [ -s out ] || echo "WRONG: something on standard output"
}
for signal in INT TERM USR1; do
    stopped $signal select big.npy --head head.safetensors -k 10 --strategy margin --out picks.csv
    ls picks.csv.ckpt
    rm -r picks.csv.ckpt
done
stopped TERM select big.npy --head head.safetensors -k 10 --strategy margin --checkpoint here --resumable-exit 99
stopped USR1 select big.npy --head head.safetensors -k 10 --strategy margin --checkpoint here
ls here
stopped TERM select big.npy --head head.safetensors -k 10 --strategy margin
stopped USR1 select big.npy --head head.safetensors -k 10 --strategy margin --shard 1/3 --out part
stopped TERM score big.npy --head head.safetensors --score margin --out scores.npy
ls -- *.ckpt
stopped TERM simulate pool.npy --labels labels.csv --test pool.npy --test-labels labels.csv --strategy random --start 10 --batch 1 --rounds 50 \
    --seeds 1000 --out sim --resumable-exit 98
stopped TERM train pool.npy --labels labels.csv --layers mlp:64,relu,linear --epochs 1000000 --patience 1000000 --out mlp.safetensors --loss-log loss.csv --quiet
# Two signals that come together: the second ends it at once.
"$SLUICE" select big.npy --head head.safetensors -k 10 --strategy margin --out picks.csv --mem-mib 16 2>err >out &
sleep 0.4
kill -STOP $! && kill -TERM $! && kill -USR1 $! && kill -CONT $!
wait $!
case $? in 138 | 143) echo "two signals: 128 + one of them" ;; *) echo "WRONG: exit $?" ;; esac
rm -rf -- *.ckpt here sim out err
ls
