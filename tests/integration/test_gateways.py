"""GatewayHost with real engines: loading, connecting, disconnecting, each gateway apart from the others."""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from vnpy.event import EVENT_TIMER, Event
from vnpy.trader.event import EVENT_LOG

from tests.integration.fake_gateways import Account, InPlace
from vnpy_core.config.gateways import GatewaySettings
from vnpy_core.engine.event_engine import CoreEventEngine
from vnpy_core.engine.gateways import GatewayHost
from vnpy_core.engine.main_engine import CoreMainEngine
from vnpy_core.enums import Exchange, GatewayState
from vnpy_core.errors import Conflict, NotFound
from vnpy_core.models import GatewayStatus

WAIT_S = 10.0
FAKES = "tests.integration.fake_gateways"
LOGIN = {"user": "u1", "password": "hunter22"}


class Site:
    """The engines, and a host made from keyword arguments."""

    def __init__(self) -> None:
        self.events = CoreEventEngine(3600)
        self.main = CoreMainEngine(self.events)
        self.told: list[GatewayStatus] = []
        self.changed = threading.Condition()

    def host(self, **gateways: Any) -> GatewayHost:
        settings = {
            name: GatewaySettings.model_validate({"class": f"{FAKES}.Account", **each})
            for name, each in gateways.items()
        }
        self.gateways = GatewayHost(self.main, self.events, settings)
        self.gateways.on_status = self._tell
        self.gateways.load()
        return self.gateways

    def _tell(self, status: GatewayStatus) -> None:
        with self.changed:
            self.told.append(status)
            self.changed.notify_all()

    def wait_for(self, name: str, state: GatewayState) -> GatewayStatus:
        with self.changed:
            assert self.changed.wait_for(lambda: self.gateways.status(name).state is state, WAIT_S)
        return self.gateways.status(name)

    def gateway(self, name: str) -> Any:
        return self.main.gateways[name]


@pytest.fixture
def site() -> Iterator[Site]:
    Account.made.clear()
    made = Site()
    yield made
    for gateway in Account.made:
        gateway.go_on.set()
    if hasattr(made, "gateways"):
        made.gateways.close()
    made.main.close()


def test_several_accounts_of_one_class(site: Site) -> None:
    host = site.host(A={"setting": {**LOGIN, "user": "a"}}, B={"setting": {**LOGIN, "user": "b"}})
    assert [status.gateway_name for status in host.statuses()] == ["A", "B"]
    assert {status.state for status in host.statuses()} == {GatewayState.DISCONNECTED}
    assert host.status("A").exchanges == [Exchange.SHFE, Exchange.DCE]
    assert host.status("A").class_path == f"{FAKES}.Account"
    for name in ("A", "B"):
        assert host.connect(name).result(WAIT_S).state is GatewayState.CONNECTED
    assert site.gateway("A").setting["user"] == "a"
    assert site.gateway("B").setting["user"] == "b"
    assert site.main.exchanges == site.gateway("A").exchanges


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("vnpy_ctp.CtpGateway", ["vnpy_ctp is not installed", "pip install --no-deps vnpy_ctp"]),
        ("vnpy_rpcservice.nope.RpcGateway", ["vnpy_rpcservice.nope", "correct the path"]),
        (f"{FAKES}.Acount", ["has no class Acount", "did you mean tests.integration.fake_gateways.Account?"]),
        (f"{FAKES}.NotAGateway", ["is not a vn.py gateway"]),
        ("Account", ["not a path such as"]),
        (f"{FAKES}.Unmakeable", ["locale-gen zh_CN.GB18030"]),
        ("broken_import.Gateway", ["SystemExit"]),
        ("needs_ibapi.Gateway", ["needs ibapi", "pip install nautilus-ibapi"]),
        ("needs_library.Gateway", ["librohonbase.so", "LD_LIBRARY_PATH"]),
    ],
)
def test_a_class_that_cannot_be_loaded_says_why_and_stops_nothing(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, words: list[str]
) -> None:
    (tmp_path / "broken_import.py").write_text("raise SystemExit('at import')\n")
    (tmp_path / "needs_ibapi.py").write_text("import ibapi.order_cancel\n")
    (tmp_path / "needs_library.py").write_text(
        "raise ImportError('librohonbase.so: cannot open shared object file')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    host = site.host(BAD={"class": path, "setting": LOGIN}, GOOD={"setting": LOGIN})
    status = host.status("BAD")
    assert status.state is GatewayState.FAILED
    assert status.detail is not None
    assert "\n" not in status.detail
    for word in words:
        assert word in status.detail
    assert host.default_setting("BAD") == {}
    assert host.connect("GOOD").result(WAIT_S).state is GatewayState.CONNECTED
    assert host.connect("BAD").result(WAIT_S).state is GatewayState.FAILED
    assert host.disconnect("BAD").result(WAIT_S).state is GatewayState.FAILED


def test_a_gateway_installed_meanwhile_is_loaded_by_connect(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    host = site.host(NEW={"class": "new_gateway.New", "setting": LOGIN})
    assert host.status("NEW").state is GatewayState.FAILED
    (tmp_path / "new_gateway.py").write_text(f"from {FAKES} import Account\nclass New(Account):\n    pass\n")
    assert host.connect("NEW").result(WAIT_S).state is GatewayState.CONNECTED
    del sys.modules["new_gateway"]


def test_a_name_with_a_dot_is_refused(site: Site) -> None:
    """vn.py's offset converter takes ``gateway.order`` apart at its dots."""
    host = site.host(**{"A.1": {"setting": LOGIN}})
    assert host.status("A.1").state is GatewayState.FAILED
    assert "dot" in str(host.status("A.1").detail)


@pytest.mark.parametrize("do", ["connect", "account only"])
def test_connected_is_what_has_sent_a_contract_or_an_account(site: Site, do: str) -> None:
    host = site.host(A={"setting": {**LOGIN, "do": do}})
    assert site.main.obstacle("A") == "is DISCONNECTED"
    status = host.connect("A").result(WAIT_S)
    assert (status.state, status.detail) == (GatewayState.CONNECTED, None)
    assert status.since is not None
    assert site.main.obstacle("A") is None
    states = [told.state for told in site.told]
    assert states[0] is GatewayState.CONNECTING
    assert states[-1] is GatewayState.CONNECTED
    assert site.gateway("A").thread == "gateway-A"
    with pytest.raises(Conflict) as caught:
        host.connect("A")
    assert caught.value.error_code == "gateway_connected"


def test_defaults_that_say_something_are_filled_in(site: Site) -> None:
    host = site.host(A={"setting": LOGIN})
    host.connect("A", {"port": 81}).result(WAIT_S)
    assert site.gateway("A").setting == {**LOGIN, "server": "REAL", "port": 81, "do": "connect"}
    defaults = host.default_setting("A")
    defaults["server"].append("changed")
    assert host.default_setting("A")["server"] == ["REAL", "TEST"]


def test_a_wrong_setting_of_our_own_gateway_is_said_plainly(site: Site) -> None:
    host = site.host(A={"class": "vnpy_core.engine.sim.SimGateway", "setting": {"sed": 1}})
    status = host.connect("A").result(WAIT_S)
    detail = "the simulated gateway's setting: unknown key 'sed'; did you mean 'seed'?"
    assert (status.state, status.detail) == (GatewayState.FAILED, detail)


def test_a_missing_setting_is_named(site: Site) -> None:
    host = site.host(A={"setting": {"user": "u1"}})
    status = host.connect("A").result(WAIT_S)
    assert (status.state, status.detail) == (GatewayState.FAILED, "the setting 'password' is missing")
    assert "FAILED" in str(site.main.obstacle("A"))
    assert host.connect("A", {"password": "hunter22"}).result(WAIT_S).state is GatewayState.CONNECTED


@pytest.mark.parametrize(("do", "word"), [("raise", "cannot log in u1"), ("exit", "SystemExit")])
def test_a_connect_that_raises_has_failed(site: Site, do: str, word: str) -> None:
    host = site.host(A={"setting": {**LOGIN, "do": do}})
    status = host.connect("A").result(WAIT_S)
    assert status.state is GatewayState.FAILED
    assert word in str(status.detail)


def test_silence_is_a_failure_that_quotes_the_gateway_and_may_end(site: Site) -> None:
    """G2: vn.py's connect returns at once, and nothing tells that it has failed."""
    host = site.host(A={"setting": {**LOGIN, "do": "silence"}, "connect_timeout_s": 0.2})
    status = host.connect("A").result(WAIT_S)
    assert status.state is GatewayState.FAILED
    assert "0.2 s" in str(status.detail)
    assert "logging in u1" in str(status.detail)
    site.gateway("A").tell()
    assert site.wait_for("A", GatewayState.CONNECTED).detail is None


def test_secrets_are_seen_by_the_gateway_alone(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    lines: list[str] = []
    site.events.tap(EVENT_LOG, lambda event: lines.append(event.data.msg))
    caplog.set_level("DEBUG")
    setting = {"user": SecretStr("user-one"), "password": "hunter22", "do": "raise"}
    host = site.host(A={"setting": setting, "connect_timeout_s": 0.2})
    host.connect("A").result(WAIT_S)
    host.connect("A", {"password": "other-secret", "do": "silence"}).result(WAIT_S)
    assert site.events.drain(WAIT_S)
    assert site.gateway("A").setting["user"] == "user-one"
    shown = " ".join([*lines, *(str(status) for status in [*site.told, *host.statuses()]), caplog.text])
    for secret in ("user-one", "hunter22", "other-secret"):
        assert secret not in shown
    assert "logging in *** with ***" in shown


def test_a_connect_that_never_returns_holds_up_no_other(site: Site) -> None:
    host = site.host(
        SLOW={"setting": {**LOGIN, "do": "block"}, "connect_timeout_s": 0.2}, FAST={"setting": LOGIN}
    )
    slow = host.connect("SLOW")
    assert site.gateway("SLOW").blocked.wait(WAIT_S)
    with pytest.raises(Conflict) as caught:
        host.connect("SLOW")
    assert caught.value.error_code == "gateway_connecting"
    assert host.connect("FAST").result(WAIT_S).state is GatewayState.CONNECTED
    assert slow.result(WAIT_S).state is GatewayState.FAILED


def test_disconnect_gives_up_an_attempt_that_goes_on(site: Site) -> None:
    host = site.host(A={"setting": {**LOGIN, "do": "block"}})
    attempt = host.connect("A")
    gateway = site.gateway("A")
    assert gateway.blocked.wait(WAIT_S)
    closing = host.disconnect("A")
    assert attempt.result(WAIT_S).state is GatewayState.DISCONNECTED
    gateway.go_on.set()
    assert closing.result(WAIT_S).state is GatewayState.DISCONNECTED
    assert site.events.drain(WAIT_S)
    assert host.status("A").state is GatewayState.DISCONNECTED
    assert gateway.closed == 1


def test_after_a_disconnect_a_new_instance_connects(site: Site) -> None:
    """Most gateways cannot use a closed session again; the old instance hears no more of the timer."""
    host = site.host(A={"setting": LOGIN})
    host.connect("A").result(WAIT_S)
    first = site.gateway("A")
    status = host.disconnect("A").result(WAIT_S)
    assert (status.state, status.detail) == (GatewayState.DISCONNECTED, None)
    assert "DISCONNECTED" in str(site.main.obstacle("A"))
    assert host.connect("A").result(WAIT_S).state is GatewayState.CONNECTED
    second = site.gateway("A")
    assert second is not first
    assert (first.closed, second.closed) == (1, 0)
    assert len(Account.made) == 2
    site.events.put(Event(EVENT_TIMER))
    assert site.events.drain(WAIT_S)
    assert (first.ticks, second.ticks) == (0, 1)


def test_after_a_failure_a_new_instance_connects(site: Site) -> None:
    host = site.host(A={"setting": {**LOGIN, "do": "raise"}})
    host.connect("A").result(WAIT_S)
    first = site.gateway("A")
    assert first.closed == 0
    assert host.connect("A", {"do": "connect"}).result(WAIT_S).state is GatewayState.CONNECTED
    assert site.gateway("A") is not first
    assert first.closed == 1


def test_a_mistake_in_a_setting_is_forgotten_and_one_that_works_is_kept(site: Site) -> None:
    host = site.host(A={"setting": LOGIN})
    assert host.connect("A", {"do": "raise"}).result(WAIT_S).state is GatewayState.FAILED
    assert host.connect("A", {"user": "other"}).result(WAIT_S).state is GatewayState.CONNECTED
    host.disconnect("A").result(WAIT_S)
    assert host.connect("A").result(WAIT_S).state is GatewayState.CONNECTED
    assert site.gateway("A").setting["user"] == "other"


def test_a_class_may_say_that_it_reconnects_in_place(site: Site) -> None:
    host = site.host(A={"class": f"{FAKES}.InPlace", "setting": LOGIN})
    host.connect("A").result(WAIT_S)
    first = site.gateway("A")
    assert isinstance(first, InPlace)
    host.disconnect("A").result(WAIT_S)
    assert host.connect("A").result(WAIT_S).state is GatewayState.CONNECTED
    assert site.gateway("A") is first
    site.events.put(Event(EVENT_TIMER))
    assert site.events.drain(WAIT_S)
    assert (first.closed, first.ticks) == (1, 1)


def test_a_close_that_raises_is_told_and_no_obstacle(site: Site) -> None:
    host = site.host(A={"setting": {**LOGIN, "do": "fail to close"}})
    host.connect("A").result(WAIT_S)
    status = host.disconnect("A").result(WAIT_S)
    assert status.state is GatewayState.DISCONNECTED
    assert "close failed" in str(status.detail)
    assert host.connect("A").result(WAIT_S).state is GatewayState.CONNECTED


def test_an_unknown_gateway_is_not_found(site: Site) -> None:
    host = site.host(A={"setting": LOGIN})
    for command in (host.connect, host.disconnect, host.default_setting, host.status):
        with pytest.raises(NotFound, match="there are: A"):
            command("B")


def test_a_broken_listener_changes_nothing(site: Site) -> None:
    host = site.host(A={"setting": LOGIN})

    def broken(status: GatewayStatus) -> None:
        raise RuntimeError("listener")

    host.on_status = broken
    assert host.connect("A").result(WAIT_S).state is GatewayState.CONNECTED


def test_close_ends_attempts_and_leaves_the_gateways_to_the_main_engine(site: Site) -> None:
    host = site.host(A={"setting": LOGIN}, B={"setting": {**LOGIN, "do": "silence"}})
    host.connect("A").result(WAIT_S)
    attempt = host.connect("B")
    host.close()
    assert attempt.result(WAIT_S).state is GatewayState.DISCONNECTED
    assert site.gateway("A").closed == 0
    with pytest.raises(Conflict):
        host.connect("B")
    site.main.close()
    assert (site.gateway("A").closed, site.gateway("B").closed) == (1, 1)
