# .npy files that lie.
p() { fails "$1" select "$2" --strategy random -k 3 "${@:3}"; }
good="{'descr': '<f4', 'fortran_order': False, 'shape': (4, 3), }"
npy_with good.npy "$good" 48
sluice select good.npy --strategy random -k 1 --quiet | wc -l
p 66 missing.npy
npy_with short.npy "$good" 47; p 65 short.npy
npy_with long.npy "$good" 49; p 65 long.npy
printf 'NOTNUMPY%0200d' 0 >magic.npy; p 65 magic.npy
for cut in 0 5 6 9 10 40; do head -c $cut good.npy >cut.npy; p 65 cut.npy; done
{ printf '\x93NUMPY\x01\x00\xff\xff'; head -c 50 /dev/zero; } >header.npy; p 65 header.npy
{ printf '\x93NUMPY\x02\x00\xff\xff\xff\xff'; head -c 50 /dev/zero; } >header2.npy; p 65 header2.npy
{ printf '\x93NUMPY\x09\x00'; tail -c +9 good.npy; } >version.npy; p 65 version.npy
npy_with fortran.npy "{'descr': '<f4', 'fortran_order': True, 'shape': (4, 3), }" 48; p 65 fortran.npy
npy_with big-endian.npy "{'descr': '>f4', 'fortran_order': False, 'shape': (4, 3), }" 48; p 65 big-endian.npy
npy_with complex.npy "{'descr': '<c8', 'fortran_order': False, 'shape': (4, 3), }" 96; p 65 complex.npy
npy_with object.npy "{'descr': '|O', 'fortran_order': False, 'shape': (4, 3), }" 96; p 65 object.npy
npy_with int64.npy "{'descr': '<i8', 'fortran_order': False, 'shape': (4, 3), }" 96; p 65 int64.npy
for shape in '4294967296, 4294967296' '9223372036854775807, 2' '18446744073709551616, 1' '-4, 3' '4' '4, 3, 2' '4, 0' '' '1e3, 3'; do
    npy_with shape.npy "{'descr': '<f4', 'fortran_order': False, 'shape': ($shape), }" 48
    p 65 shape.npy
done
for text in '{}' '' "{'descr': '<f4'}" "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 3" "$good$good" "{'shape': (4, 3), 'shape': (4, 3), 'descr': '<f4', 'fortran_order': False, }"; do
    npy_with text.npy "$text" 48
    p 65 text.npy
done
npy_with wide.npy "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 5), }" 80
fails 65 select good.npy wide.npy --strategy random -k 3
npy_with half.npy "{'descr': '<f2', 'fortran_order': False, 'shape': (4, 3), }" 24
mkdir folder empty
cp good.npy wide.npy folder
p 65 folder
p 66 empty
p 66 'no*.npy'
printf 'good.npy\nmissing.npy\n' >list.txt; p 66 list.txt
: >none.txt; p 66 none.txt
for ending in pt parquet h5 npz; do echo x >x.$ending; p 65 x.$ending; done
echo x >x.unknown; p 65 x.unknown
mkfifo pipe.npy; p 66 pipe.npy
