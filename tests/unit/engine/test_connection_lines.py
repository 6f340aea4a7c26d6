"""The log lines of known gateways, word for word as in their sources, and what each says."""

import pytest

from vnpy_core.engine.connection_lines import Connections, News, Recovery, Side, read_line, recovery_of


@pytest.mark.parametrize(
    ("line", "side", "news"),
    [
        ("行情服务器连接断开，原因4097", Side.MARKET, News.LOST),  # vnpy_ctp, tts, mini, sopt, rohon, tora
        ("交易服务器连接断开，原因4097", Side.TRADING, News.LOST),
        ("交易服务器连接断开, 原因1", Side.TRADING, News.LOST),  # vnpy_xtp
        ("行情服务器登录成功", Side.MARKET, News.BACK),
        ("交易服务器登录成功", Side.TRADING, News.BACK),
        ("交易服务器登录失败，代码：3，信息：CTP:不合法的登录", Side.TRADING, News.REFUSED),
        ("交易服务器授权验证失败，代码：63，信息：CTP:客户端认证失败", Side.TRADING, News.REFUSED),
        ("IB TWS连接断开", Side.TRADING, News.LOST),
        ("IB TWS连接成功", Side.TRADING, News.BACK),
        ("User API disconnected, code: 1006, msg: ", Side.TRADING, News.LOST),  # vnpy_binance
        ("Trade API connected", Side.TRADING, News.BACK),
        ("UM MD API disconnected, code: 1006, msg: ", Side.MARKET, News.LOST),
        ("Private API login failed", Side.TRADING, News.REFUSED),  # vnpy_okx
        ("Public websocket stream of linear is disconnected", Side.MARKET, News.LOST),  # vnpy_bybit
        ("Private websocket stream is connected", Side.TRADING, News.BACK),
        ("Trade websocket stream login failed: bad key", Side.TRADING, News.REFUSED),
    ],
)
def test_what_a_line_says(line: str, side: Side, news: News) -> None:
    sign = read_line(line)
    assert sign is not None
    assert (sign.side, sign.news) == (side, news)


@pytest.mark.parametrize(
    "line",
    [
        "行情服务器连接成功", "合约信息查询成功", "委托请求发送失败，错误代码：-2", "logging in u1", "",
        "order 26010500001 refused: 行情服务器连接断开",
    ],
)  # fmt: skip
def test_other_lines_say_nothing(line: str) -> None:
    assert read_line(line) is None


def test_one_connection_of_a_side_does_not_speak_for_the_others() -> None:
    connections = Connections()
    for line in ("User API disconnected, code: 1, msg: ", "Trade API disconnected, code: 1, msg: ", "MD API connected"):
        sign = read_line(line)
        assert sign is not None
        connections.note(sign)
    assert connections.lost(Side.TRADING)
    assert not connections.lost(Side.MARKET)
    for line, lost in (("Trade API connected", True), ("User API connected", False)):
        sign = read_line(line)
        assert sign is not None
        connections.note(sign)
        assert connections.lost(Side.TRADING) is lost


def test_binance_names_one_connection_in_two_ways() -> None:
    connections = Connections()
    for line, lost in (("MD Public API disconnected, code: 1, msg: ", True), ("Public API connected", False)):
        sign = read_line(line)
        assert sign is not None
        connections.note(sign)
        assert connections.lost(Side.MARKET) is lost


def test_who_comes_back_by_itself() -> None:
    assert recovery_of(type("CtpGateway", (), {"__module__": "vnpy_ctp.gateway.ctp_gateway"})) is Recovery.ALWAYS
    assert recovery_of(type("B", (), {"__module__": "vnpy_binance.linear"})) is Recovery.ONCE_CONNECTED
    mine = type("Mine", (type("T", (), {"__module__": "vnpy_tts.gateway"}),), {"__module__": "my.gateway"})
    assert recovery_of(mine) is Recovery.ALWAYS
    assert recovery_of(Connections) is Recovery.NEVER
