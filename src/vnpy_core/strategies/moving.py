"""Moving in from vn.py and out again: settings, variables and code of strategies, without a difference."""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from vnpy_core.data.repositories import StrategyRecord
from vnpy_core.data.strategy_variables import FILLS_KEY
from vnpy_core.errors import Conflict
from vnpy_core.events import Event
from vnpy_core.models import StrategyVariables, now_timestamp
from vnpy_core.strategies.setting_files import SETTING_FILES, entries, settings_of
from vnpy_core.strategies.vnpy_folder import VnpyFolder

_UPLOADED = "uploaded_strategies"


class MoveItem(msgspec.Struct, frozen=True):
    """One thing that is moved: ``new`` is added, ``same`` is there already, ``conflict`` is there and different,
    ``left`` is not of strategies and stays where it is."""

    kind: Literal["strategy", "variables", "code", "file"]
    name: str
    engine: str
    action: Literal["new", "same", "conflict", "left"]
    detail: str = ""


class Records(Protocol):
    async def list(self) -> Sequence[StrategyRecord]: ...
    async def save(self, record: StrategyRecord) -> StrategyRecord: ...


class Facts(Protocol):
    async def append(self, events: Sequence[Event]) -> None: ...


class Saved(Protocol):
    async def latest(self) -> Mapping[str, StrategyVariables]: ...


class Moving:
    """Works on a data folder that no service works with: what it moves changes at every fill."""

    def __init__(self, data_dir: Path, records: Records, saved: Saved, journal: Facts) -> None:
        self._data_dir = data_dir
        self._records = records
        self._saved = saved
        self._journal = journal

    async def plan(self, theirs: VnpyFolder) -> list[MoveItem]:
        """Return what an import would do with each thing."""
        ours, records = await self._ours(), {record.strategy_name: record for record in await self._records.list()}
        return [
            *_strategies(theirs, records),
            *_variables(theirs, ours, await self._saved.latest()),
            *_code(theirs, ours),
            *(MoveItem("file", name, "", "left") for name in theirs.others),
        ]

    async def import_folder(self, theirs: VnpyFolder) -> list[MoveItem]:
        """Take in what is new, and return what became of each thing. Strategies are ADDED, and started by nobody.

        Raises:
            Conflict: something is there already, and different; nothing was changed.
        """
        items = await self.plan(theirs)
        refused = [item for item in items if item.action == "conflict"]
        if refused:
            listed = "; ".join(f"{item.kind} {item.name}: {item.detail}" for item in refused)
            raise Conflict(f"Nothing was imported, because of {len(refused)} conflicts: {listed}")
        new: set[tuple[str, str]] = {(item.kind, item.name) for item in items if item.action == "new"}
        (self._data_dir / "strategies").mkdir(parents=True, exist_ok=True)
        VnpyFolder(
            settings={}, variables={}, others=[],
            files={name: source for name, source in theirs.files.items() if ("code", name) in new},
        ).write(self._data_dir)  # fmt: skip
        # Variables before strategies: a strategy that is there without them would begin with no position.
        await self._save_variables(theirs, new)
        for engine, settings in theirs.settings.items():
            for name, record in entries(engine, settings):
                if record is not None and ("strategy", name) in new:
                    await self._records.save(record)
        return items

    async def export(self) -> VnpyFolder:
        """Return what vn.py would have of all that is here: an uploaded file is one of its folder there."""
        ours = await self._ours()
        records = {record.strategy_name: record for record in await self._records.list()}
        variables = {engine: dict(by_name) for engine, by_name in ours.variables.items()}
        for name, kept in (await self._saved.latest()).items():
            if kept.engine in variables:
                if kept.removed:
                    variables[kept.engine].pop(name, None)
                else:
                    variables[kept.engine][name] = dict(kept.variables)
        uploaded = self._data_dir / _UPLOADED
        files = {path.name: path.read_bytes() for path in sorted(uploaded.glob("*.py"))} if uploaded.is_dir() else {}
        return VnpyFolder(
            settings={engine: settings_of(records, engine) for engine in SETTING_FILES},
            variables=variables,
            files=files | dict(ours.files),
            others=[],
        )

    async def _ours(self) -> VnpyFolder:
        (self._data_dir / "strategies").mkdir(parents=True, exist_ok=True)
        found = VnpyFolder.read(self._data_dir)
        variables = {engine: _without_fills(by_name) for engine, by_name in found.variables.items()}
        return msgspec.structs.replace(found, variables=variables)

    async def _save_variables(self, theirs: VnpyFolder, new: set[tuple[str, str]]) -> None:
        """Make them the last that is known of their strategies, also if others of these names were here before."""
        known = await self._saved.latest()
        revision = max([int(time.time() * 1000), *(kept.revision + 1 for kept in known.values())])
        facts = [
            StrategyVariables(
                strategy_name=name, engine=engine, revision=revision, datetime=now_timestamp(), variables=variables,
                fills=[], removed=False,
            )
            for engine, by_name in theirs.variables.items()
            for name, variables in by_name.items()
            if ("variables", name) in new
        ]  # fmt: skip
        if facts:
            await self._journal.append([Event(fact) for fact in facts])


def _strategies(theirs: VnpyFolder, records: Mapping[str, StrategyRecord]) -> Iterator[MoveItem]:
    seen: dict[str, str] = {}
    for engine, settings in theirs.settings.items():
        for name, record in entries(engine, settings):
            known = records.get(name)
            if record is None:
                yield MoveItem("strategy", name, engine, "conflict", "its entry is not that of a strategy")
            elif name in seen:
                yield MoveItem("strategy", name, engine, "conflict", f"{seen[name]} has one of that name, too")
            elif known is None:
                symbols = ", ".join(record.symbols)
                yield MoveItem("strategy", name, engine, "new", f"{record.class_name} on {symbols}")
            elif known.engine == engine and SETTING_FILES[engine].entry(known) == settings[name]:
                yield MoveItem("strategy", name, engine, "same")
            else:
                detail = f"there is a strategy of that name, a {known.class_name} of {known.engine}, that is different"
                yield MoveItem("strategy", name, engine, "conflict", detail)
            seen.setdefault(name, engine)


def _variables(
    theirs: VnpyFolder, ours: VnpyFolder, saved: Mapping[str, StrategyVariables]
) -> Iterator[MoveItem]:
    for engine, by_name in theirs.variables.items():
        for name, variables in by_name.items():
            kept = saved.get(name)
            here: Any = ours.variables.get(engine, {}).get(name) if kept is None else kept.variables
            if not isinstance(variables, dict):
                yield MoveItem("variables", name, engine, "conflict", "they are no JSON object")
            elif here is None or (kept is not None and kept.removed):
                yield MoveItem("variables", name, engine, "new")
            elif here == variables:
                yield MoveItem("variables", name, engine, "same")
            else:
                yield MoveItem("variables", name, engine, "conflict", "here they have other values")


def _code(theirs: VnpyFolder, ours: VnpyFolder) -> Iterator[MoveItem]:
    for name, source in theirs.files.items():
        here = ours.files.get(name)
        if here is None:
            yield MoveItem("code", name, "", "new")
        elif here == source:
            yield MoveItem("code", name, "", "same")
        else:
            yield MoveItem("code", name, "", "conflict", "there is a file of that name, and it is different")


def _without_fills(by_name: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: {key: value for key, value in saved.items() if key != FILLS_KEY} if isinstance(saved, dict) else saved
        for name, saved in by_name.items()
    }
