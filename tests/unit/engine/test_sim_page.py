"""The page about the simulated exchange names all that can be set of it."""

import re
from pathlib import Path

import pytest

from vnpy_core.engine.sim.contracts import ContractSpec
from vnpy_core.engine.sim.faults import Faults
from vnpy_core.engine.sim.settings import DEFAULT_SETTING

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "simulated-exchange.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("heading", "names"),
    [
        ("Settings", set(DEFAULT_SETTING)),
        ("Contracts", set(ContractSpec.__struct_fields__)),
        ("Faults", set(Faults.__struct_fields__)),
    ],
)
def test_every_name_is_on_the_page_and_no_other(heading: str, names: set[str]) -> None:
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == names
