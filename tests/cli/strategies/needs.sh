# Every strategy asked with all that one may have, and with less: it ends with 0 where what the table says it needs is
# there, else with 2 and a message.
make npy pool.npy rows=120 width=6
make npy weight.npy rows=3 width=6
make labels labels.csv rows=120 every=3
cut -d, -f1 labels.csv | tail -n +2 >ids.txt
sluice train pool.npy --labels labels.csv --out trained.safetensors --quiet
sluice convert weight.npy --to head --out imported.safetensors --quiet
sluice score pool.npy --head trained.safetensors --score logits --out logits.npy --quiet

# given GOODS OPTIONS...: with the options alone one has these of the things that the table names.
given() {
    local goods=" $1 " name needs shown want code ok=0 refused=0
    shift
    while IFS='|' read -r name needs; do
        want=0
        for shown in ${needs//,/ }; do case $goods in *" $shown "*) ;; *) want=2 ;; esac done
        sluice select pool.npy --strategy "$name" -k 3 "$@" --out picks.csv --force --quiet 2>message
        code=$?
        [ $code = $want ] || echo "WRONG: $name needs $needs; with '$*' it ends with $code: $(cat message)"
        if [ $code = 0 ]; then ok=$((ok + 1)); else refused=$((refused + 1)); fi
        [ $code = 0 ] || grep -q "^sluice: cannot select: " message || echo "WRONG: no message: $name with '$*'"
    done <table
    echo "${*:-nothing}: $ok pick, $refused are refused"
}

sluice strategies --json | sed -n 's/.*"name": "\([^"]*\)".*"needs": "\([^"]*\)".*/\1|\2/p' |
    sed 's/^power-SCORE|.*/power-margin|head/; s/|-$/|/' >table
given ""
given "--like" --like ids.txt
given "rows labels classes" --labels ids.txt
given "rows labels classes" --labels labels.csv
given "head classes" --head imported.safetensors
given "head rows classes held-out" --head trained.safetensors
given "head rows labels classes" --head imported.safetensors --labels labels.csv
given "head rows labels classes held-out --like" --head trained.safetensors --labels labels.csv --like ids.txt

# Outputs of another program stand in for the head where no features are read: refused are the rest of those that need one.
grep -vE '^(bald|variation-ratio|flips|outlier.*|dropquery|badge)\|' table >few && mv few table
given "head classes" --logits logits.npy
