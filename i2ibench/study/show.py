"""What `i2ibench study` does: serve the page, or print what the answers say."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from i2ibench import benchmark, loopback
from i2ibench.columns import Columns
from i2ibench.errors import ConfigError, did_you_mean
from i2ibench.spec import TrialSpec
from i2ibench.store import Store
from i2ibench.study import answers, material, server, words
from i2ibench.study.analysis import Findings, analyse
from i2ibench.study.design import Kind
from i2ibench.study.estimates import Share
from i2ibench.terminal import say

KINDS: dict[str, tuple[Kind, ...]] = {"better": ("better",), "real": ("real",), "both": ("real", "better")}


def serve(
    benchmark_or_store: Path,
    *,
    ask: str,
    data: Sequence[str],
    images: int,
    questions: int,
    practice: int,
    exposure: float | None,
    seed: int,
    consent: Path | None,
    port: int,
    host: str,
) -> None:
    """Serve the page until it is interrupted."""
    if ask not in KINDS:
        raise ConfigError(f"--ask {ask}: is none of {', '.join(KINDS)}")
    if exposure is not None and "real" not in KINDS[ask]:
        raise ConfigError("--exposure is for the question which image is real; add --ask real or --ask both")
    try:
        agreed_to = None if consent is None else consent.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--consent {consent}: cannot be read ({error})") from None
    specs, store = _of(benchmark_or_store)
    kept = answers.Answers(store.path)
    study = server.Study(
        material.Material(specs, store, data),
        kept,
        KINDS[ask],
        images=images,
        questions=questions,
        practice=practice,
        exposure=exposure,
        seed=seed,
        consent=agreed_to,
    )
    listening = server.serve(study, port, host)
    first = f", after {study.rounds} to practise" if study.rounds else ""
    print(f"{len(study.pool)} different questions, {study.count} for each rater{first}; answers: {kept.path}")
    if practice and not study.rounds:
        print(
            "no test image is left to practise on, so raters begin at once; ask about fewer --images", file=sys.stderr
        )
    loopback.serve_until_interrupted(listening)


def forget(benchmark_or_store: Path, code: str) -> None:
    """Remove a rater who asks for it."""
    _, store = _of(benchmark_or_store)
    kept = answers.Answers(store.path)
    kept.create()
    print(f"{kept.forget(code)} answers removed")


def results(benchmark_or_store: Path, data: Sequence[str], *, as_json: bool) -> None:
    """Print what the answers say of the trials of a benchmark, or of all of a store; on these data sets, if any."""
    specs, store = _of(benchmark_or_store)
    known = {spec.data for spec in specs}
    for name in data:
        if name not in known:
            raise ConfigError(f"--data {name}: there is no such data set; {did_you_mean(name, known)}")
    specs = [spec for spec in specs if not data or spec.data in data]
    given = answers.read(store.path)
    found = analyse(given, {spec.id: (spec.data, spec.label) for spec in reversed(specs)})
    if as_json:
        print(json.dumps([asdict(one) for one in found], indent=1, ensure_ascii=False))
        return
    if not found:
        print("nobody has answered yet" if not given else "no answer is about these trials")
    console = Console()
    for one in found:
        _print(one, console)


def _of(benchmark_or_store: Path) -> tuple[list[TrialSpec], Store]:
    if benchmark_or_store.is_dir():
        store = Store(benchmark_or_store)
        return material.of_store(store), store
    plan, store = benchmark.load(benchmark_or_store)
    return list(plan.trials), store


def _print(found: Findings, console: Console) -> None:
    say(console, f"\n{found.data}: {words.note(found)}")
    if found.preferred:
        header = ["Method", "Preferred", "95%", "Strength", "95%", "n"]
        rows: list[tuple[Any, ...]] = [
            (row.label, *_share(row.share), words.strength(row), words.strength_interval(row), row.share.n)
            for row in found.preferred
        ]
        console.print(Columns(header, rows, title="Which is the better translation", right=header[1:]))
        header = ["First", "Second", "First preferred", "95%", "n"]
        rows = [(pair.a, pair.b, *_share(pair.share), pair.share.n) for pair in found.pairs]
        console.print(Columns(header, rows, title="Pair by pair", right=header[2:]))
    if found.fooling:
        header = ["Method", "Taken for real", "95%", "n", "Shown for"]
        rows = [(row.label, *_share(row.share), row.share.n, words.exposure(row)) for row in found.fooling]
        console.print(Columns(header, rows, title="Which is real", right=header[1:4]))


def _share(it: Share) -> tuple[str, str]:
    return words.share(it), words.interval(it)
