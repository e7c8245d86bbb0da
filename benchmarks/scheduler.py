"""What the scheduler itself costs: `python benchmarks/scheduler.py [start] [empty] [makespan] [cached]`.

start     seconds from the command to the first training step, on a Ray of its own
empty     seconds per trial that has nothing to do, over 200 of them
makespan  64 uneven trials that sleep, on Ray, against max(total / slots, longest)
cached    seconds to answer from a store of 10,000 finished trials, and the driver's peak memory there
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from i2ibench import benchmark

METHOD = '''
import time

from i2ibench.method import Method


class Nap(Method):
    """Sleeps where others translate."""

    pairing = "unpaired"

    class Params(Method.Params):
        seconds: float = 0.0
        number: int = 0

    def translate(self, a, *, rng):
        if self.params.seconds and not hasattr(self, "slept"):
            self.slept = True
            time.sleep(self.params.seconds)
        return a
'''
TEXT = """
name: scheduler
seeds: 1
store: {folder}/runs
reports: {folder}/reports
data: {{shapes: {{size: 32, train_images: 8, test_images: 4}}}}
methods: {{{methods}}}
training: {{steps: 200, batch_size: 4, log_every: 10}}
resources: {{cpus: 1, gpus: 0}}
evaluation: {{metrics: [psnr], resources: {{gpus: 0}}}}
"""


def write(folder: Path, methods: str) -> Path:
    (folder / "nap.py").write_text(METHOD, encoding="utf-8")
    file = folder / "benchmark.yaml"
    file.write_text(TEXT.format(folder=folder, methods=methods), encoding="utf-8")
    return file


def naps(folder: Path, seconds: list[float]) -> Path:
    each = (f"n{i}: {{method: {folder}/nap.py, seconds: {s:.3f}, number: {i}}}" for i, s in enumerate(seconds))
    return write(folder, ", ".join(each))


def start(folder: Path) -> None:
    file = write(folder, "pix2pix: {preset: tiny, width: 8}")
    benchmark.load(file)
    began = time.time()
    command = [sys.executable, "-m", "i2ibench", "run", str(file)]
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    first = None
    while driver.poll() is None and first is None:
        for progress in (folder / "runs").glob("*/progress.json"):
            with suppress(ValueError, OSError, KeyError):
                said = json.loads(progress.read_text())
                first = said["updated"] - began if said["state"] == "training" else None
        time.sleep(0.02)
    print(f"start: {first or float('nan'):.1f} s from the command to the first word of the training")
    driver.wait()


def drive(file: Path, slots: int) -> float:
    """Run without report and terminal. Returns the seconds from the first trial's start to the last one's end."""
    from i2ibench import jobs
    from i2ibench.chaos import Nodes
    from i2ibench.data import cache
    from i2ibench.executors.ray import RayExecutor
    from i2ibench.stopping import Stop

    plan, store = benchmark.load(file)
    for entry in plan.data.values():
        cache.load(entry.source, store.data_cache)
    work = jobs.make(plan, store, plan.trials)
    # The schedule knows the lengths, as it does from earlier results.
    work = [replace(job, seconds=float(job.spec["params"].get("seconds", 1.0))) for job in work]
    ended = 0.0
    with Nodes(1, cpus=slots) as nodes:
        for _, outcome in RayExecutor(nodes.address).run(work, Stop()):
            ended = time.time()
            assert outcome.state == "done", outcome
    begun = min((store.trial(spec.id).path / "spec.json").stat().st_mtime for spec in plan.trials)
    return ended - begun


def empty(folder: Path) -> None:
    count = 200
    took = drive(naps(folder, [0.0] * count), 2)
    print(f"empty: {1000 * took / count:.0f} ms for each of {count} trials (train, translate, score) on 2 slots")


def makespan(folder: Path) -> None:
    slots, rng = 4, random.Random(0)
    lengths = [min(40.0, 2 * rng.lognormvariate(1.0, 0.8)) for _ in range(64)]
    took = drive(naps(folder, lengths), slots)
    bound = max(sum(lengths) / slots, max(lengths))
    print(f"makespan: {took:.1f} s for 64 trials on {slots} slots; lower bound {bound:.1f} s, ratio {took / bound:.3f}")


def cached(folder: Path) -> None:
    count = 10_000
    file = write(folder, "copy: ")
    file.write_text(
        file.read_text().replace("copy: ", "vae: {preset: tiny, width: 8}").replace("seeds: 1", f"seeds: {count}")
    )
    plan, store = benchmark.load(file)
    key = plan.protocol.key()
    result = {"cost": {"train_seconds": 1.0, "steps": 200, "parameters": 1}, "flags": [], "provenance": {}}
    scores = {
        "key": key,
        "values": {"psnr": 10.0},
        "protocol": {"metrics": {"psnr": {}}, "warnings": []},
        "intervals": {},
    }
    for spec in plan.trials:
        path = store.trial(spec.id).path
        (path / "scores").mkdir(parents=True)
        (path / "spec.json").write_text(json.dumps(spec.to_json()))
        (path / "progress.json").write_text('{"state": "done", "updated": 0}')
        (path / "result.json").write_text(json.dumps({"id": spec.id, **result}))
        (path / "scores" / f"{key}.json").write_text(json.dumps(scores))
    code = f"""
import resource, time
began = time.perf_counter()
from i2ibench import benchmark
plan, store = benchmark.load({str(file)!r})
planned = time.perf_counter()
assert benchmark.unfinished(plan, store) == []
looked = time.perf_counter()
benchmark.digest(plan, store)
print(f"cached: {{time.perf_counter() - began:.1f}} s to answer from {count} finished trials "
      f"(plan {{planned - began:.1f}}, "
      f"states {{looked - planned:.1f}}, report's digest {{time.perf_counter() - looked:.1f}}; "
      f"{{time.process_time():.1f}} s of CPU with Python's start); "
      f"driver {{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}} MB")
"""
    subprocess.run([sys.executable, "-c", code], check=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    names = sys.argv[1:] or ["start", "empty", "makespan", "cached"]
    for name in names:
        if len(names) > 1:  # a Ray each, with a token of its own
            subprocess.run([sys.executable, __file__, name], check=True)
            continue
        with tempfile.TemporaryDirectory(prefix="i2i-") as place:
            {"start": start, "empty": empty, "makespan": makespan, "cached": cached}[name](Path(place))
