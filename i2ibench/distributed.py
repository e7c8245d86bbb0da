"""Data parallel training inside one node: this process is rank 0, and a helper process works on each further GPU.

Every rank builds the method from the trial's seed, so all begin with the same weights. Each takes its slice of each
batch; the gradients of a turn are added up before the optimiser steps, so all stay the same. Rank 0 alone writes, and
its clock and its wish to stop hold for all.

What a method may rely on, and must keep, with several ranks:
- Noise drawn for each image differs from rank to rank: after the method is built, rank r > 0 seeds its generators with
  (seed, r), and rank 0 goes on with its own. A number drawn once for a whole batch is drawn once for each slice.
- Every rank must take the same turns with the same losses: what a step does may hang on `batch.progress` and on the
  parameters, not on the images or on drawn numbers.
- Batch statistics, and image pools, are those of a rank. Rank 0's buffers (running means) are the ones kept.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from i2ibench.errors import CrashedError, DivergedError, I2IBenchError, TrialError, one_line
from i2ibench.memory import is_out_of_memory

START_SECONDS = 300.0  # for the helpers to import torch, build the method and open the data
LEAVE_SECONDS = 10.0  # for a helper to end when the training is over
REASON_SECONDS = 5.0  # for a helper that failed to say why
JOB, MEETING, ERROR = "job.json", "meeting", "error.json"  # in the folder that the processes of a training share


class Group:
    """The processes that train one trial together, as one of them sees them. This one is alone."""

    rank = 0
    size = 1

    def part(self, images: int) -> slice:
        """This rank's part of so many images; as equal as can be, the first ones larger."""
        each, more = divmod(images, self.size)
        start = self.rank * each + min(self.rank, more)
        return slice(start, start + each + (self.rank < more))

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Put into each tensor the sum over the ranks, in place. They are of one type and device."""

    def agree(self, *values: float) -> tuple[float, ...]:
        """Rank 0's values, on every rank."""
        return values

    def gather(self, state: dict[str, Any]) -> list[dict[str, Any]]:
        """The states of all ranks, in their order, on rank 0; elsewhere only this rank's own."""
        return [state]

    @contextmanager
    def one_after_the_other(self) -> Iterator[None]:
        """Rank 0 goes through the block before the others do."""
        yield


ALONE = Group()


class Ranks(Group):
    """Several processes of this machine, connected by torch.distributed."""

    def __init__(self, rank: int, size: int, folder: Path, device: torch.device) -> None:
        """Meets the others, at a file of `folder`; what they say to each other stays on the loopback interface."""
        self.rank, self.size, self._folder = rank, size, folder
        loopback = "lo" if sys.platform == "linux" else "lo0"
        os.environ |= {"GLOO_SOCKET_IFNAME": loopback, "NCCL_SOCKET_IFNAME": loopback}
        # Numbers of the host (the clock, "ready") go through gloo also where tensors go from GPU to GPU through NCCL.
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
            init_method=f"file://{folder / MEETING}",
            rank=rank,
            world_size=size,
            timeout=timedelta(minutes=30),
        )

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        if tensors:
            vector = parameters_to_vector(tensors)  # one message: most tensors are small
            dist.all_reduce(vector)
            vector_to_parameters(vector, tensors)

    def agree(self, *values: float) -> tuple[float, ...]:
        said = torch.tensor(values, dtype=torch.float64)
        dist.broadcast(said, src=0)
        return tuple(said.tolist())

    def gather(self, state: dict[str, Any]) -> list[dict[str, Any]]:
        # Through files that only this user can read, loaded as tensors: torch's own gather would unpickle anything.
        if self.rank:
            torch.save(state, self._folder / f"state-{self.rank}")
        self._wait()
        if self.rank:
            return [state]
        files = (self._folder / f"state-{rank}" for rank in range(1, self.size))
        return [state, *(torch.load(file, map_location="cpu", weights_only=True) for file in files)]

    @contextmanager
    def one_after_the_other(self) -> Iterator[None]:
        if self.rank:
            self._wait()
        yield
        if self.rank == 0:
            self._wait()

    def _wait(self) -> None:
        dist.all_reduce(torch.zeros(1))


def ranks_of(gpus: float | str, device: torch.device) -> int:
    """How many processes a trial that asks for `gpus` is trained by: one, but with several GPUs one on each.

    Raises:
        TrialError: this process sees fewer GPUs than that.
    """
    if device.type != "cuda" or isinstance(gpus, str) or gpus <= 1:
        return 1
    if gpus > torch.cuda.device_count():
        raise TrialError(
            f"asks for {gpus:g} GPUs, and this process sees {torch.cuda.device_count()}; lower resources.gpus"
        )
    return int(gpus)


@contextmanager
def together(
    size: int, device: torch.device, spec: Mapping[str, Any], store: Path, micro_batches: int, log: Path
) -> Iterator[Group]:
    """Train inside the block with `size` processes, of which this one is rank 0. With one, nothing is started.

    Args:
        size: of the group; as many GPUs, unless `device` is the CPU.
        device: the kind that all ranks train on.
        spec, store, micro_batches: what the helpers need to build what this process has built; see `helper.py`.
        log: the file that the helpers' output is added to.

    Raises:
        TrialError, DivergedError, MemoryError: what went wrong in a helper, in place of what that did to us.
        CrashedError: a helper was killed.
    """
    if size == 1:
        yield ALONE
        return
    with tempfile.TemporaryDirectory(prefix="i2ibench-ranks-") as name, log.open("ab") as output:  # its mode is 0700
        folder = Path(name)
        job = {"size": size, "device": device.type, "spec": spec, "store": str(store), "micro_batches": micro_batches}
        (folder / JOB).write_text(json.dumps(job), encoding="utf-8")
        helpers = [_start(folder, rank, output) for rank in range(1, size)]
        try:
            _await_ready(folder, helpers)
            yield Ranks(0, size, folder, device)
            _await_end(helpers)
        except BaseException as error:
            _abort()
            # When a helper dies, we learn of it by a connection that is gone (a RuntimeError): what counts is why.
            if isinstance(error, RuntimeError | _HelperEndedError) and not is_out_of_memory(error):
                reason = _reason(folder, helpers)
                if reason is not None:
                    raise reason from error
            raise
        finally:
            if dist.is_initialized():
                dist.destroy_process_group()
            for helper in helpers:
                _stop(helper)


def read_job(folder: Path) -> dict[str, Any]:
    """What a helper is to do."""
    return json.loads((folder / JOB).read_text(encoding="utf-8"))


def say_ready(folder: Path, rank: int) -> None:
    """A helper has built everything, and goes to meet the others."""
    (folder / f"ready-{rank}").touch()


def leave_error(folder: Path, rank: int, error: BaseException) -> None:
    """Say why a helper failed. The first one counts: others fail in its wake, when their connection is gone."""
    kind = "memory" if is_out_of_memory(error) else "diverged" if isinstance(error, DivergedError) else "other"
    message = one_line(error) if isinstance(error, I2IBenchError) else f"{type(error).__name__}: {one_line(error)}"
    mine = folder / f"error-{rank}.json"
    mine.write_text(json.dumps({"kind": kind, "message": message}), encoding="utf-8")
    with suppress(FileExistsError):
        os.link(mine, folder / ERROR)


def _abort() -> None:
    """Give up what waits for the others on a GPU, or this process would wait with it."""
    world = dist.group.WORLD if dist.is_initialized() else None
    if world is not None and hasattr(world, "abort"):  # torch 2.4 has none
        world.abort()


class _HelperEndedError(TrialError):
    """A helper is gone before its time."""

    def __init__(self) -> None:
        super().__init__("a process of a data-parallel training ended before its time; see the trial's log")


def _start(folder: Path, rank: int, output: IO[bytes]) -> subprocess.Popen[bytes]:
    """A helper lives as long as the pipe to its standard input, so it ends with this process however this one ends."""
    command = [sys.executable, "-m", "i2ibench.helper", str(folder), str(rank)]
    # A session of its own: Ctrl-C at a terminal reaches us alone, and we tell the helpers when to leave.
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True)


def _await_ready(folder: Path, helpers: Sequence[subprocess.Popen[bytes]]) -> None:
    """Before the meeting, where we would wait long for a helper that has died."""
    deadline = time.monotonic() + START_SECONDS
    while not all((folder / f"ready-{rank}").exists() for rank in range(1, len(helpers) + 1)):
        if any(helper.poll() is not None for helper in helpers):
            raise _HelperEndedError
        if time.monotonic() > deadline:
            raise TrialError(f"the processes of a data-parallel training did not start in {START_SECONDS:.0f} seconds")
        time.sleep(0.05)


def _await_end(helpers: Sequence[subprocess.Popen[bytes]]) -> None:
    for helper in helpers:
        with suppress(subprocess.TimeoutExpired):  # it is done, and will be stopped
            if helper.wait(LEAVE_SECONDS) != 0:
                raise _HelperEndedError


def _reason(folder: Path, helpers: Sequence[subprocess.Popen[bytes]]) -> Exception | None:
    """Why a helper failed; None if all are well (then it was we who failed)."""
    deadline = time.monotonic() + REASON_SECONDS
    while time.monotonic() < deadline:
        if (folder / ERROR).exists():
            said = json.loads((folder / ERROR).read_text(encoding="utf-8"))
            kinds = {"memory": MemoryError, "diverged": DivergedError}
            return kinds.get(said["kind"], TrialError)(said["message"])
        for rank, helper in enumerate(helpers, 1):
            if (helper.poll() or 0) < 0:
                return CrashedError(f"process {rank} of a data-parallel training died of signal {-helper.returncode}")
        time.sleep(0.05)
    return None


def _stop(helper: subprocess.Popen[bytes]) -> None:
    assert helper.stdin is not None
    helper.stdin.close()
    try:
        helper.wait(5.0)
    except subprocess.TimeoutExpired:
        helper.kill()
        helper.wait()
