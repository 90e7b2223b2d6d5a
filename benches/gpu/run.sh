#!/usr/bin/env bash
# Tests and measures a GPU in eight minutes, without network and without root; see run.rs. In a folder that pack.sh made:
#
#     ./run.sh [--adapter NAME] [--out FOLDER] [--seconds N] [--peak TFLOPS] [--small]
#
# It leaves results.json and results.md in gpu-results, or in the folder of --out.
#
# Peers are timed beside pkdgan where they are installed: PyTorch with CUDA, onnxruntime with its CUDA provider, Burn's program
# if it was packed; see peers/gpu.py. $PKDGAN_PYTHON, else python3, runs them. Then pkdgan's own part takes at most five eighths
# of the time, and peers have what is left.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
programs=$(mktemp -d)
trap 'rm -rf "$programs"' EXIT
tar xzf "$here/programs.tar.gz" -C "$programs"

seconds=480
out=gpu-results
others=()
while [ $# -gt 0 ]; do
    case $1 in
        --seconds=* | --out=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
        --seconds) seconds=${2:?--seconds needs a number}; shift 2 ;;
        --out) out=${2:?--out needs a folder}; shift 2 ;;
        *) others+=("$1"); shift ;;
    esac
done

peers=("${PKDGAN_PYTHON:-python3}" "$here/peers/gpu.py" --programs "$programs" --out "$out" "${others[@]}")
found=
if command -v "${peers[0]}" >/dev/null; then
    found=$("${peers[@]}" --find) || true
else
    echo "peers are left out: there is no ${peers[0]}; PKDGAN_PYTHON names another" >&2
fi
ours=$seconds
[ -z "$found" ] || ours=$((seconds * 5 / 8))

touch "$programs/begun"
status=0
"$programs/gpu_run_bench" --root "$here" --out "$out" --seconds "$ours" "${others[@]}" || status=$?
# Not where it stopped before it wrote anything.
if [ -n "$found" ] && [ -e "$out/results.md" ] && ! [ "$programs/begun" -nt "$out/results.md" ]; then
    "${peers[@]}" --peers "$found" --seconds $((seconds - SECONDS - 5)) || echo "peers failed: results are without them" >&2
fi
exit "$status"
