"""FeedWatch with a made-up clock: which silence makes a gateway STALE, and what ends it."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from tests.facts import gateway, tick

from vnpy_core.config.gateways import GatewaySettings
from vnpy_core.enums import Exchange, GatewayState
from vnpy_core.events import Event
from vnpy_core.models import GatewayStatus
from vnpy_core.trading.feed_watch import FeedWatch


class Site:
    def __init__(self, **settings: Any) -> None:
        self.clock = 1000.0
        self.open: dict[str, bool | None] = {}
        self.status = gateway()
        self.is_replay = False
        self.asked: list[tuple[str, str]] = []
        self.told: list[str | None] = []
        self.held: list[str | None] = []
        self.callback: Callable[[Sequence[Event]], None] = lambda events: None
        made = {"SIM": GatewaySettings.model_validate({"class": "x.Y", "mute_after_s": 60.0, **settings})}
        self.watch = FeedWatch(
            made, self, self, self.is_open, clock=lambda: self.clock, now=lambda: datetime(2026, 1, 5, tzinfo=UTC),
            ask_again=self.ask_again,
        )

    def ask_again(self, name: str, vt_symbol: str) -> bool:
        self.asked.append((name, vt_symbol))
        return True

    def subscribe(self, callback: Callable[[Sequence[Event]], None]) -> None:
        self.callback = callback

    def is_open(self, gateway_name: str, symbol: str, exchange: Exchange, moment: datetime) -> bool | None:
        return self.open.get(symbol, True)

    def statuses(self) -> list[GatewayStatus]:
        return [self.status]

    def replays(self, name: str) -> bool:
        return self.is_replay

    def mute(self, name: str, detail: str | None) -> None:
        self.told.append(detail)
        self.enter(GatewayState.CONNECTED if detail is None else GatewayState.STALE)

    def hold_stale(self, name: str, reason: str | None) -> None:
        self.held.append(reason)

    def enter(self, state: GatewayState) -> None:
        self.status = msgspec.structs.replace(self.status, state=state)

    def tick(self, *symbols: str) -> None:
        self.callback([Event(tick(symbol)) for symbol in symbols])

    def after(self, seconds: float) -> None:
        self.clock += seconds
        self.watch.look()


def test_mute_is_when_every_symbol_is_silent_and_ends_with_a_tick() -> None:
    site = Site()
    site.tick("rb2605", "hc2605")
    site.after(50)
    site.tick("hc2605")
    site.after(50)
    assert site.told == []
    site.after(11)
    assert [detail is not None for detail in site.told] == [True]
    site.after(100)
    assert len(site.told) == 1
    site.tick("rb2605")
    site.after(1)
    assert site.told[1:] == [None]
    assert site.watch.age_s("SIM") == 1


def test_what_never_ticked_or_does_not_trade_now_is_not_missed() -> None:
    site = Site()
    site.after(1000)
    site.tick("rb2605")
    site.open["rb2605"] = False
    site.after(1000)
    assert site.told == []
    site.open["rb2605"] = True
    site.after(59)
    assert site.told == []
    site.after(2)
    assert len(site.told) == 1


@pytest.mark.parametrize("settings", [{"mute_after_s": 0}, {}])
def test_it_can_be_turned_off_and_a_replay_is_not_watched(settings: dict[str, Any]) -> None:
    site = Site(**settings)
    site.is_replay = not settings
    site.tick("rb2605")
    site.after(1000)
    assert site.told == []


def test_a_new_connection_begins_anew() -> None:
    site = Site()
    site.tick("rb2605")
    site.after(61)
    site.enter(GatewayState.DISCONNECTED)
    site.after(1)
    site.enter(GatewayState.CONNECTED)
    site.after(1000)
    assert len(site.told) == 1
    assert site.watch.age_s("SIM") is None


def test_orders_are_refused_if_the_configuration_says_so() -> None:
    site = Site(stale_orders="refuse")
    site.tick("rb2605")
    site.after(61)
    assert [reason is not None for reason in site.held] == [True]
    site.tick("rb2605")
    site.after(1)
    assert site.held[1:] == [None]

    takes = Site()
    takes.enter(GatewayState.STALE)
    takes.after(1)
    assert takes.held == []


def test_a_symbol_that_is_silent_while_others_tick_is_asked_for_again_ever_more_rarely() -> None:
    site = Site()
    site.tick("rb2605", "hc2605")
    asked_at = []
    for second in range(1, 601):
        site.tick("hc2605")
        site.after(1)
        if len(site.asked) > len(asked_at):
            asked_at.append(second)
    assert asked_at == [61, 123, 247, 495]
    assert set(site.asked) == {("SIM", "rb2605.SHFE")}
    assert site.told == []
    site.tick("rb2605")
    site.after(1)
    for _ in range(61):
        site.tick("hc2605")
        site.after(1)
    assert len(site.asked) == 5


@pytest.mark.parametrize("reason", ["closed", "everything is silent", "off"])
def test_a_silence_that_says_nothing_of_a_symbol_alone_asks_for_nothing(reason: str) -> None:
    site = Site(**({"mute_after_s": 0} if reason == "off" else {}))
    site.tick("rb2605", "hc2605")
    site.open["rb2605"] = reason != "closed"
    for _ in range(200):
        if reason != "everything is silent":
            site.tick("hc2605")
        site.after(1)
    assert site.asked == []
