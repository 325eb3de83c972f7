"""The terms of what a job needs of its cluster."""

import pytest

from clusters.needs import Need, Op, parse_need
from rainbow.errors import InvalidArgument


@pytest.mark.parametrize(
    ("text", "need"),
    [
        ("gpu", Need(name="gpu", op=Op.HAS)),
        ("!preemptible", Need(name="preemptible", op=Op.LACKS)),
        ("site=geneva", Need(name="site", op=Op.EQUALS, value="geneva")),
        ("data=a=b >=3", Need(name="data", op=Op.EQUALS, value="a=b >=3")),
        ("gpus>=8", Need(name="gpus", op=Op.AT_LEAST, value=8)),
        ("gpus>=08", Need(name="gpus", op=Op.AT_LEAST, value=8)),
        ("load>=0.25", Need(name="load", op=Op.AT_LEAST, value=0.25)),
        ("n>=999999999999999", Need(name="n", op=Op.AT_LEAST, value=999_999_999_999_999)),
        ("a.b-c_D" + "e" * 56, Need(name="a.b-c_D" + "e" * 56, op=Op.HAS)),
        ("site=" + "é" * 255, Need(name="site", op=Op.EQUALS, value="é" * 255)),
    ],
)
def test_a_term_is_a_name_with_a_test(text: str, need: Need) -> None:
    assert parse_need(text) == need


@pytest.mark.parametrize(
    "text",
    [
        "",
        "!",
        "!!a",
        "! a",
        "!a=b",
        "!a>=1",
        "1a",
        "-a",
        "é",
        "a b",
        "a\n",
        "a" * 64,
        "a>1",
        "a>=",
        "a>=-1",
        "a>=x",
        "a>=1e9",
        "a>=nan",
        "a>=1.",
        "a>=.5",
        "a>=1.0000001",
        "a>=1234567890.5",
        "a>= 1",
        "a>=１",  # noqa: RUF001  (a digit, and not one of ASCII)
        "a>=" + "9" * 16,
        "a<=1",
        "a!=b",
        "a==b",
        "gpus=>8",
        "gpus=<8",
        "a=",
        "a=\0",
        "a=b\nc",
        "a=\x7f",
        "a=\udc80",
    ],
)
def test_anything_else_is_refused_by_the_name_of_the_field(text: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        parse_need(text)

    assert refused.value.field == "needs"
