# Numbers are whole, in range, and nothing else.
for text in x 12x 1e3 1.5 ' 7' +7 0x10 -1 99999999999999999999 -99999999999999999999 ''; do
    fails 2 select p.npy -k "$text"
done
fails 2 select p.npy -k 1 --mem-mib 12x
fails 2 select p.npy -k 1 --mem-mib 0
fails 2 select p.npy -k 1 --mem-mib=9999999999
fails 2 select p.npy -k 1 --threads 5000
fails 2 select p.npy -k 1 --per-group 0
for text in x nan inf -1 2 1e999 0,5 ''; do
    fails 2 select p.npy -k 1 --max-bad "$text"
done
fails 2 simulate p.npy --batch 0
fails 2 simulate p.npy --rounds -1
fails 2 train p.npy --epochs 1e3
