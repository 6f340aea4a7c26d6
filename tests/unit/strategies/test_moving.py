"""Moving in from a folder of vn.py's, and out again."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from vnpy_core.data.repositories import StrategyRecord
from vnpy_core.enums import StrategyState
from vnpy_core.errors import Conflict, Invalid, NotFound
from vnpy_core.events import Event
from vnpy_core.models import StrategyVariables
from vnpy_core.strategies.moving import Moving
from vnpy_core.strategies.vnpy_folder import VnpyFolder

CTA = {
    "双均线": {"class_name": "DoubleMaStrategy", "vt_symbol": "rb2505.SHFE", "setting": {"fast_window": 7}},
    "mine": {"class_name": "Mine", "vt_symbol": "BTC.USDT.GLOBAL", "setting": {"gone": None, "list": [1, 2.5]}},
}
CTA_DATA = {"双均线": {"pos": 3, "fast_ma0": 3500.25}, "deleted long ago": {"pos": 0}}
PORTFOLIO = {
    "pair": {"class_name": "PairTradingStrategy", "vt_symbols": ["hc2505.SHFE", "rb2505.SHFE"], "setting": {}}
}
PORTFOLIO_DATA = {"pair": {"pos_data": {"rb2505.SHFE": -1}, "target_data": {}, "leg1_symbol": "hc2505.SHFE"}}
SOURCE = "# 我的策略\r\nx = 1\r\n".encode()


class Here:
    """A data folder with a table and a journal, as far as moving needs them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records: dict[str, StrategyRecord] = {}
        self.saved: dict[str, StrategyVariables] = {}
        self.moving = Moving(folder, self, self, self)

    async def list(self) -> Sequence[StrategyRecord]:
        return list(self.records.values())

    async def save(self, record: StrategyRecord) -> StrategyRecord:
        assert record.strategy_name not in self.records
        self.records[record.strategy_name] = msgspec.structs.replace(record, version=1)
        return record

    async def latest(self) -> Mapping[str, StrategyVariables]:
        return dict(self.saved)

    async def append(self, events: Sequence[Event]) -> None:
        for event in events:
            fact = event.data
            assert isinstance(fact, StrategyVariables)
            known = self.saved.get(fact.strategy_name)
            assert known is None or known.revision < fact.revision
            self.saved[fact.strategy_name] = fact


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path / "data")


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    folder = tmp_path / "theirs"
    (folder / "strategies" / "deep").mkdir(parents=True)
    (folder / "strategies" / "mine.py").write_bytes(SOURCE)
    (folder / "strategies" / "deep" / "table.csv").write_bytes(b"a,b\n")
    (folder / ".vntrader").mkdir()
    put(folder, "cta_strategy_setting.json", CTA)
    put(folder, "cta_strategy_data.json", CTA_DATA)
    put(folder, "portfolio_strategy_setting.json", PORTFOLIO)
    put(folder, "portfolio_strategy_data.json", PORTFOLIO_DATA)
    put(folder, "connect_ctp.json", {"password": "x"})
    return folder


def put(folder: Path, name: str, content: Any) -> None:
    (folder / ".vntrader" / name).write_text(json.dumps(content, indent=4, ensure_ascii=False), encoding="utf-8")


async def test_in_and_out_without_a_difference(here: Here, theirs: Path, tmp_path: Path) -> None:
    items = await here.moving.import_folder(VnpyFolder.read(theirs))
    actions = {(item.kind, item.name): item.action for item in items}
    assert actions == {
        ("strategy", "双均线"): "new", ("strategy", "mine"): "new", ("strategy", "pair"): "new",
        ("variables", "双均线"): "new", ("variables", "deleted long ago"): "new", ("variables", "pair"): "new",
        ("code", "mine.py"): "new", ("code", "deep/table.csv"): "new", ("file", "connect_ctp.json"): "left",
    }  # fmt: skip
    pair = here.records["pair"]
    assert (pair.engine, list(pair.symbols)) == ("PortfolioStrategy", ["hc2505.SHFE", "rb2505.SHFE"])
    assert (pair.desired_state, pair.auto_start) == (StrategyState.ADDED, False)
    assert here.saved["双均线"].variables == CTA_DATA["双均线"]

    back = tmp_path / "back"
    (await here.moving.export()).write(back)
    again = VnpyFolder.read(back)
    assert again == msgspec.structs.replace(VnpyFolder.read(theirs), others=[])
    assert {item.action for item in await here.moving.plan(again)} == {"same"}
    assert await here.moving.import_folder(again) == await here.moving.plan(again)


async def test_what_is_there_and_different_is_refused_with_all_the_rest(here: Here, theirs: Path) -> None:
    await here.moving.import_folder(VnpyFolder.read(theirs))
    put(theirs, "cta_strategy_setting.json", CTA | {"pair": CTA["mine"], "new": CTA["mine"], "no": {"x": 1}})
    put(theirs, "cta_strategy_data.json", CTA_DATA | {"双均线": {"pos": 4}})
    (theirs / "strategies" / "mine.py").write_bytes(b"x = 2\n")
    changed = VnpyFolder.read(theirs)
    conflicts = {(item.kind, item.name, item.engine) for item in await here.moving.plan(changed)
                 if item.action == "conflict"}  # fmt: skip
    assert conflicts == {
        ("strategy", "pair", "CtaStrategy"), ("strategy", "pair", "PortfolioStrategy"),
        ("strategy", "no", "CtaStrategy"), ("variables", "双均线", "CtaStrategy"), ("code", "mine.py", ""),
    }  # fmt: skip
    before = dict(here.records), dict(here.saved)
    with pytest.raises(Conflict, match="Nothing was imported"):
        await here.moving.import_folder(changed)
    assert (here.records, here.saved) == before
    assert (here.folder / "strategies" / "mine.py").read_bytes() == SOURCE


async def test_variables_of_a_strategy_that_was_removed_here_do_not_count(here: Here, theirs: Path) -> None:
    here.saved["双均线"] = StrategyVariables(
        strategy_name="双均线", engine="CtaStrategy", revision=2**45, datetime="2026-01-05T01:30:00.000000+00:00",
        variables={}, fills=["old"], removed=True,
    )  # fmt: skip
    await here.moving.import_folder(VnpyFolder.read(theirs))
    now = here.saved["双均线"]
    assert (now.variables, now.fills, now.removed, now.revision) == (CTA_DATA["双均线"], [], False, 2**45 + 1)


async def test_fills_and_uploaded_files_in_the_export(here: Here) -> None:
    for name in (".vntrader", "strategies", "uploaded_strategies"):
        (here.folder / name).mkdir(parents=True)
    (here.folder / "uploaded_strategies" / "up.py").write_bytes(b"up")
    (here.folder / "uploaded_strategies" / "both.py").write_bytes(b"uploaded")
    (here.folder / "strategies" / "both.py").write_bytes(b"user")
    put(here.folder, "cta_strategy_data.json", {"a": {"pos": 1, ".fills": ["x"]}})
    found = await here.moving.export()
    assert found.variables["CtaStrategy"] == {"a": {"pos": 1}}
    assert found.files == {"up.py": b"up", "both.py": b"user"}
    assert found.different(here.folder) == [here.folder / ".vntrader" / "cta_strategy_data.json"]


def test_what_is_no_folder_of_vnpy(tmp_path: Path, theirs: Path) -> None:
    with pytest.raises(NotFound):
        VnpyFolder.read(tmp_path / "nowhere")
    assert VnpyFolder.read(theirs / ".vntrader") == VnpyFolder.read(theirs)
    (theirs / ".vntrader" / "cta_strategy_setting.json").write_text("{")
    with pytest.raises(Invalid, match="cta_strategy_setting"):
        VnpyFolder.read(theirs)
