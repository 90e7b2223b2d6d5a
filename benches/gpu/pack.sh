#!/usr/bin/env bash
# Puts run.sh and all that it needs into a folder, to be copied to a machine with a GPU: programs, MNIST, the data of tests,
# the scripts that time peers, and Burn's program where it is built. At most 60 MB. That machine needs the same system
# libraries (glibc) or newer ones, and a driver.
#
#     benches/gpu/pack.sh FOLDER
set -euo pipefail
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")/../.."

programs=$(mktemp -d)
trap 'rm -rf "$programs"' EXIT
# Copies what cargo has built, under its name and an ending.
take() { # ending
    grep -o '"executable":"[^"]*"' | cut -d '"' -f 4 | sort -u | while read -r program; do
        name=$(basename "$program" | sed 's/-[0-9a-f]*$//')
        strip -o "$programs/$name$1" "$program"
    done
}
# With the tests comes the program itself.
cargo test --release --no-run --message-format json \
    --test kernels --test known_answers --test training_step --test scoring --test device_faults | take ""
cargo bench --no-run --message-format json --bench training --bench kernels --bench gpu_run | take _bench
rm -f "$programs/pkdgan_bench"
burn=benches/peers/burn/target/release/peer-burn
[ ! -e $burn ] || strip -o "$programs/peer-burn" $burn

tar czf "$out/programs.tar.gz" -C "$programs" .
mkdir -p "$out/data" "$out/tests" "$out/peers"
cp -r data/mnist "$out/data/"
cp -r tests/data tests/known_answers "$out/tests/"
cp benches/gpu/run.sh "$out/"
cp benches/peers/*.py benches/peers/requirements.txt "$out/peers/"
du -sm "$out"
[ "$(du -sm "$out" | cut -f 1)" -le 60 ]
