# --link: ids that are paths become links to the files.
mkdir img
for i in 0 1 2 3 4; do echo "image $i" >"img/0000$i.jpg"; done
make npy pool.npy rows=5 width=4
make ids pool.ids.txt rows=5 names=1
sluice select pool.npy --strategy random -k 3 --out picks.csv --link batch --quiet
for file in batch/*; do echo "$(basename "$file") $(cat "$file")"; done
cut -d, -f1,2 picks.csv
mkdir elsewhere
(cd elsewhere && sluice select ../pool.npy --strategy random -k 1 --link batch --quiet >/dev/null && cat batch/*)
sluice select pool.npy --strategy random -k 3 --out picks.csv --link batch --quiet && echo again
make npy numbers.npy rows=5 width=4
fails 2 select numbers.npy --strategy random -k 3 --link other
rm img/*
fails 66 select pool.npy --strategy random -k 3 --link other
