"""What a user can set of the simulated exchange: the flat dict that vn.py's ``connect`` takes, checked."""

import json
from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Annotated, Any, Literal

import msgspec
from vnpy.trader.constant import Interval

from vnpy_core.engine.sim.contracts import Instrument, list_contracts
from vnpy_core.engine.sim.faults import Faults, parse_faults
from vnpy_core.engine.sim.session import Session, parse_session
from vnpy_core.engine.sim.suggest import unknown_key
from vnpy_core.errors import ConfigError

# The form of vn.py's default_setting: plain values. Lists are comma-separated or JSON text, or real lists and dicts
# where the setting comes from a file that has them. An empty text: the contract's own, or no bound.
DEFAULT_SETTING: dict[str, str | int | float | bool] = {
    "feed": "random",
    "seed": 1,
    "symbols": "",
    "tick_interval_ms": 500.0,
    "ticks_per_second": 0.0,
    "balance": 10_000_000.0,
    "session": "always",
    "margin_rate": "",
    "commission_rate": "",
    "commission_per_lot": "",
    "persist": True,
    "replay_symbols": "",
    "replay_interval": "MINUTE",
    "replay_start": "",
    "replay_end": "",
    "replay_begin": "subscribe",
    "replay_repeat": False,
    "replay_in_flight": 1,
    "speed": 1.0,
    "contracts": "",
    "faults": "",
}

Rate = Annotated[float, msgspec.Meta(ge=0)]
MEMORY = ":memory:"


class SimSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings, typed; the setting of the same name each.

    ``symbols``: the contracts that have a random market, empty: all. ``ticks_per_second``: shared by the subscribed
    ones, 0: each every ``tick_interval_ms``. ``persist``: true for ``sim_<name>.db`` in vn.py's folder, false to forget
    everything with the process, or a path. ``balance`` is the deposit of a new account. ``speed``: 1 the recorded pace,
    0 as fast as the client handles ticks, of which ``replay_in_flight`` may wait. ``replay_begin``: with the first
    subscription, with the connection, or on ``resume_replay``. ``replay_repeat``: one that has finished begins anew
    with the next start; if not, only with a new ``connect`` of the same process.
    """

    feed: Literal["random", "replay"]
    seed: int
    symbols: tuple[str, ...]
    tick_interval_ms: Annotated[float, msgspec.Meta(gt=0)]
    ticks_per_second: Rate
    balance: Rate
    session: str
    margin_rate: Rate | None
    commission_rate: Rate | None
    commission_per_lot: Rate | None
    persist: str
    replay_symbols: tuple[str, ...]
    replay_interval: Literal["TICK", "MINUTE", "HOUR", "DAILY", "WEEKLY"]
    replay_start: str
    replay_end: str
    replay_begin: Literal["subscribe", "connect", "command"]
    replay_repeat: bool
    replay_in_flight: Annotated[int, msgspec.Meta(ge=1, le=4000)]
    speed: Rate
    contracts: list[dict[str, Any]]
    faults: dict[str, Any]

    def instruments(self) -> dict[str, Instrument]:
        rates = {name: getattr(self, name) for name in ("margin_rate", "commission_rate", "commission_per_lot")}
        return list_contracts(self.contracts, rates)

    def parsed_faults(self) -> Faults:
        return parse_faults(self.faults)

    def parsed_session(self) -> Session:
        return parse_session(self.session)

    def interval(self) -> Interval:
        return Interval[self.replay_interval]

    def moment(self, name: Literal["replay_start", "replay_end"], zone: tzinfo) -> datetime | None:
        """Return the setting as a moment; without an offset it is taken in ``zone``."""
        text = getattr(self, name)
        if not text:
            return None
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise ConfigError(f"{name}: {text!r} is not a time such as 2024-01-02T09:00") from error
        return moment.replace(tzinfo=zone) if moment.tzinfo is None else moment.astimezone(zone)


def parse_setting(setting: Mapping[str, Any]) -> SimSettings:
    """Return ``setting`` checked, with the defaults for what it leaves out.

    Raises:
        ConfigError: a key or value is wrong; the message names it and, for a key, the nearest valid one.
    """
    for name in setting:
        if name not in DEFAULT_SETTING:
            raise ConfigError(unknown_key(name, DEFAULT_SETTING, "the simulated gateway's setting"))
    fields: dict[str, Any] = {**DEFAULT_SETTING, **setting}
    for name in ("symbols", "replay_symbols"):
        if isinstance(fields[name], str):
            fields[name] = [part.strip() for part in fields[name].split(",") if part.strip()]
    for name in ("margin_rate", "commission_rate", "commission_per_lot"):
        if fields[name] == "":
            fields[name] = None
    fields["contracts"] = _decoded("contracts", fields["contracts"], [])
    fields["faults"] = _decoded("faults", fields["faults"], {})
    fields["persist"] = _persist(fields["persist"])
    for name in ("replay_start", "replay_end"):
        fields[name] = fields[name].isoformat() if isinstance(fields[name], datetime) else fields[name]
    try:
        settings = msgspec.convert(fields, SimSettings, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"the simulated gateway's setting: {error}") from error
    if settings.feed == "replay" and not settings.replay_symbols:
        raise ConfigError("replay_symbols: a replay needs at least one contract, such as BTCUSDT.GLOBAL")
    settings.parsed_faults()
    settings.parsed_session()
    return settings


def _decoded(name: str, value: Any, empty: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value) if value.strip() else empty
    except ValueError as error:
        raise ConfigError(f"{name}: not JSON: {error}") from error


def _persist(value: Any) -> str:
    """Return the path to persist to: empty for the default one, ``:memory:`` for none."""
    if isinstance(value, str) and value.lower() not in ("true", "false"):
        return value
    return "" if value in (True, "true", "True", "TRUE") else MEMORY
