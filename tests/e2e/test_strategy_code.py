"""A strategy whose code is uploaded, reloaded while it trades, there again after kill -9, and rolled back."""

from collections.abc import Callable
from typing import Any

from tests.e2e.process import ServiceProcess, eventually

Start = Callable[..., ServiceProcess]

CONFIG = """
demo = false
[strategies]
upload = true
[gateways.SIM]
class = "vnpy_core.engine.sim.SimGateway"
auto_connect = true
[gateways.SIM.setting]
ticks_per_second = 20
"""
SOURCE = '''
from vnpy_ctastrategy import CtaTemplate


class Uploaded(CtaTemplate):
    """Buys one at its first tick, and leaves an order far below the market."""

    version = 0
    fills = 0
    cancels = ""
    variables = ["version", "fills", "cancels"]

    def on_init(self):
        {on_init}

    def on_start(self):
        self.version = {version}

    def on_tick(self, tick):
        if self.trading and self.pos == 0 and not self.fills:
            self.fills = -1
            self.buy(tick.ask_price_1 + 10, 1)
            self.buy(tick.limit_down, 1)
        self.put_event()

    def on_trade(self, trade):
        self.fills += 2
        self.put_event()

    def on_order(self, order):
        if order.status.name == "CANCELLED":
            self.cancels += "{version}"
            self.put_event()
'''


def source(version: int, on_init: str = "pass") -> str:
    return SOURCE.format(version=version, on_init=on_init)


def shown(core: ServiceProcess) -> dict[str, Any]:
    return dict(core.get("/api/v1/strategies/mine/variables")["variables"])


def until(core: ServiceProcess, **wanted: Any) -> None:
    eventually(lambda: wanted.items() <= shown(core).items(), 20, f"{wanted}")


def audited(core: ServiceProcess) -> list[str]:
    """Return what was asked for, the first first, once the end of it is there."""
    entries = core.get("/api/v1/auth/audit", limit=100)["entries"]
    told = [f"{one['action'].removeprefix('POST /api/v1/')} {one['status']}" for one in reversed(entries)]
    return told if told[-1:] == ["DELETE /api/v1/strategy-files/uploaded.py 200"] else []


def test_code_from_its_upload_to_its_rollback(service: Start) -> None:
    with service(CONFIG) as core:
        upload, strategy = "/api/v1/strategy-files/uploaded.py/versions", "/api/v1/strategies/mine"
        core.call("POST", upload, 201, source=source(1), comment="first")
        described = core.get("/api/v1/strategies/classes/Uploaded")
        assert (described["origin"], described["doc"].split()[0]) == ("uploaded", "Buys")
        core.call(
            "POST", "/api/v1/strategies", 201, class_name="Uploaded", strategy_name="mine", vt_symbol="rb2605.SHFE",
            auto_start=True,
        )  # fmt: skip
        core.call("POST", f"{strategy}/init")
        core.call("POST", f"{strategy}/start")
        until(core, version=1, fills=1, pos=1)

        assert core.call("POST", upload, 422, source="import nowhere")["code"] == "import_failed"
        core.call("POST", upload, 201, source=source(2, "raise ValueError('not ready')"))
        refused = core.call("POST", f"{strategy}/reload", 409)
        assert (refused["code"], "not ready" in refused["traceback"]) == ("strategy_failed", True)
        assert (core.get(strategy)["state"], shown(core)["version"]) == ("TRADING", 1)

        core.call("POST", upload, 201, source=source(3))
        assert core.call("POST", f"{strategy}/reload")["state"] == "TRADING"
        until(core, version=3, fills=1, pos=1)
        (resting,) = core.get("/api/v1/trading/orders", active=True)["orders"]
        core.call("DELETE", f"/api/v1/trading/orders/{resting['vt_orderid']}")
        until(core, cancels="3")

        core.kill()
        (core.data_dir / "uploaded_strategies" / "uploaded.py").write_text("changed by hand")
        core.start()
        eventually(lambda: core.get(strategy)["state"] == "TRADING", 20)
        until(core, version=3, fills=1, pos=1)
        assert core.get("/api/v1/strategy-files/uploaded.py")["source"] == source(3)

        back = core.call("POST", "/api/v1/strategy-files/uploaded.py/rollback", 201, version=1, comment="better")
        assert (back["version"], back["restores"]) == (4, 1)
        done = core.call("POST", "/api/v1/strategies/classes/Uploaded/reload")
        assert (done["reloaded"], done["failed"]) == (["mine"], [])
        until(core, version=1, fills=1, pos=1)
        assert core.call("DELETE", "/api/v1/strategy-files/uploaded.py", 409)["code"] == "class_in_use"
        core.call("POST", f"{strategy}/stop")
        core.call("DELETE", strategy)
        assert core.call("DELETE", "/api/v1/strategy-files/uploaded.py")["deleted"] is True
        assert core.http.get("/api/v1/strategies/classes/Uploaded").status_code == 404

        told = eventually(lambda: audited(core), 15, "the last command is in the audit log")
        assert [one for one in told if "reload" in one or "rollback" in one] == [
            "strategies/mine/reload 409", "strategies/mine/reload 200",
            "strategy-files/uploaded.py/rollback 201", "strategies/classes/Uploaded/reload 200",
        ]  # fmt: skip
        assert [one for one in told if one.endswith("versions 201")] == 3 * ["strategy-files/uploaded.py/versions 201"]
