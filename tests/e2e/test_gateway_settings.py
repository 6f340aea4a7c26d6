"""A password given over the API: there after a crash, readable nowhere, and nothing without its key."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.e2e.parts.locked import PASSWORD
from tests.e2e.process import ServiceProcess, eventually

Start = Callable[..., ServiceProcess]
SETTINGS = "/api/v1/trading/gateway-settings"
CONNECT = "/api/v1/trading/gateways/SIM/connect"
OLD, NEW = "the-old-key-of-forty-characters-or-so...", "the-new-key-of-forty-characters-or-so..."
CONFIG = """
demo = false
[gateways.SIM]
class = "tests.e2e.parts.locked.LockedGateway"
auto_connect = true
reconnect = false
[security]
key = "{key}"
"""


def gateway(core: ServiceProcess) -> dict[str, Any]:
    (found,) = core.get("/api/v1/trading/gateways")["gateways"]
    assert isinstance(found, dict)
    return found


def becomes(core: ServiceProcess, state: str) -> dict[str, Any]:
    eventually(lambda: gateway(core)["state"] == state, 15, state)
    return gateway(core)


def test_a_password_given_over_the_api_survives_a_crash_and_is_shown_nowhere(service: Start) -> None:
    def start(*keys: str) -> ServiceProcess:
        return service(CONFIG.format(key=" ".join(keys)), python_path=Path(__file__).resolve().parents[2])

    core = start(OLD)
    becomes(core, "FAILED")
    core.call("POST", CONNECT, password="something else")
    becomes(core, "FAILED")
    assert core.get(SETTINGS)["gateway_settings"] == []
    core.call("POST", CONNECT, password=PASSWORD)
    becomes(core, "CONNECTED")
    eventually(lambda: core.get(SETTINGS)["gateway_settings"], 5, "it is kept")
    (kept,) = core.get(SETTINGS)["gateway_settings"]
    assert (kept["gateway_name"], kept["names"], kept["readable"]) == ("SIM", ["password"], True)
    core.kill()

    core = start(OLD)
    becomes(core, "CONNECTED")
    audit = core.http.get("/api/v1/auth/audit").text
    assert "connect" in audit
    assert PASSWORD not in audit
    core.kill()
    for path in core.data_dir.rglob("*"):
        assert path.is_dir() or PASSWORD.encode() not in path.read_bytes(), path

    core = start(NEW)  # the old key is lost
    assert "security.key" in becomes(core, "DISCONNECTED")["detail"]
    refused = core.call("POST", CONNECT, status=503)
    assert refused["code"] == "gateway_setting_unreadable"
    core.stop()

    core = start(NEW, OLD)  # found again, and rotated
    becomes(core, "CONNECTED")
    core.call("DELETE", f"{SETTINGS}/SIM")
    core.call("DELETE", f"{SETTINGS}/SIM", status=404)
    core.call("POST", "/api/v1/trading/gateways/SIM/disconnect")
    becomes(core, "DISCONNECTED")
    core.call("POST", CONNECT)
    becomes(core, "FAILED")
    assert core.stop() == 0
