"""What would go wrong on the nodes, found out on the login node before a job is queued."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from i2ibench import assets, config, plan
from i2ibench.config import Config
from i2ibench.data.paths import expand
from i2ibench.errors import I2IBenchError, counted
from i2ibench.plan import Plan
from i2ibench.slurm import submit
from i2ibench.slurm.settings import Slurm

# File systems that one machine has for itself; all others may be shared.
OF_ONE_MACHINE = {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "tmpfs", "ramfs", "overlay", "f2fs", "squashfs"}
SHORT_WARNING = 30  # seconds in which trials can hardly write their checkpoints


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `wrong`: the job would fail; `perhaps`: only a person can say."""

    what: str
    state: Literal["ok", "perhaps", "wrong"]
    found: str


def checks(file: Path) -> Iterator[Check]:
    """Everything that a job of this benchmark depends on.

    Raises:
        ConfigError: the benchmark file cannot be read.
    """
    read = config.load(file)
    chosen = submit.settings(read, {})
    version = submit.ask("sinfo", "--version")
    if version is None:
        yield Check("Slurm", "wrong", "no sinfo here: is this a login node of the cluster?")
    else:
        yield from _slurm(read, chosen, version)
    yield from _environment(chosen)
    try:
        the_plan = plan.make(read)
    except I2IBenchError as error:
        yield Check("plan and data", "wrong", str(error))
        return
    found = f"{counted(len(the_plan.trials), 'trial')} on {counted(len(the_plan.data), 'data set')}"
    yield Check("plan and data", "ok", found)
    yield from _weights(the_plan)
    yield from _folders(the_plan)


def _slurm(read: Config, chosen: Slurm, version: str) -> Iterator[Check]:
    settings = submit.ask("scontrol", "show", "config")
    if settings is None:
        yield Check("Slurm", "wrong", f"{version}, and its controller does not answer")
        return
    yield Check("Slurm", "ok", version)
    try:  # Slurm itself says whether this very job could run, and where
        answer = submit.sbatch(submit.script(read, chosen), "--test-only")
        yield Check("the job", "ok", answer.removeprefix("sbatch: "))
    except I2IBenchError as error:
        yield Check("the job", "wrong", str(error))
    wanted = ("--partition", chosen.partition) if chosen.partition else ()
    shapes = (submit.ask("sinfo", "--noheader", "--format=%D of %c cores, %m MB, %G", *wanted) or "").splitlines()
    has_gpus = any("gpu" in shape for shape in shapes)
    found = "; ".join(sorted({" ".join(shape.split()).replace(", (null)", ", no GPU") for shape in shapes})) or "none"
    if chosen.gpus_per_node and not has_gpus:
        found += ": say gpus_per_node: 0 to train on CPUs"
    yield Check("the nodes", "wrong" if chosen.gpus_per_node and not has_gpus else "ok", found)
    yield _preemption(settings, chosen)


def _preemption(settings: str, chosen: Slurm) -> Check:
    """How long a job has to write checkpoints when another takes its nodes."""
    values = dict(re.findall(r"^(\w+)[ \t]*=[ \t]*(.*?)[ \t]*$", settings, re.MULTILINE))
    mode = values.get("PreemptMode", "OFF")
    if mode == "OFF":
        return Check("preemption", "ok", "off: jobs run to their end")
    partition = submit.ask("scontrol", "show", "partition", *([chosen.partition] if chosen.partition else [])) or ""
    grace = max((int(found) for found in re.findall(r"GraceTime=(\d+)", partition)), default=0)
    given = grace or int(re.sub(r"\D.*", "", values.get("KillWait", "0")) or 0)
    found = f"{mode}: {given} s for checkpoints"
    if given < SHORT_WARNING:
        return Check("preemption", "perhaps", f"{found}: keep training.checkpoint_every small")
    return Check("preemption", "ok", found)


def _environment(chosen: Slurm) -> Iterator[Check]:
    if chosen.setup or chosen.wrapper:
        yield Check("environment", "perhaps", "made by setup and wrapper on the node: try them by hand there, once")
    else:
        yield _folder("environment", Path(sys.prefix))
    if chosen.gpus_per_node and not chosen.wrapper:
        import torch

        found = f"torch {torch.__version__}"
        if torch.version.cuda is None and torch.version.hip is None:
            yield Check("torch", "wrong", f"{found} is built without GPUs: install one that is with them")
        else:
            yield Check("torch", "ok", found)


def _weights(the_plan: Plan) -> Iterator[Check]:
    for name in dict.fromkeys((*the_plan.protocol.assets(the_plan.all_metrics), *the_plan.assets)):
        status = assets.status(name)
        if status.state == "ok":
            yield Check(f"weights {name}", "ok", str(status.path))
        else:
            yield Check(f"weights {name}", "wrong", f"{status.reason or 'missing'}: run `i2ibench assets fetch {name}`")


def _folders(the_plan: Plan) -> Iterator[Check]:
    yield _folder("store", Path(the_plan.store))
    yield _folder("reports", Path(the_plan.reports))
    yield _folder("cache of weights", assets.cache_dir())
    for label, data in the_plan.data.items():
        path = data.source.params.model_dump().get("path")
        if path:
            own = expand(path)
            yield _folder(f"data {label}", Path(the_plan.file).absolute().parent / own)


def _folder(what: str, path: Path) -> Check:
    """Whether the nodes can see a folder, by the kind of its file system."""
    there = path.absolute()
    while not there.exists():
        there = there.parent
    kind = file_system(there)
    if kind in OF_ONE_MACHINE:
        return Check(what, "perhaps", f"{path.absolute()} is on {kind}: do all nodes see it?")
    return Check(what, "ok", f"{path.absolute()} ({kind})")


def file_system(path: Path, mounts: Path = Path("/proc/mounts")) -> str:
    """The kind of file system that a path lies on; "?" where it cannot be known."""
    found = (Path("/"), "?")
    try:
        lines = mounts.read_text(encoding="utf-8").splitlines()
    except OSError:
        return "?"
    for line in lines:
        _, folder, kind, *_ = line.split(" ")
        # Blanks are written as \040 there.
        mount = Path(re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), folder))
        if path.resolve().is_relative_to(mount) and len(mount.parts) >= len(found[0].parts):
            found = (mount, kind)
    return found[1]
