"""Records of scores put together: nothing is lost, and what goes before is said by the order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from i2ibench.metrics import known
from i2ibench.metrics.catalog import METRICS

NAMES = st.sampled_from(sorted(METRICS))


def record(values: dict[str, float], device: str = "cpu") -> dict[str, Any]:
    return {
        "values": values,
        "intervals": {name: {"low": value, "high": value} for name, value in values.items()},
        "protocol": {
            "device": device,
            "warnings": [f"on {device}", "both"],
            "metrics": {name: {"revision": known.REVISION, "by": device} for name in values},
        },
    }


@given(st.dictionaries(NAMES, st.just(1.0)), st.dictionaries(NAMES, st.just(2.0)))
def test_two_records_keep_every_score_in_the_catalogues_order(ours: dict[str, float], theirs: dict[str, float]) -> None:
    both = known.joined(record(ours), record(theirs, "cuda"))
    assert both["values"] == theirs | ours
    assert list(both["values"]) == [name for name in METRICS if name in both["values"]]
    assert {name: interval["low"] for name, interval in both["intervals"].items()} == both["values"]
    assert {name: entry["by"] for name, entry in both["protocol"]["metrics"].items()} == {
        name: "cpu" if name in ours else "cuda" for name in both["values"]
    }
    assert both["protocol"]["device"] == "cpu, cuda"
    assert both["protocol"]["warnings"] == ["on cpu", "both", "on cuda"]
    assert known.joined(both, both) == both


@pytest.mark.parametrize(
    "entry", [{}, {"revision": known.REVISION - 1}, {"revision": known.REVISION, "numpy version": "0.1"}]
)
def test_scores_of_other_versions_do_not_count(entry: dict[str, Any]) -> None:
    scored = record({"fid": 1.0, "ssim": 0.5})
    assert known.counts(scored)
    scored["protocol"]["metrics"]["ssim"] = entry
    assert not known.counts(scored)


def test_scores_of_metrics_that_are_gone_do_not_count_and_are_not_lost() -> None:
    gone = record({"inception_score": 3.0})
    assert not known.counts(gone)
    assert known.joined(record({"fid": 1.0}), gone)["values"] == {"fid": 1.0, "inception_score": 3.0}
