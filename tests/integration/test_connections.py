"""Connections that are lost and come back, with real engines: states, holds, reports, and who brings them back."""

from typing import Any

import pytest

from tests.integration.test_gateways import LOGIN, WAIT_S, Site, site  # noqa: F401 - the fixture
from vnpy_core.engine.commands import TradingCommands
from vnpy_core.enums import Direction, Exchange, GatewayState, Offset, OrderType
from vnpy_core.errors import Unavailable
from vnpy_core.models import OrderSpec

SIM: dict[str, Any] = {"class": "vnpy_core.engine.sim.SimGateway", "setting": {"persist": False}}


def test_the_loss_of_trading_is_read_from_the_log_and_ends_with_a_sign_of_life(site: Site) -> None:  # noqa: F811
    host = site.host(A={"setting": LOGIN})
    host.connect("A").result(WAIT_S)
    site.gateway("A").write_log("交易服务器连接断开，原因4097")
    lost = site.wait_for("A", GatewayState.DISCONNECTED)
    assert (lost.detail, lost.recovery, lost.losses) == ("交易服务器连接断开，原因4097", "SERVICE", 1)
    assert "DISCONNECTED" in str(site.main.obstacle("A"))
    site.gateway("A").tell()
    back = site.wait_for("A", GatewayState.CONNECTED)
    assert (back.detail, back.recovery, back.connections) == (None, None, 2)
    assert site.main.obstacle("A") is None


def test_the_loss_of_market_data_is_stale_and_takes_orders(site: Site) -> None:  # noqa: F811
    host = site.host(A={"setting": LOGIN})
    host.connect("A").result(WAIT_S)
    site.gateway("A").write_log("行情服务器连接断开，原因4097")
    assert site.wait_for("A", GatewayState.STALE).detail == "行情服务器连接断开，原因4097"
    assert site.main.obstacle("A") is None
    site.gateway("A").tell()  # an account or a contract says nothing of market data
    assert site.events.drain(WAIT_S)
    assert host.status("A").state is GatewayState.STALE
    site.gateway("A").write_log("行情服务器登录成功")
    assert site.wait_for("A", GatewayState.CONNECTED).detail is None


def test_a_refused_login_is_not_repeated(site: Site) -> None:  # noqa: F811
    host = site.host(A={"setting": {**LOGIN, "do": "silence"}, "auto_connect": True})
    attempt = host.connect("A")
    line = "交易服务器登录失败，代码：3，信息：不合法的登录"
    while not site.gateway("A").setting:
        site.events.drain(WAIT_S)
    site.gateway("A").write_log(line)
    status = attempt.result(WAIT_S)
    assert (status.state, status.detail, status.recovery) == (GatewayState.FAILED, line, None)


@pytest.mark.parametrize(
    ("wanted", "recovery"),
    [({"auto_connect": True}, "SERVICE"), ({"schedule": "cn_futures"}, "SERVICE"), ({}, None)],
)
def test_a_first_attempt_is_repeated_if_the_start_wants_it(
    site: Site, wanted: dict[str, Any], recovery: str | None  # noqa: F811
) -> None:
    host = site.host(A={"setting": {**LOGIN, "do": "raise"}, **wanted})
    assert host.connect("A").result(WAIT_S).recovery == recovery


def test_orders_are_held_until_the_report_is_let_go_and_cancels_pass(site: Site) -> None:  # noqa: F811
    host = site.host(SIM=SIM)
    host.gate(["SIM"], ["SIM"])
    commands = TradingCommands(site.main)
    host.connect("SIM").result(WAIT_S)
    assert site.events.drain(WAIT_S)
    spec = OrderSpec(
        symbol="rb2605", exchange=Exchange.SHFE, direction=Direction.LONG, offset=Offset.OPEN, type=OrderType.LIMIT,
        volume=1.0, price=3300.0, reference="desk", marker="0" * 32,
    )  # fmt: skip
    with pytest.raises(Unavailable) as caught:
        site.events.call(commands.send_order, "SIM", spec).result(WAIT_S)
    assert caught.value.error_code == "reconciling"
    report = host.reports.since("SIM", None, 0)
    assert report is not None
    assert report.is_complete
    assert (len(report.orders), len(report.accounts)) == (0, 1)

    host.release("SIM", "another connection")
    with pytest.raises(Unavailable):
        site.events.call(commands.send_order, "SIM", spec).result(WAIT_S)
    host.release("SIM", report.began)
    vt_orderid = site.events.call(commands.send_order, "SIM", spec).result(WAIT_S)

    site.gateway("SIM").inject(disconnect=True)
    assert site.wait_for("SIM", GatewayState.DISCONNECTED).recovery == "SERVICE"
    host.connect("SIM").result(WAIT_S)
    assert site.events.drain(WAIT_S)
    report = host.reports.since("SIM", None, 0)
    assert report is not None
    assert report.markers == {vt_orderid: "0" * 32}
    assert report.orders[vt_orderid].reference == "desk"
    with pytest.raises(Unavailable):
        site.events.call(commands.send_order, "SIM", spec).result(WAIT_S)
    site.events.call(commands.cancel_order, vt_orderid).result(WAIT_S)


def test_a_mute_gateway_is_stale_until_it_speaks_or_is_connected_anew(site: Site) -> None:  # noqa: F811
    host = site.host(SIM=SIM)
    host.mute("SIM", "nothing comes")  # not connected: nothing to be mute
    assert host.status("SIM").state is GatewayState.DISCONNECTED
    host.connect("SIM").result(WAIT_S)
    host.mute("SIM", "nothing comes")
    assert (host.status("SIM").state, host.status("SIM").detail) == (GatewayState.STALE, "nothing comes")
    host.hold_stale("SIM", "nothing comes")
    spec = OrderSpec(
        symbol="rb2605", exchange=Exchange.SHFE, direction=Direction.LONG, offset=Offset.OPEN, type=OrderType.LIMIT,
        volume=1.0, price=3300.0,
    )  # fmt: skip
    with pytest.raises(Unavailable) as caught:
        site.events.call(TradingCommands(site.main).send_order, "SIM", spec).result(WAIT_S)
    assert caught.value.error_code == "gateway_stale"
    host.mute("SIM", None)
    assert host.status("SIM").state is GatewayState.CONNECTED
    host.mute("SIM", "nothing comes")
    site.gateway("SIM").inject(disconnect=True)
    site.wait_for("SIM", GatewayState.DISCONNECTED)
    assert host.connect("SIM").result(WAIT_S).state is GatewayState.CONNECTED


def test_a_planned_disconnect_is_no_loss_and_says_until_when(site: Site) -> None:  # noqa: F811
    host = site.host(A={"setting": LOGIN})
    host.connect("A").result(WAIT_S)
    host.plan("A", "disconnected as planned until Monday")
    assert host.status("A").detail is None
    closed = host.disconnect("A").result(WAIT_S)
    assert (closed.state, closed.detail) == (GatewayState.DISCONNECTED, "disconnected as planned until Monday")
    assert (closed.recovery, closed.losses) == (None, 0)
    assert host.connect("A").result(WAIT_S).detail is None
    site.gateway("A").write_log("交易服务器连接断开，原因4097")
    assert site.wait_for("A", GatewayState.DISCONNECTED).detail == "交易服务器连接断开，原因4097"


@pytest.mark.parametrize(("session", "is_open"), [("always", True), ("closed", False)])
def test_the_simulated_exchange_knows_its_own_hours(site: Site, session: str, is_open: bool) -> None:  # noqa: F811
    host = site.host(SIM={**SIM, "setting": {"persist": False, "session": session}}, A={"setting": LOGIN})
    assert host.market_is_open("SIM") is None
    host.connect("SIM").result(WAIT_S)
    host.connect("A").result(WAIT_S)
    assert host.market_is_open("SIM") is is_open
    assert host.market_is_open("A") is None
