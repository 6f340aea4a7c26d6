"""A channel delivers to a real address by Apprise: once, again after a failure, and never at another's cost."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

import pytest

from tests.webhook import Webhook, webhook
from vnpy_core.config.alert_settings import ChannelSettings
from vnpy_core.enums import AlertState
from vnpy_core.models import Incident
from vnpy_core.monitoring.alerts.apprise_sender import apprise_sender
from vnpy_core.monitoring.alerts.book import What
from vnpy_core.monitoring.alerts.channel import Channel, Outcome
from vnpy_core.monitoring.alerts.texts import Notice

WHEN = "2026-01-05T01:30:00.000000+00:00"


def notice(number: int = 1, what: What = "raised", **changes: Any) -> Notice:
    fields: dict[str, Any] = {
        "incident_id": f"{number:016x}", "alert_id": f"gateway_down.G{number}", "rule": "gateway_down",
        "severity": "critical", "summary": f"Gateway G{number} is not connected", "state": AlertState.FIRING,
        "began": WHEN, "fired": WHEN, "resolved": WHEN,
    }  # fmt: skip
    return Notice(Incident(**fields | changes), what, f"ops {what}")


class Running:
    def __init__(self, url: str, group_s: float = 0.0, **settings: Any) -> None:
        self.outcomes: SimpleQueue[Outcome] = SimpleQueue()
        made = ChannelSettings.model_validate({"url": url, "retry_s": 0.05, "rate_per_min": 600} | settings)
        self.channel = Channel(
            "ops", made, apprise_sender, self.outcomes.put, language="zh", source="desk-1", group_s=group_s
        )


@contextmanager
def running(url: str, **options: Any) -> Iterator[Running]:
    made = Running(url, **options)
    made.channel.open()
    try:
        yield made
    finally:
        made.channel.close(5.0)


@pytest.fixture(scope="module")
def hook() -> Iterator[Webhook]:
    with webhook() as made:
        yield made


@pytest.fixture(autouse=True)
def fresh(hook: Webhook) -> None:
    hook.taken.clear()
    hook.asked, hook.status, hook.hangs = 0, 200, False


def test_one_message_has_all_that_comes_together_and_says_so_in_the_language(hook: Webhook) -> None:
    with running(hook.url, group_s=0.2) as room:
        for number in (1, 2):
            room.channel.offer(notice(number))
        room.channel.offer(notice(1, "resolved"))
        assert len(room.outcomes.get(timeout=15).notices) == 3
        room.channel.offer(notice(3, "message", summary="demo", detail="hello"))
        assert room.outcomes.get(timeout=15).reason is None
    alerts, message = hook.taken
    assert (alerts["title"], alerts["type"]) == ("[严重] 3 条告警: Gateway G1 is not connected", "failure")
    assert alerts["message"].splitlines() == [
        "2026-01-05 01:30:00 [严重] Gateway G1 is not connected",
        "2026-01-05 01:30:00 [严重] Gateway G2 is not connected",
        "2026-01-05 01:30:00 [已恢复] Gateway G1 is not connected",
        "desk-1",
    ]
    assert message["title"] == "[消息] demo"
    assert message["message"].splitlines()[1:] == ["hello", "desk-1"]


def test_a_refusal_is_tried_again_with_what_came_meanwhile_and_delivered_once(
    hook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    hook.status = 500
    with running(hook.url) as room:
        room.channel.offer(notice(1))
        hook.wait_for(lambda hook: hook.asked >= 2)
        status = room.channel.status()
        assert (status.healthy, status.detail, status.kind) == (False, "it answers 500", "json")
        room.channel.offer(notice(2))
        hook.status = 200
        assert len(room.outcomes.get(timeout=15).notices) == 2
        assert room.channel.status().healthy
        assert room.channel.test().result(15) is None
    assert [body["title"] for body in hook.taken] == [
        "[严重] 2 条告警: Gateway G2 is not connected", "[测试] VnPy Core",
    ]  # fmt: skip
    assert "planted-secret" not in caplog.text


def test_what_waits_for_too_long_is_given_up_and_so_is_the_oldest_of_too_many(hook: Webhook) -> None:
    hook.status = 403
    with running(hook.url, retry_for_s=0.1) as room:
        room.channel.offer(notice(1))
        outcome = room.outcomes.get(timeout=15)
        assert (outcome.reason, len(outcome.notices)) == ("it answers 403", 1)
    hook.hangs = True
    with running(hook.url, queue=2, timeout_s=0.5) as room:
        room.channel.offer(notice(1))
        hook.wait_for(lambda hook: hook.asked and hook.hangs)
        began = time.perf_counter()
        for number in range(2, 502):
            room.channel.offer(notice(number))
        status = room.channel.status()
        assert time.perf_counter() - began < 0.5  # it hangs, and nobody waits
        assert status.waiting == 2
        assert status.given_up >= 497  # the first may wait with two others, or not any more
        assert room.outcomes.get(timeout=1).reason == "too many waited"
        hook.hangs = False
        hook.closed.set()
    hook.closed.clear()


@pytest.mark.parametrize("url", ["nonsense", "json://", "unknown://host"])
def test_an_address_that_apprise_does_not_understand_is_told_by_a_test(url: str) -> None:
    with running(url) as room:
        assert room.channel.test().result(15) == "its url is not one that Apprise understands"
        assert not room.channel.status().healthy


def test_nobody_listens() -> None:
    with running("json://127.0.0.1:1/planted-secret", timeout_s=1) as room:
        reason = room.channel.test().result(15)
        assert reason is not None
        assert "reached" in reason
        assert "planted" not in repr(room.channel.status())
