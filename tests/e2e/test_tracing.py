"""One trace follows an order from the request to its row in SQL; without a collector everything goes on."""

import secrets
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable

from tests.e2e.collector import Collector, attributes
from tests.e2e.process import ServiceProcess, eventually
from tests.e2e.test_tour import order_of

STAGES = (
    "journal the intent", "wait for the event thread", "gateway.send_order", "acknowledged by the venue", "filled",
    "sql row",
)  # fmt: skip


def test_a_trace_follows_an_order_from_the_request_to_its_row(service: Callable[..., ServiceProcess]) -> None:
    trace_id, caller = secrets.token_hex(16), secrets.token_hex(8)
    with Collector() as collector:
        core = service(f"[tracing]\nendpoint = '{collector.endpoint}'\nauthorization = 'Basic planted-secret-9d'\n")
        contract = next(c for c in core.get("/api/v1/trading/contracts")["contracts"] if c["product"] == "FUTURES")
        core.call("POST", "/api/v1/trading/subscriptions", vt_symbols=[contract["vt_symbol"]])
        eventually(lambda: core.get("/api/v1/trading/ticks", vt_symbol=contract["vt_symbol"])["ticks"])
        sent = core.http.post(
            "/api/v1/trading/orders",
            json=order_of(contract, type="MARKET", price=0, volume=1),
            headers={"traceparent": f"00-{trace_id}-{caller}-01", "X-Request-ID": "desk-7"},
        )
        vt_orderid = sent.json()["vt_orderid"]
        spans = eventually(lambda: (found := collector.of(trace_id)) and set(STAGES) <= found.keys() and found, 20)

        request, order = spans["POST /api/v1/trading/orders"], spans["order"]
        assert request.parent_span_id.hex() == caller
        assert attributes(request)["http.response.status_code"] == 201
        assert attributes(request)["vnpy_core.request_id"] == "desk-7"
        assert order.parent_span_id == request.span_id
        told = attributes(order)
        assert (told["vnpy_core.vt_orderid"], told["vnpy_core.status"]) == (vt_orderid, "ALLTRADED")
        last = order.start_time_unix_nano
        for name in STAGES:
            stage = spans[name]
            assert stage.parent_span_id == order.span_id
            assert last <= stage.end_time_unix_nano <= order.end_time_unix_nano
            last = stage.end_time_unix_nano
        now = time.time_ns()
        assert all(now - 60e9 < span.start_time_unix_nano <= span.end_time_unix_nano <= now for span in spans.values())
        # What the trace says is there is there.
        with sqlite3.connect(core.data_dir / "vnpy-core.db") as database:
            rows = database.execute("SELECT status FROM orders WHERE vt_orderid = ?", (vt_orderid,)).fetchall()
        assert rows == [("ALLTRADED",)]
        assert set(collector.authorizations) == {"Basic planted-secret-9d"}
        assert collector.resources[0]["service.name"] == "vnpy-core"
        untraced = [span.name for span in collector.spans if "health" in span.name or "metrics" in span.name]
        assert not untraced

    # The collector is gone: orders go on, and the stop does not wait for it.
    began = time.monotonic()
    for _ in range(5):
        core.call("POST", "/api/v1/trading/orders", status=201, **order_of(contract, type="MARKET", price=0, volume=1))
    assert time.monotonic() - began < 5
    began = time.monotonic()
    assert core.stop() == 0
    assert time.monotonic() - began < 15
    log = (core.data_dir / "logs" / "vnpy-core.log").read_text(encoding="utf-8")
    assert "planted-secret-9d" not in log + core.printed()


def test_without_an_endpoint_nothing_that_traces_is_imported() -> None:
    """Others import OpenTelemetry's API where it is installed; what makes and sends spans is the SDK."""
    program = "import sys, vnpy_core.launch; print([name for name in sys.modules if 'opentelemetry.sdk' in name])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
