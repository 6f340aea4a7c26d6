"""Events: one encoding that reads back as it was, topics, and what a subscription matches."""

import json
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.facts import WHEN, log, of, order, tick

from vnpy_core.enums import Exchange, Interval
from vnpy_core.events import Event, decode_fact, matches, topic_of, topic_token
from vnpy_core.models import (
    FACTS,
    Alert,
    AlertRule,
    AuditEntry,
    Bar,
    CommandRecord,
    Contract,
    Incident,
    KeyUse,
    Model,
    OrderIntent,
    Silence,
    StrategyVariables,
    Tick,
)

# Journaled, and never shown to a client, on the bus or anywhere else.
INTERNAL = {OrderIntent, CommandRecord, KeyUse, AuditEntry, StrategyVariables, Incident, AlertRule, Silence}


@pytest.mark.parametrize("kind", [*FACTS, Tick, Bar, Contract], ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_a_model_reads_back_equal(kind: type[Model], data: st.DataObject) -> None:
    model = data.draw(of(kind))
    event = Event(model)
    back = decode_fact(event.topic, event.payload) if kind in FACTS else msgspec.json.decode(event.payload, type=kind)
    assert back == model
    assert json.loads(event.frame) == {
        "seq": None, "topic": event.topic, "ts": event.ts, "data": json.loads(event.payload),
    }  # fmt: skip


def test_the_frame_carries_the_seq_of_a_fact() -> None:
    event = Event(order(), ts=WHEN)
    event.seq = 1042
    frame = json.loads(event.frame)
    assert (frame["seq"], frame["topic"], frame["ts"]) == (1042, "order.updated", WHEN)
    assert frame["data"]["status"] == "NOTTRADED"


def test_a_restored_event_is_the_one_that_was_written() -> None:
    event = Event(order())
    event.seq = 7
    model = decode_fact(event.topic, event.payload)
    back = Event.restored(model, seq=7, topic=event.topic, ts=event.ts, payload=event.payload)
    assert (back.data, back.frame, back.is_fact) == (event.data, event.frame, True)


def test_nan_and_infinity_travel_as_null() -> None:
    event = Event(msgspec.structs.replace(tick(), last_price=math.nan, turnover=math.inf))
    assert json.loads(event.payload)["last_price"] is None
    assert json.loads(event.payload)["turnover"] is None


@pytest.mark.parametrize("kind", FACTS, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_a_fact_has_a_key_and_says_whether_it_is_final(kind: type[Model], data: st.DataObject) -> None:
    event = Event(data.draw(of(kind)))
    assert event.is_fact
    assert isinstance(event.data.key, str)
    assert isinstance(event.data.is_final, bool)
    assert event.is_internal == (kind in INTERNAL)


def test_market_data_and_logs_are_no_facts() -> None:
    assert not Event(tick()).is_fact
    assert not Event(log()).is_fact
    with pytest.raises(TypeError, match="Log is not a fact"):
        _ = log().key


def test_topics() -> None:
    alert = Alert(alert_id="a", severity="warning", summary="", datetime=WHEN)
    bar = Bar(
        vt_symbol="rb2501.SHFE", symbol="rb2501", exchange=Exchange.SHFE, gateway_name="", datetime=WHEN,
        interval=Interval.MINUTE, volume=None, turnover=None, open_interest=None, open_price=None, high_price=None,
        low_price=None, close_price=None,
    )  # fmt: skip
    assert topic_of(order()) == "order.updated"
    assert topic_of(tick()) == "tick.rb2501.SHFE"
    assert topic_of(tick("EUR.USD *")) == "tick.EUR%2EUSD%20%2A.SHFE"
    assert topic_of(bar) == "bar.MINUTE.rb2501.SHFE"
    assert topic_of(log()) == "log"
    assert topic_of(msgspec.structs.replace(log(), strategy_name="my.own")) == "strategy.log.my%2Eown"
    assert topic_of(alert) == "alert.raised"
    assert topic_of(msgspec.structs.replace(alert, resolved=True)) == "alert.resolved"
    assert Event(log(), topic="algo.log").topic == "algo.log"


TOKENS = st.text("abc", min_size=1, max_size=2)


@given(tokens=st.lists(TOKENS, min_size=1, max_size=4), data=st.data())
def test_a_topic_is_matched_by_itself_and_all_above_with_stars(tokens: list[str], data: st.DataObject) -> None:
    topic = ".".join(tokens)
    length = data.draw(st.integers(1, len(tokens)))
    stars = data.draw(st.lists(st.booleans(), min_size=length, max_size=length))
    above = ["*" if star else token for star, token in zip(stars, tokens, strict=False)]
    assert matches(".".join(above), topic)
    assert not matches(f"{topic}.x", topic)
    assert not matches(".".join([*above[:-1], above[-1].replace("*", "x") + "x"]), topic)


@given(st.text())
def test_any_symbol_becomes_one_token(symbol: str) -> None:
    try:
        symbol.encode()
    except UnicodeEncodeError:
        return
    token = topic_token(symbol)
    assert "." not in token
    assert "*" not in token
    assert not symbol or matches(f"tick.{token}", f"tick.{token}.SHFE")
