"""What is computed from real images is computed once, by however many trials it is wanted at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event

import numpy as np

from i2ibench.metrics.kept import kept

IMAGES = np.arange(12, dtype=np.uint8)


def test_several_at_once_compute_it_once(tmp_path: Path) -> None:
    begin, computing = Barrier(4), Event()
    calls: list[int] = []

    def compute() -> np.ndarray:
        calls.append(1)
        computing.wait(0.2)  # never set: long enough for the others to find nothing there
        return np.array([3.5])

    def ask(_: int) -> np.ndarray:
        begin.wait()
        return kept(tmp_path / "cache", "thing", ("settings", 1), [IMAGES], compute)

    with ThreadPoolExecutor(4) as pool:
        assert [values.tolist() for values in pool.map(ask, range(4))] == [[3.5]] * 4
    assert len(calls) == 1


def test_other_settings_and_other_images_are_computed_anew_and_damage_is_mended(tmp_path: Path) -> None:
    calls: list[int] = []

    def ask(about: object = 1, images: np.ndarray = IMAGES) -> list[int]:
        return kept(tmp_path, "thing", about, [images], lambda: np.array([calls.append(1) or len(calls)])).tolist()

    assert [ask(), ask(), ask(about=2), ask(images=IMAGES[::-1]), ask()] == [[1], [1], [2], [3], [1]]
    for file in tmp_path.glob("*.npy"):
        file.write_bytes(b"damaged")
    assert ask() == [4]
