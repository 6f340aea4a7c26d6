"""Exactly once: clients that repeat until they are answered, a gateway that loses acknowledgements, and kill -9."""

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.process import AUTHORIZATION, ServiceProcess, eventually
from tests.e2e.test_kill import lift_limits, stored

Start = Callable[..., ServiceProcess]

CLIENTS, ORDERS_EACH, KILLS = 20, 100, 3
CONFIG = """
demo = false
[gateways.SIM]
class = "vnpy_core.engine.sim.SimGateway"
auto_connect = true
[gateways.SIM.setting]
balance = 10000000000
faults = { seed = 11, ack_delay_ms = 5, lose_acks = 150, duplicate = 0.3, reorder = 0.2 }
"""
ORDER = {
    "gateway_name": "SIM", "symbol": "rb2605", "exchange": "SHFE", "direction": "LONG", "offset": "OPEN",
    "type": "LIMIT", "price": 3300, "volume": 1,
}  # fmt: skip


class Clients:
    """Threads that send each order under a key of its own, and again until the answer is a last word.

    ``answers`` are the last ones by key; ``url`` is where the service is, or ``None`` while it is away.
    """

    def __init__(self) -> None:
        self.answers: dict[str, httpx.Response] = {}
        self.firsts: dict[str, httpx.Response] = {}
        self.repeated = 0
        self.url: str | None = None
        self._there = threading.Condition()
        self._threads = [
            threading.Thread(target=self._work, args=(number,), daemon=True) for number in range(CLIENTS)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def move_to(self, url: str | None) -> None:
        with self._there:
            self.url = url
            self._there.notify_all()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def _work(self, client: int) -> None:
        with httpx.Client(timeout=20, headers=AUTHORIZATION) as http:
            for number in range(ORDERS_EACH):
                key = f"{client}-{number}"
                self.answers[key] = self._until_answered(http, key)
                if number % 10 == 0:  # and one that has its answer and asks again all the same
                    self.repeated += 1
                    self.answers[key] = self._until_answered(http, key)

    def _until_answered(self, http: httpx.Client, key: str) -> httpx.Response:
        while True:
            with self._there:
                assert self._there.wait_for(lambda: self.url is not None, 60)
                url = self.url
            try:
                answer = http.post(
                    f"{url}/api/v1/trading/orders", json=ORDER | {"reference": key}, headers={"Idempotency-Key": key}
                )
            except httpx.TransportError:
                with self._there:  # gone: the next attempt is for where it comes back
                    if self.url == url:
                        self.url = None
                continue
            if answer.status_code == 201:
                self.firsts.setdefault(key, answer)
            if answer.status_code != 503:
                return answer


@pytest.mark.timeout(300)
def test_orders_at_the_exchange_are_as_many_as_keys(service: Start, tmp_path: Path) -> None:
    lift_limits(tmp_path / "data")
    core = service(CONFIG)
    clients = Clients()
    clients.move_to(core.url)
    clients.start()
    total = CLIENTS * ORDERS_EACH
    for kill in range(1, KILLS + 1):
        share = total * kill // (KILLS + 1)
        eventually(lambda: len(clients.answers) >= share, 60, f"{share} answers")  # noqa: B023
        core.kill()
        core = service()
        clients.move_to(core.url)
    clients.join()

    keys = {f"{client}-{number}" for client in range(CLIENTS) for number in range(ORDERS_EACH)}
    assert clients.answers.keys() == keys
    statuses = Counter(answer.status_code for answer in clients.answers.values())
    assert statuses.keys() <= {201, 504}, {a.text for a in clients.answers.values() if a.status_code not in (201, 504)}
    # Whatever was answered first is answered still. What was not known then has been found at the venue, or is listed,
    # or was never there: that is said once, and from then on the key is as good as new.
    unknown = {intent["reference"] for intent in core.get("/api/v1/trading/intents")["intents"]}
    named: dict[str, Any] = {}
    never_there: set[str] = set()
    with httpx.Client(base_url=core.url, timeout=20, headers=AUTHORIZATION) as http:

        def post(key: str) -> httpx.Response:
            return http.post(
                "/api/v1/trading/orders", json=ORDER | {"reference": key}, headers={"Idempotency-Key": key}
            )

        for key in sorted(keys):
            again = post(key)
            if key in clients.firsts:
                assert again.headers["idempotency-replayed"] == "true"
                assert without_order(again) == without_order(clients.firsts[key])
            if again.status_code == 201:
                named[key] = again.json()["orderid"]
            elif again.status_code == 503:
                assert (clients.answers[key].status_code, key in unknown) == (504, False)
                assert again.headers["idempotency-replayed"] == "true"
                problem = again.json()
                assert problem["code"] == "unavailable"
                assert problem["detail"] == "Reconciliation: The venue, which forgets nothing, has never had it."
                sent_now = post(key)
                assert sent_now.status_code == 201, sent_now.text
                assert "idempotency-replayed" not in sent_now.headers
                assert sent_now.json()["intent_id"] != problem["intent_id"]
                never_there.add(key)
                named[key] = sent_now.json()["orderid"]
            else:
                assert (again.status_code, again.headers["idempotency-replayed"]) == (504, "true")
                assert key in unknown
    assert keys - named.keys() <= unknown
    assert core.stop() == 0

    rows = stored(core.data_dir / "sim_SIM.db", "select reference, orderid from orders")
    venue = [(reference.partition("~")[0], orderid) for reference, orderid in rows]
    count = Counter(reference for reference, _ in venue)
    assert set(count.values()) == {1}
    assert named.keys() <= count.keys() <= named.keys() | unknown
    assert never_there.isdisjoint(clients.firsts)
    assert named.items() <= dict(venue).items()


def without_order(answer: httpx.Response) -> tuple[int, dict[str, Any]]:
    """Return status and body but for the order's state: an answer that a crash cut off is made with the present one."""
    return answer.status_code, answer.json() | {"order": None}
