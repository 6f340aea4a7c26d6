"""Settings against the defaults of their class."""

from datetime import time
from typing import Any

import pytest

from vnpy_core.engine.setting_check import checked, type_name
from vnpy_core.errors import Invalid

DEFAULTS: dict[str, Any] = {
    "window": 10,
    "ratio": 0.5,
    "live": True,
    "label": "x",
    "levels": [1],
    "pair": (1, 2),
    "limits": {"a": 1},
    "free": None,
    "opens": time(9),
}


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("window", 5, 5),
        ("window", 5.0, 5),
        ("ratio", 2, 2.0),
        ("ratio", -1.5, -1.5),
        ("live", False, False),
        ("label", "", ""),
        ("levels", [3, "x"], [3, "x"]),
        ("pair", [3, 4], (3, 4)),
        ("limits", {}, {}),
        ("free", "anything", "anything"),
        ("free", None, None),
    ],
)
def test_kept(name: str, given: Any, kept: Any) -> None:
    found = checked({name: given}, DEFAULTS, of="a test")
    assert found == {name: kept}
    assert type(found[name]) is type(kept)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("window", 5.5),
        ("window", True),
        ("window", "5"),
        ("window", None),
        ("window", float("nan")),
        ("ratio", "0.5"),
        ("ratio", False),
        ("ratio", float("inf")),
        ("ratio", 10**400),
        ("live", 1),
        ("live", "true"),
        ("label", 1),
        ("levels", "12"),
        ("pair", {"a": 1}),
        ("limits", [1]),
        ("opens", "09:00"),
        ("windows", 5),
    ],
)
def test_refused(name: str, given: Any) -> None:
    with pytest.raises(Invalid) as caught:
        checked({name: given, "free": "fine"}, DEFAULTS, of="a test")
    assert [error["field"] for error in caught.value.extra["errors"]] == [name]


def test_unknown_name_is_told_with_the_nearest() -> None:
    with pytest.raises(Invalid, match="did you mean 'window'"):
        checked({"windw": 1}, DEFAULTS, of="a test")
    with pytest.raises(Invalid, match="known are a, b"):
        checked({"zzz": 1}, {"a": 1, "b": 1}, of="a test")
    with pytest.raises(Invalid, match="there are none"):
        checked({"zzz": 1}, {}, of="a test")


def test_result_shares_nothing() -> None:
    given = {"limits": {"a": [1]}}
    found = checked(given, DEFAULTS, of="a test")
    given["limits"]["a"].append(2)
    assert found == {"limits": {"a": [1]}}


def test_type_names() -> None:
    names = {name: type_name(default) for name, default in DEFAULTS.items()}
    assert names == {
        "window": "int", "ratio": "float", "live": "bool", "label": "str", "levels": "list", "pair": "tuple",
        "limits": "dict", "free": "any", "opens": "time",
    }  # fmt: skip
