"""Does one job in this process: takes the trial's lease, does what is missing, and keeps every failure to itself."""

from __future__ import annotations

import atexit
import errno
import gc
import logging
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import torch
from pydantic import ValidationError

from i2ibench import lease, points, probe, stopping, trial
from i2ibench.build import limit_threads
from i2ibench.errors import CrashedError, DivergedError, I2IBenchError, Interrupted, TrialError
from i2ibench.job import Job, Outcome
from i2ibench.memory import is_out_of_memory
from i2ibench.method import Method
from i2ibench.metrics.protocol import Protocol
from i2ibench.spec import TrialSpec
from i2ibench.store import Store, Trial

atexit.register(gc.unfreeze)  # see run_job: what is frozen is not cleaned up, and libraries complain of leaks

START_SECONDS = 600.0  # that a training may take to its first step, at least: data is read, networks are compiled


def run_job(job: Job, *, disposable: bool = False) -> Outcome:
    """Do what is missing of a job. A failure goes into the trial's `error.json` and the outcome, not up the stack.

    Args:
        disposable: this process may be killed: a training that hangs takes it down, to be begun again in another.
    """
    spec, store = TrialSpec.from_json(job.spec), Store(job.store)
    limit_threads(job.resources["cpus"])
    try:
        if job.kind == "reference":
            with _log(store.feature_cache / "log.txt", spec.data) as log:
                return _guarded(log, lambda: trial.reference(spec, store, *_scoring(job)))
        if job.kind == "probe":
            return Outcome("done", gpus=probe.probe(spec, store, trial.device_for(spec.resources)))
        return _with_leases(job, spec, store, disposable)
    except OSError as error:  # not even the log or the lease can be written
        return Outcome(
            "failed", f"{error.filename or store.path}: cannot be written ({error.strerror})", recorded=False
        )
    except Exception as error:
        if job.kind != "probe":
            raise
        return Outcome(
            "done", f"the probe failed: {_last_line(error)}", gpus=1.0
        )  # the training says itself what is wrong
    finally:
        gc.collect()
        gc.freeze()  # modules and caches, which stay: to go through them after each job would cost 0.3 s
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()  # this process stays: others on the same GPU need the room


def _with_leases(job: Job, spec: TrialSpec, store: Store, disposable: bool) -> Outcome:
    mine, home = store.trial(spec.id), store.trial(spec.trained_as)
    trains_another = spec.borrows and job.kind == "train" and home.training() is None
    with ExitStack() as held:
        leases = []
        for folder in (mine, home) if trains_another else (mine,):
            watch = _watch(job, mine) if disposable and folder is mine else None
            got = lease.acquire(folder.path, watch)
            if got is None:
                return Outcome("busy")
            leases.append(held.enter_context(got))
        if (known := _known(job, spec, mine)) is not None:
            return known
        if stopping.requested(mine.path):
            return Outcome("interrupted")
        should_stop = stopping.looking(mine.path, lambda: any(got.lost for got in leases))
        store = Store(job.store, held=lambda: all(got.held() for got in leases))
        mine = store.trial(spec.id)
        with _log(mine.path / "log.txt", spec.id) as log:
            mine.tidy()
            mine.clear_error()
            outcome = _guarded(log, lambda: _work(job, spec, store, log, should_stop))
            if outcome.state == "failed":
                outcome = _recorded(outcome, mine)
            return outcome


def _known(job: Job, spec: TrialSpec, mine: Trial) -> Outcome | None:
    """The outcome of a job that is done already: perhaps by another driver, while this one waited."""
    if job.kind == "train" and mine.result() is not None:
        return Outcome("done")
    if job.kind == "score" and not job.rescore:
        key = spec.score_key(Protocol.model_validate(job.protocol))
        if mine.state(key, job.metrics) == "done":
            return Outcome("done")
    error = mine.error()
    if error is not None and error.get("time") != job.failed:  # another driver's: two need not fail twice
        return Outcome("failed", error["error"])
    return None


def _work(job: Job, spec: TrialSpec, store: Store, log: logging.Logger, should_stop: Callable[[], bool]) -> None:
    mine = store.trial(spec.id)
    if job.kind == "train":
        waited = any(name.startswith(f"train {spec.trained_as}") for name in job.after)  # for the row that trains
        if spec.borrows and waited and store.trial(spec.trained_as).training() is None:
            raise TrialError(f"its networks are those of {spec.trained_as}, and their training failed: see there")
        mine.write_progress("starting")
        given = replace(spec, resources=job.resources)  # for `gpus: auto` the share that a probe found
        trial.train_and_translate(given, store, log, should_stop=should_stop, micro_batches=job.micro_batches)
    else:
        mine.write_progress("scoring")
        log.info("scoring")
        protocol, metrics, device = _scoring(job)
        # The points before the end of the curve: a trial whose own scores are there is done.
        points.score(
            spec, store, protocol, job.curve_metrics, device, log, rescore=job.rescore, should_stop=should_stop
        )
        trial.score(spec, store, protocol, metrics, device, log, rescore=job.rescore)
    mine.write_progress("done")


def _scoring(job: Job) -> tuple[Protocol, tuple[str, ...], torch.device]:
    return Protocol.model_validate(job.protocol), job.metrics, trial.device_for(job.resources)


def _guarded(log: logging.Logger, work: Callable[[], None]) -> Outcome:
    """Do the work; whatever goes wrong becomes an outcome."""
    try:
        work()
    except Interrupted as why:
        log.info("interrupted: %s", why)
        return Outcome("interrupted")
    except CrashedError as why:
        log.warning("%s", why)
        return Outcome("crashed", _last_line(why), recorded=False)
    except (Exception, SystemExit) as error:  # a method that calls exit() ends its own trial and no other
        line = _last_line(error)
        if is_out_of_memory(error):
            log.warning("out of memory: %s", line)
            return Outcome("memory", f"out of memory: {line}", recorded=False)
        log.exception("the trial failed")
        return Outcome("failed", line, diverged=isinstance(error, DivergedError))
    return Outcome("done")


def _recorded(outcome: Outcome, mine: Trial) -> Outcome:
    """The outcome of a failure, once it is written down; on a full disk it is not, and the driver must remember it."""
    try:
        mine.write_error("DIVERGED" if outcome.diverged else "FAILED", outcome.error)
    except Interrupted:
        return Outcome("interrupted")
    except (OSError, I2IBenchError):
        return Outcome("failed", outcome.error, recorded=False)
    return outcome


def _watch(job: Job, mine: Trial) -> Callable[[], None] | None:
    """What the heartbeat looks after: a training that makes no step for too long takes its process down.

    Only so does a call that never returns end; the driver finds the process dead, and begins again from the checkpoint.
    """
    limit = job.spec["training"].get("hang_seconds")
    if job.kind != "train" or limit is None:
        return None
    began = time.time()

    def watch() -> None:
        try:
            progress = mine.progress() or {"state": "starting", "updated": began}
        except I2IBenchError:
            return
        silent = time.time() - max(progress["updated"], began)
        patience = {"starting": max(limit, START_SECONDS), "training": limit}.get(progress["state"])
        if patience is not None and silent > patience:
            with (mine.path / "log.txt").open("a", encoding="utf-8") as log:
                log.write(f"no step for {silent:.0f} s (training.hang_seconds): the process is killed\n")
            mine.write_progress("hung")
            os.kill(os.getpid(), signal.SIGKILL)

    return watch


@contextmanager
def _log(file: Path, name: str) -> Iterator[logging.Logger]:
    log = logging.getLogger(f"i2ibench.trials.{name}")
    log.setLevel(logging.INFO)
    log.propagate = False  # the terminal shows the table, not every trial's lines
    file.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(file, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    handler.handleError = lambda record: None  # type: ignore[method-assign]  # a full disk shows where it matters
    log.addHandler(handler)
    try:
        yield log
    finally:
        log.removeHandler(handler)
        with suppress(OSError):
            handler.close()


def _last_line(error: BaseException) -> str:
    """What the leaderboard shows of a failure: our own errors as they are, others as `Type: last line (file.py:7)`."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if isinstance(error, I2IBenchError):
        return " ".join(lines)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{error.filename or 'the store'}: cannot be written ({error.strerror})"
    if isinstance(error, ValidationError):  # its last line is an address of pydantic's own pages
        first = error.errors(include_url=False)[0]
        lines = [f"{'.'.join(map(str, (error.title, *first['loc'])))}: {first['msg']}"]
    words = f"{type(error).__name__}: {lines[-1]}" if lines else type(error).__name__
    return words + _place(error)


def _place(error: BaseException) -> str:
    """The innermost line of a method's own at which an error arose, in parentheses; "" if it did nowhere in one."""
    lines = [
        f" ({Path(frame.f_code.co_filename).name}:{line})"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if isinstance(frame.f_locals.get("self"), Method) and frame.f_globals["__name__"] != Method.__module__
    ]
    return lines[-1] if lines else ""
