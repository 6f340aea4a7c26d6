"""vn.py's own files of strategies: which engine has which, and what their entries look like."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from vnpy_core.data.repositories import StrategyRecord


class SettingFile(msgspec.Struct, frozen=True, kw_only=True):
    """``setting`` and ``data`` are file names in ``.vntrader``; ``symbol_key`` is where an entry has what is traded."""

    engine: str
    setting: str
    data: str
    symbol_key: str

    def record(self, name: str, entry: Mapping[str, Any]) -> StrategyRecord:
        """Raises: TypeError, KeyError, ValueError: it is no entry of such a file."""
        vt_symbols = self._vt_symbols(entry[self.symbol_key])
        return StrategyRecord(
            strategy_name=name,
            class_name=str(entry["class_name"]),
            engine=self.engine,
            vt_symbol=vt_symbols[0],
            vt_symbols=list(vt_symbols),
            setting=dict(entry["setting"]),
            updated_by=self.setting,
        )

    def entry(self, record: StrategyRecord) -> dict[str, Any]:
        """Return what the file has of a strategy."""
        symbols = list(record.symbols)
        value: Any = symbols if self.symbol_key == "vt_symbols" else symbols[0]
        return {"class_name": record.class_name, self.symbol_key: value, "setting": record.setting}

    def _vt_symbols(self, value: Any) -> Sequence[str]:
        if self.symbol_key != "vt_symbols":
            return [str(value)]
        if not isinstance(value, list) or not value:
            raise ValueError(f"{value!r} is no list of symbols")
        return [str(vt_symbol) for vt_symbol in value]


SETTING_FILES: Mapping[str, SettingFile] = {
    file.engine: file
    for file in (
        SettingFile(
            engine="CtaStrategy", setting="cta_strategy_setting.json", data="cta_strategy_data.json",
            symbol_key="vt_symbol",
        ),
        SettingFile(
            engine="PortfolioStrategy", setting="portfolio_strategy_setting.json",
            data="portfolio_strategy_data.json", symbol_key="vt_symbols",
        ),
    )
}  # fmt: skip


def settings_of(records: Mapping[str, StrategyRecord], engine: str) -> dict[str, dict[str, Any]]:
    """Return what vn.py's setting file of the engine has of those of ``records`` that are the engine's."""
    file = SETTING_FILES.get(engine)
    if file is None:
        return {}
    return {name: file.entry(record) for name, record in records.items() if record.engine == engine}


def entries(engine: str, settings: Mapping[str, Any]) -> Iterator[tuple[str, StrategyRecord | None]]:
    """Yield each name in a setting file, with its record, or with None if the entry is not that of a strategy."""
    file = SETTING_FILES[engine]
    for name, entry in settings.items():
        try:
            yield name, file.record(name, entry)
        except (TypeError, KeyError, ValueError):
            yield name, None
