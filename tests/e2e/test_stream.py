"""A stream over a line that is cut again and again, and a service that is restarted: each fact once, and in order."""

import json
import random
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.e2e.process import ADMIN_KEY, ServiceProcess, eventually
from tests.e2e.proxy import Proxy
from tests.e2e.test_kill import stored
from vnpy_core.client import Gap, StreamEvent, VnPyCoreClient
from vnpy_core.events import INTERNAL_TOPICS

Start = Callable[..., ServiceProcess]
PARTS = Path(__file__).parent / "parts"
DOCS = Path(__file__).resolve().parents[2] / "docs"
FACTS, CUTS = 20_000, 50
JOURNAL = "select seq, topic, payload from facts order by seq"
CONFIG = """
demo = false
[gateways.CHATTY]
class = "chatty.ChattyGateway"
auto_connect = true
reconcile_timeout_s = 1.0
[gateways.CHATTY.setting]
orders_per_second = 700
"""


class Reader:
    """Reads a stream on a thread of its own, from the first fact on."""

    def __init__(self, core: VnPyCoreClient) -> None:
        self.events: list[StreamEvent] = []
        self.gaps: list[Gap] = []
        self.stream = core.stream(["*"], since=0, on_gap=self.gaps.append)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        for event in self.stream:
            if event.seq is not None:
                self.events.append(event)

    def close(self) -> None:
        self.stream.close()
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.mark.timeout(240)
def test_a_stream_that_is_cut_at_random_has_each_fact_once(service: Start) -> None:
    chance = random.Random(4)
    core = service(CONFIG, python_path=PARTS)
    with Proxy() as proxy:
        proxy.lead_to(core.url)
        with VnPyCoreClient(proxy.url, token=ADMIN_KEY) as client:
            reader = Reader(client)
            for part, end in ((1, ServiceProcess.kill), (2, ServiceProcess.stop), (3, None)):
                while len(reader.events) < FACTS * part / 3 or proxy.cuts < CUTS * part / 3:
                    time.sleep(chance.uniform(0.05, 0.8))
                    proxy.cut()
                if end is not None:
                    end(core)
                    core = service(CONFIG, python_path=PARTS)
                    proxy.lead_to(core.url)
            core.client.trading.disconnect_gateway("CHATTY")
            status = eventually(lambda: _quiet(core), 30, "nothing more is told")
            eventually(lambda: (reader.stream.seq or 0) >= status, 60, "the stream has come to the end")
            reader.close()
    assert core.stop() == 0
    on_disk = [
        (seq, topic, json.loads(payload))
        for seq, topic, payload in stored(core.data_dir / "journal.db", JOURNAL)
        if topic not in INTERNAL_TOPICS and seq <= status
    ]
    # What came after it, an alert that the gateway is gone, is beside the point.
    events = [event for event in reader.events if event.seq is None or event.seq <= status]
    assert [event.seq for event in events] == [seq for seq, _, _ in on_disk]
    assert [(event.seq, event.topic, msgspec.to_builtins(event.data)) for event in events] == on_disk
    assert len(on_disk) >= FACTS
    assert proxy.cuts >= CUTS
    assert reader.stream.connections > CUTS
    assert reader.gaps == []


def _quiet(core: ServiceProcess) -> int | None:
    """Return the journal's last ``seq`` once it does not grow."""
    before = core.client.system.status().journal
    time.sleep(0.3)
    after = core.client.system.status().journal
    return after.last_seq if after.last_seq == before.last_seq and not after.pending else None


def examples_of(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)


def test_the_examples_of_the_page_run(service: Start, capsys: pytest.CaptureFixture[str]) -> None:
    core = service()
    eventually(lambda: core.client.system.status().ready, 30)
    names: dict[str, Any] = {}
    examples = examples_of("client.md")
    assert len(examples) == 3
    for example in examples:
        exec(example.replace("http://127.0.0.1:8006", core.url).replace("vck_…", ADMIN_KEY), names)  # noqa: S102 -- our own page
    printed = capsys.readouterr().out
    assert "NOTTRADED" in printed
    assert "tick.rb2605.SHFE" in printed
