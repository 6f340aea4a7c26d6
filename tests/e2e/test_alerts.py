"""Each default alert, by its real cause: told once to a webhook, resolved without the cause; and over a restart."""

import re
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.parts.troubled import STRATEGIES
from tests.e2e.process import AUTHORIZATION, ServiceProcess, eventually
from tests.e2e.test_tour import order_of
from tests.servers import MariaDb, Redis
from tests.servers.certificates import Certificates
from tests.servers.disks import fill_up, small_disk
from tests.webhook import Webhook, webhook

ROOT = Path(__file__).resolve().parents[2]
SYMBOL, HELD = "BTCUSDT.GLOBAL", "hc2605.SHFE"
ALERTS = "/api/v1/alerts"
QUICK = """
[alerts]
evaluate_s = 0.2
group_s = 0.1
restart_s = 3
[alerts.channels.ops]
url = "{ops}"
min_severity = "info"
rate_per_min = 600
retry_s = 0.1
"""
CONFIG = QUICK + """
[alerts.channels.hung]
url = "{hung}"
min_severity = "info"
rate_per_min = 600
timeout_s = 0.5
retry_s = 0.1
[alerts.rules]
gateway_down = {{ for_s = 0.5, resolve_s = 0 }}
feed_mute = {{ for_s = 0.2, resolve_s = 0 }}
event_lag = {{ value = 0.2, for_s = 0, resolve_s = 0 }}
handler_errors = {{ window_s = 3, resolve_s = 0 }}
sink_down = {{ for_s = 0.2, resolve_s = 0 }}
sink_behind = {{ value = 15, for_s = 0.5, resolve_s = 0, suppressed_by = [] }}
loss_near = {{ resolve_s = 0 }}
clock_skew = {{ for_s = 0, resolve_s = 0 }}
api_key_expiry = {{ resolve_s = 0 }}
channel_failing = {{ for_s = 0.5, resolve_s = 0 }}
[monitoring]
stalled_after_s = 2.0
[database]
url = "{database}"
timeout_s = 0.5
[cache]
url = "{cache}"
timeout_s = 0.5
[gateways.SIM]
class = "tests.e2e.parts.troubled.TroubledGateway"
auto_connect = true
reconnect = false
mute_after_s = 4.0
drift_settle_s = 0.5
[gateways.SIM.setting]
ticks_per_second = 100
commission_per_lot = 1000
"""


def told(hook: Webhook) -> list[tuple[str, str]]:
    """Return what was told, one by one: the tag and the summary."""
    found = []
    for body in hook.taken:
        lines = body["message"].splitlines()[:-1] if re.match(r"\[[A-Z ]+\] \d+ alerts:", body["title"]) else []
        for line in lines or [body["title"]]:
            match = re.search(r"\[([A-Z ]+)\] (.+)", line)
            if match is not None:
                found.append((match[1], match[2][:100]))  # a title is cut short
    return found


def alerts(hook: Webhook) -> list[tuple[str, str]]:
    return [each for each in told(hook) if each[0] not in ("MESSAGE", "TEST")]


class Desk:
    """The service, its folder and its webhook."""

    def __init__(self, core: ServiceProcess, hook: Webhook) -> None:
        self.core = core
        self.hook = hook

    def once(self, tag: str, summary: str, timeout_s: float = 30.0) -> None:
        """Wait until it is told."""

        def is_told() -> bool:
            return any(each[0] == tag and summary in each[1] for each in told(self.hook))

        eventually(is_told, timeout_s, f"{tag} {summary}; told: {told(self.hook)}")

    @contextmanager
    def trouble(self, name: str) -> Iterator[None]:
        file = self.core.data_dir / name
        file.touch()
        try:
            yield
        finally:
            file.unlink()

    def alert(self, alert_id: str) -> dict[str, Any]:
        """Return the newest of an alert."""
        alerts = self.core.get(ALERTS)["alerts"]
        found: dict[str, Any] = next((each for each in alerts if each["alert_id"] == alert_id), {"state": None})
        return found

    def strategy(self, class_name: str, vt_symbol: str = SYMBOL) -> None:
        self.core.call(
            "POST", "/api/v1/strategies", status=201, class_name=class_name, strategy_name=class_name.lower(),
            vt_symbol=vt_symbol, setting={},
        )  # fmt: skip
        self.begin(class_name.lower())

    def begin(self, name: str) -> None:
        self.core.call("POST", f"/api/v1/strategies/{name}/init")
        self.core.call("POST", f"/api/v1/strategies/{name}/start")


@pytest.mark.timeout(400)
def test_each_is_told_once_by_its_cause_and_resolved_without_it(
    service: Callable[..., ServiceProcess], own_mariadb: MariaDb, own_redis: Redis, tmp_path: Path
) -> None:
    strategies = tmp_path / "data" / "strategies"
    strategies.mkdir(parents=True)
    (strategies / "troubled.py").write_text(STRATEGIES)
    with webhook() as hook, webhook() as hung:
        hung.hangs = True
        config = CONFIG.format(
            ops=hook.url, hung=hung.url, database=own_mariadb.new_database(), cache=own_redis.url
        )
        core = service(config, python_path=ROOT)
        desk = Desk(core, hook)
        core.call("POST", "/api/v1/trading/subscriptions", vt_symbols=[SYMBOL, HELD])
        desk.strategy("Troubled")
        desk.once("MESSAGE", "troubled")
        assert str(hook.taken).count("the strategy has begun") == 1
        desk.strategy("Handling", HELD)
        assert core.run("token", "create", "tour", "--days", "1").returncode == 0

        servers_and_clocks(desk, own_mariadb, own_redis)
        strategies_and_threads(desk)
        money(desk)
        assert core.run("token", "revoke", "tour").returncode == 0
        tested = core.run("alerts", "test", "ops", "--config", str(core.config))
        assert (tested.returncode, tested.stdout) == (0, "ops: delivered\n"), tested.stderr
        desk.once("RESOLVED", "API key tour")
        hung.hangs = False
        hung.closed.set()
        desk.once("RESOLVED", "Alerts do not get through to hung")
        a_gateway_and_a_restart(desk, service)

        every = Counter(alerts(hook))
        assert {each: count for each, count in every.items() if count > 1} == {}
        raised = {summary for tag, summary in every if tag != "RESOLVED"}
        assert {summary for tag, summary in every if tag == "RESOLVED"} == raised
        assert "planted-secret" not in core.printed()
        logs = "".join(path.read_text() for path in (core.data_dir / "logs").glob("*.log*"))
        assert "planted-secret" not in logs


def servers_and_clocks(desk: Desk, database: MariaDb, cache: Redis) -> None:
    desk.once("WARNING", "API key tour")
    desk.once("WARNING", "Alerts do not get through to hung")
    database.freeze()
    cache.freeze()
    with desk.trouble("late"):
        contract = {"gateway_name": "SIM", "symbol": "hc2605", "exchange": "SHFE"}
        for volume in range(1, 5):
            order = order_of(contract, price=3500, volume=volume)
            vt_orderid = desk.core.call("POST", "/api/v1/trading/orders", (201, 409), **order).get("vt_orderid")
            if vt_orderid:
                desk.core.call("DELETE", f"/api/v1/trading/orders/{vt_orderid}")
        desk.once("CRITICAL", "sql cannot be written")
        desk.once("CRITICAL", "cache cannot be written")
        desk.once("WARNING", "sql is ")
        desk.once("WARNING", "The clock is ")
    database.thaw()
    cache.thaw()
    for summary in ("sql cannot be written", "cache cannot be written", "sql is ", "The clock is "):
        desk.once("RESOLVED", summary)
    with desk.trouble("silence"):
        desk.once("CRITICAL", "No market data comes from gateway SIM")
    desk.once("RESOLVED", "No market data comes from gateway SIM")


def strategies_and_threads(desk: Desk) -> None:
    with desk.trouble("raise"):
        desk.once("CRITICAL", "Strategy 'troubled' failed: ValueError: as it was asked to")
    desk.begin("troubled")
    desk.once("RESOLVED", "Strategy 'troubled' failed")
    with desk.trouble("handler"):
        desk.once("WARNING", "A handler raises: ")
        desk.once("CRITICAL", "Strategy 'handling' failed")
    desk.begin("handling")
    desk.once("RESOLVED", "Strategy 'handling' failed")
    desk.once("RESOLVED", "A handler raises: ")
    with desk.trouble("hold"):
        desk.once("CRITICAL", "The event thread has made no progress")
    desk.once("RESOLVED", "The event thread has made no progress")
    with desk.trouble("slow"):
        desk.once("WARNING", "s for the event thread")
    desk.once("RESOLVED", "s for the event thread")


def money(desk: Desk) -> None:
    core = desk.core
    with desk.trouble("gift"):
        desk.once("CRITICAL", f"{HELD} on SIM: the account holds 5")
    desk.once("RESOLVED", f"{HELD} on SIM: the account holds 5")
    contract = next(c for c in core.get("/api/v1/trading/contracts")["contracts"] if c["vt_symbol"] == HELD)
    core.call("POST", "/api/v1/trading/orders", status=201, **order_of(contract, type="MARKET", price=0, volume=5))

    def lost() -> float:
        (account,) = core.get("/api/v1/risk/state")["accounts"]
        return float(account["daily_loss"] or 0)

    eventually(lambda: lost() > 3000, 15, "the commission is paid")
    core.call("PUT", "/api/v1/risk/limits", account={"max_daily_loss": lost() * 1.1})
    desk.once("WARNING", "of its limit of daily_loss")
    core.call("PUT", "/api/v1/risk/limits", account={"max_daily_loss": lost() * 0.5})
    desk.once("CRITICAL", "Trading of SIM is REDUCING")
    core.call("PUT", "/api/v1/risk/limits", account={})
    core.call("POST", "/api/v1/risk/resume", scope="SIM", reason="understood")
    desk.once("RESOLVED", "of its limit of daily_loss")
    desk.once("RESOLVED", "Trading of SIM is REDUCING")


def a_gateway_and_a_restart(desk: Desk, service: Callable[..., ServiceProcess]) -> None:
    core = desk.core
    (core.data_dir / "cut").touch()
    desk.once("CRITICAL", "Gateway SIM is not connected")
    eventually(lambda: desk.alert("feed_mute.SIM")["state"] == "SILENCED", 15, "its cause silences its effect")
    assert desk.alert("feed_mute.SIM")["silenced_by"] == "gateway_down.SIM"
    before = desk.alert("gateway_down.SIM")
    eventually(lambda: "ops raised" in desk.alert("gateway_down.SIM")["delivered"], 15, "it is delivered")
    # What was told before is on disk once this is.
    core.call("POST", f"{ALERTS}/silences", matchers={"rule": "nothing"}, duration_s=60)
    core.kill()
    count = len(alerts(desk.hook))
    desk.core = core = service(folder="data", python_path=ROOT)
    eventually(lambda: core.get(ALERTS)["alerts"], 10)
    again = desk.alert("gateway_down.SIM")
    assert (again["incident_id"], again["state"]) == (before["incident_id"], "FIRING")
    noted = core.call("POST", f"{ALERTS}/{again['incident_id']}/acknowledge", note="the line is cut")
    assert noted["state"] == "ACKNOWLEDGED"
    (core.data_dir / "cut").unlink()
    core.call("POST", "/api/v1/trading/gateways/SIM/connect")
    desk.once("RESOLVED", "Gateway SIM is not connected")
    assert alerts(desk.hook)[count:] == [("RESOLVED", "Gateway SIM is not connected")]


def test_a_disk_that_fills_up_and_a_certificate_that_ends(tmp_path: Path) -> None:
    made = Certificates(tmp_path / "tls")
    with small_disk(128) as disk, webhook() as hook:
        tls = f'[service]\ntls_cert = "{made.server}"\ntls_key = "{made.server_key}"\n'
        rules = "[alerts.rules]\ndisk_low = { value = 5e7, resolve_s = 0 }\n"
        head = "demo = false\n[log]\nfile = false\n"
        core = ServiceProcess(disk / "data", head + tls + QUICK.format(ops=hook.url) + rules)
        core.http = httpx.Client(
            timeout=30.0, headers=AUTHORIZATION, verify=ssl.create_default_context(cafile=str(made.ca))
        )
        with core:
            desk = Desk(core, hook)
            desk.once("WARNING", "The TLS certificate expires")
            filler = disk / "filler"
            filler.write_bytes(bytes(90_000_000))
            desk.once("CRITICAL", "bytes are free on the disk")
            fill_up(disk / "rest")
            core.http.post("/api/v1/risk/halt", json={"reason": "to have something to write"})
            desk.once("CRITICAL", "New orders are refused")
            (disk / "rest").unlink()
            filler.unlink()
            desk.once("RESOLVED", "bytes are free on the disk")
            desk.once("RESOLVED", "New orders are refused")
            assert core.stop() == 0
