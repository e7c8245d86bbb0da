"""A further process of a data-parallel training: `python -m i2ibench.helper FOLDER RANK`. See `distributed.py`."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import threading
import traceback
from pathlib import Path

import torch

from i2ibench.build import limit_threads, make_loop, make_method
from i2ibench.distributed import Ranks, leave_error, read_job, say_ready
from i2ibench.errors import Interrupted
from i2ibench.randomness import seed_rank
from i2ibench.spec import TrialSpec
from i2ibench.store import Store


def main(folder: Path, rank: int) -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):  # rank 0 decides when to leave, and tells us
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_other, args=(folder,), daemon=True).start()
    try:
        _train(folder, rank)
    except Interrupted:
        return 0
    except BaseException as error:
        traceback.print_exc()
        leave_error(folder, rank, error)
        return 1
    return 0


def _train(folder: Path, rank: int) -> None:
    job = read_job(folder)
    spec, store = TrialSpec.from_json(job["spec"]), Store(job["store"])
    limit_threads(max(1, spec.resources["cpus"] // job["size"]))
    device = torch.device("cpu")
    if job["device"] == "cuda":
        device = torch.device("cuda", rank)
        torch.cuda.set_device(device)
    method = make_method(spec, store, device)
    seed_rank(spec.seed, rank)
    say_ready(folder, rank)
    group = Ranks(rank, job["size"], folder, device)
    log = logging.getLogger(f"i2ibench.helper-{rank}")
    log.addHandler(logging.NullHandler())
    make_loop(spec, store, method, device, log, micro_batches=job["micro_batches"], group=group).run()


def _end_with_the_other(folder: Path) -> None:
    """Our standard input is a pipe from rank 0: when it closes, that process is gone or done with us."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    shutil.rmtree(folder, ignore_errors=True)  # the other can't any more, if it was killed
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
