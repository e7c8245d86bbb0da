#!/usr/bin/env bash
# All that only a GPU can answer, within ten minutes: what holds there, then what RESULTS.md lacks.
#
#     bash benchmarks/on_gpu.sh FOLDER     # what each part printed lies in the folder
#
# Each part has a time limit of its own, and all together have LIMIT seconds (570): the most wanted come first, and one
# that fails stops no other. The last trains and scores the default benchmark, into the folder. Needs pytest-xdist and
# what pyproject.toml names, but for ray.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

folder=${1:?"where to: bash benchmarks/on_gpu.sh FOLDER"}
device=${I2IBENCH_DEVICE:-cuda}
all=${LIMIT:-570} size=${SIZE:-256} small=${SMALL:-64} width=${WIDTH:-64}
mkdir -p "$folder"
folder=$(realpath "$folder")
export PYTHONUNBUFFERED=1 I2IBENCH_DEVICE=$device

part() { # NAME SECONDS COMMAND...
    local name=$1 limit=$2 began=$SECONDS status=0
    shift 2
    [ $((SECONDS + limit)) -le "$all" ] || limit=$((all - SECONDS))
    [ "$limit" -ge 10 ] || { echo "$name: no time is left for it"; return; }
    timeout "$limit" "$@" >"$folder/$name.txt" 2>&1 || status=$?
    printf '%-24s exit %3d after %3d s: ' "$name" "$status" $((SECONDS - began))
    { grep -E 'passed|failed|ratio|ms a step|rror' "$folder/$name.txt" || cat "$folder/$name.txt"; } | tail -n 1 | cut -c -160
}

part machine 60 python -c "
import torch
print(torch.__version__, torch.cuda.get_device_name() if torch.cuda.is_available() else 'no GPU')"

part conformance 150 python -m pytest -q -n 8 -m 'not slow' tests/methods/test_conformance.py
part batches 60 python -m pytest -q tests/data/test_batches.py tests/test_memory.py tests/test_waiting.py

for method in cyclegan munit pix2pix vae; do
    step=(python -m benchmarks.training_step --method "$method" --width "$width" --precision bf16)
    part "$method-b1" 40 "${step[@]}" --reference tf32 --size "$size" --batch 1
    part "$method-b1-last" 40 "${step[@]}" --reference tf32 --size "$size" --batch 1 --channels-last
    part "$method-b16" 40 "${step[@]}" --reference tf32 --size "$small" --batch 16 --channels-last
    part "$method-compiled" 90 "${step[@]}" --reference eager --size "$size" --batch 1 --channels-last --compile
done

for batch in 1 16; do
    part "roofline-b$batch" 90 python -m benchmarks.device_step --method cyclegan munit unit pix2pix vae --size "$size" \
        --batch "$batch" --width "$width" --precision bf16 --channels-last
done

{ cat benchmark.yaml && echo "store: $folder/runs" && echo "reports: $folder/report"; } >"$folder/on_gpu.yaml"
part default-benchmark 300 python -m i2ibench run "$folder/on_gpu.yaml" --executor local
