#!/usr/bin/env bash
# Tests and measures a GPU in eight minutes, without network and without root; see run.rs. In a folder that pack.sh made:
#
#     ./run.sh [--adapter NAME] [--out FOLDER] [--seconds N] [--peak TFLOPS] [--small]
#
# It leaves results.json and results.md in gpu-results, or in the folder of --out.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
programs=$(mktemp -d)
trap 'rm -rf "$programs"' EXIT
tar xzf "$here/programs.tar.gz" -C "$programs"
"$programs/gpu_run_bench" --root "$here" "$@"
