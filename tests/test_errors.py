"""The words that error messages share."""

from i2ibench.errors import did_you_mean, few, first_line, one_line


def test_did_you_mean() -> None:
    assert did_you_mean("cyclgan", ["cyclegan", "unit"]) == "did you mean 'cyclegan'? available: cyclegan, unit"
    assert did_you_mean("zzz", ["unit"]) == "available: unit"


def test_few() -> None:
    assert few(["a"]) == "a"
    assert few(list("abcdefg")) == "a, b, c and 4 more"


def test_what_an_error_says_on_one_line() -> None:
    error = ValueError("\n  no such\n  thing\n")
    assert (one_line(error), first_line(error)) == ("no such thing", "no such")
    assert one_line(EOFError()) == first_line(EOFError(" ")) == "EOFError"
