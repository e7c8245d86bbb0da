"""The words that error messages share."""

from i2ibench.errors import did_you_mean, few


def test_did_you_mean() -> None:
    assert did_you_mean("cyclgan", ["cyclegan", "unit"]) == "did you mean 'cyclegan'? available: cyclegan, unit"
    assert did_you_mean("zzz", ["unit"]) == "available: unit"


def test_few() -> None:
    assert few(["a"]) == "a"
    assert few(list("abcdefg")) == "a, b, c and 4 more"
