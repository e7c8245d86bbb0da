"""The jobs of a plan: what is left, what each asks for and waits for, and what earlier results say of its length."""

from collections.abc import Callable
from pathlib import Path

import pytest

from i2ibench import benchmark, jobs
from i2ibench.executors.schedule import Schedule
from i2ibench.job import Outcome

Write = Callable[..., Path]
TEXT = """
    seeds: 2
    store: {tmp}/runs
    reports: {tmp}/reports
    data: {{glyphs: {{size: 32}}}}
    methods:
      copy:
      tiny: {{method: tiny.py}}
      longer: {{method: tiny.py, lr: 0.02, training: {{steps: 60}}}}
    training: {{steps: 6, batch_size: 4}}
    resources: {{cpus: 2, gpus: 0.5}}
    evaluation: {{metrics: [METRICS]}}
"""


def made(file: Path, **options: bool) -> dict[str, jobs.Job]:
    the_plan, store = benchmark.load(file)
    return {job.name: job for job in jobs.make(the_plan, store, the_plan.trials, **options)}


def test_a_trial_is_trained_and_then_scored_and_references_are_shared(benchmark_file: Write) -> None:
    found = made(benchmark_file(TEXT.replace("METRICS", "kid, psnr")))
    kinds = [job.kind for job in found.values()]
    assert (kinds.count("reference"), kinds.count("train"), kinds.count("score")) == (1, 5, 5)
    for job in found.values():
        if job.kind == "score":
            assert set(job.after) == {f"train {job.trial}", "reference glyphs"}
            assert job.resources["gpus"] == 0.25
        if job.kind == "train":
            assert (job.resources["cpus"], job.resources["gpus"]) == (2, 0.5)


def test_scores_without_a_network_ask_for_no_gpu_and_no_reference(benchmark_file: Write) -> None:
    found = made(benchmark_file(TEXT.replace("METRICS", "ssim, psnr")))
    assert all(job.resources["gpus"] == 0 for job in found.values() if job.kind == "score")
    assert not any(job.kind == "reference" for job in found.values())


def test_networks_on_the_way_are_translated_with_on_a_gpu(benchmark_file: Write) -> None:
    text = TEXT.replace("METRICS", "ssim").replace("steps: 6,", "steps: 6, score_every: 2,")
    shares = {j.spec["label"]: j.resources["gpus"] for j in made(benchmark_file(text)).values() if j.kind == "score"}
    assert shares == {"copy": 0, "tiny": 0.25, "longer": 0.25}


def test_the_longer_training_is_known_from_its_steps_and_from_earlier_results(benchmark_file: Write) -> None:
    file = benchmark_file(TEXT.replace("METRICS", "psnr"))
    found = made(file)
    seconds = {job.spec["label"]: job.seconds for job in found.values() if job.kind == "train"}
    assert seconds["longer"] == pytest.approx(10 * seconds["tiny"])
    the_plan, store = benchmark.load(file)
    spec = next(spec for spec in the_plan.trials if spec.label == "tiny")
    store.trial(spec.id).write_spec(spec.to_json())
    store.trial(spec.id).write_result({"cost": {"train_seconds": 12.0, "steps": 6}})
    found = made(file)
    assert f"train {spec.id}" not in found
    seconds = {job.spec["label"]: job.seconds for job in found.values() if job.kind == "train"}
    assert seconds["longer"] == pytest.approx(120.0)


def test_without_training_there_are_scores_alone(benchmark_file: Write) -> None:
    assert {job.kind for job in made(benchmark_file(TEXT.replace("METRICS", "psnr")), train=False).values()} == {
        "score"
    }


def test_automatic_shares_of_a_gpu_are_probed_once_for_all_seeds(benchmark_file: Write) -> None:
    file = benchmark_file(TEXT.replace("METRICS", "psnr").replace("gpus: 0.5", "gpus: auto"))
    found = made(file)
    probes = [job for job in found.values() if job.kind == "probe"]
    assert len(probes) == 3, "one for each method and setting"
    schedule = Schedule(list(found.values()))
    trained = []
    while schedule.open:
        job = schedule.take(0, lambda _: set())
        schedule.end(job, Outcome("done", gpus=0.125 if job.kind == "probe" else None), 0)
        trained += [job] if job.kind == "train" else []
    assert len(trained) == 5
    assert {job.resources["gpus"] for job in trained} == {0.125}
