"""The log of a real service: no planted secret in it or anywhere else, and lines that say which request and order."""

import json
from collections.abc import Callable
from pathlib import Path

from tests.e2e.process import ServiceProcess, eventually
from tests.e2e.test_tour import order_of

ROOT = Path(__file__).resolve().parents[2]
PLANTED = [f"planted-{name}-7Qx2" for name in ("password", "cache", "registry", "key", "ticket", "query", "body")]
PASSWORD, CACHE, REGISTRY, KEY, TICKET, QUERY, BODY = PLANTED
CONFIG = f"""\
[log]
level = "DEBUG"
format = "json"
[cache]
url = "redis://core:{CACHE}@127.0.0.1:1/0"
[registry]
url = "redis://core:{REGISTRY}@127.0.0.1:1/0"
[gateways.SIM]
auto_connect = true
[gateways.LOUD]
class = "tests.e2e.parts.indiscreet.IndiscreetGateway"
auto_connect = true
[gateways.LOUD.setting]
"用户名" = "me"
"密码" = "{PASSWORD}"
server = "tcp://me:{PASSWORD}@127.0.0.1:1"
"""


def test_no_secret_is_told_and_lines_bear_request_and_order(service: Callable[..., ServiceProcess]) -> None:
    core = service(CONFIG, python_path=ROOT)
    answers = [
        core.http.get("/api/v1/trading/orders", headers={"Authorization": f"Bearer {KEY}"}),
        core.http.get(f"/ws?ticket={TICKET}"),
        core.http.get(f"/api/v1/trading/orders?token={QUERY}"),
        core.http.post("/api/v1/auth/login", json={"username": "admin", "password": BODY}),
        core.http.post("/api/v1/trading/gateways/LOUD/connect", json={"setting": {"密码": BODY}}),
        core.http.post(
            "/api/v1/trading/orders",
            json={"symbol": "X", "exchange": "LOCAL", "direction": "LONG", "type": "LIMIT", "price": 1, "volume": 1},
        ),
        *(core.http.get(path) for path in ("/api/v1/system/status", "/health/ready", "/metrics")),
        core.http.get("/api/v1/trading/gateways"),
    ]
    assert "cache" in answers[7].text
    contract = next(c for c in core.get("/api/v1/trading/contracts")["contracts"] if c["product"] == "FUTURES")
    core.call("POST", "/api/v1/trading/subscriptions", vt_symbols=[contract["vt_symbol"]])
    eventually(lambda: core.get("/api/v1/trading/ticks", vt_symbol=contract["vt_symbol"])["ticks"])
    sent = core.http.post(
        "/api/v1/trading/orders",
        json=order_of(contract, type="MARKET", price=0, volume=1),
        headers={"X-Request-ID": "desk-42"},
    )
    assert sent.status_code == 201
    assert core.stop() == 0

    told = "".join(answer.text for answer in answers)
    kept = {path: path.read_bytes() for path in core.data_dir.rglob("*") if path.is_file()}
    log = core.data_dir / "logs" / "vnpy-core.log"
    for secret in PLANTED:
        assert secret not in told
        holders = [path.name for path, content in kept.items() if secret.encode() in content]
        assert holders in ([], ["vnpy-core.toml"]), secret
    lines = [json.loads(line) for line in kept[log].decode().splitlines()]
    # The gateway did speak, in each of its ways.
    for logger in ("vnpy", "its.library", "tests.e2e.parts.indiscreet"):
        assert [line for line in lines if line["logger"] == logger and "***" in json.dumps(line)], logger
    about = [line for line in lines if line.get("vt_orderid") == sent.json()["vt_orderid"]]
    assert about
    assert {line["request_id"] for line in about} == {"desk-42"}
    # What is done for everybody is no request's.
    assert not [line for line in lines if "request_id" in line and line["logger"].startswith("vnpy_core.bus")]
