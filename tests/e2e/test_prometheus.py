"""What is in deploy/, with the real Prometheus and promtool and a real service, and systemd's own check of the unit."""

import configparser
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.process import ADMIN_KEY, ServiceProcess, eventually
from tests.e2e.test_tour import order_of
from tests.servers.base import ProgramMissing, find_program
from tests.servers.fixtures import missing, running
from tests.servers.prometheus import Prometheus
from vnpy_core.monitoring.catalogue import METRICS, full_names

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "vnpy-core.rules.yml"
# Told only where there is something to tell of: events in the last minute, a certificate.
SOMETIMES = {"event_engine_lag_p99_seconds", "certificate_expires_seconds"}
NAME = re.compile(r"\b(?:vnpy_core|process)_[a-z0-9_]+\b")


@pytest.fixture(scope="module")
def promtool() -> Callable[..., str]:
    try:
        program = find_program("promtool")
    except ProgramMissing as error:
        missing(error)

    def run(*arguments: str, given: str = "", cwd: Path | None = None) -> str:
        done = subprocess.run(
            [program, *arguments], input=given, capture_output=True, text=True, timeout=60, check=False, cwd=cwd
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """A service that has done a little of everything."""
    with ServiceProcess(tmp_path_factory.mktemp("service")) as running_service:
        contract = next(
            c for c in running_service.get("/api/v1/trading/contracts")["contracts"] if c["product"] == "FUTURES"
        )
        running_service.call("POST", "/api/v1/trading/subscriptions", vt_symbols=[contract["vt_symbol"]])
        eventually(lambda: running_service.get("/api/v1/trading/ticks", vt_symbol=contract["vt_symbol"])["ticks"])
        order = order_of(contract, type="MARKET", price=0, volume=1)
        running_service.call("POST", "/api/v1/trading/orders", status=201, **order)
        running_service.call("POST", "/api/v1/trading/orders", status=409, **order | {"volume": 1.5})
        yield running_service


@pytest.fixture(scope="module")
def prometheus(core: ServiceProcess) -> Iterator[Prometheus]:
    """The example configuration, with the address, the key and the pace changed."""
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (job,) = config["scrape_configs"]
    job["static_configs"][0]["targets"] = [core.url.removeprefix("http://")]
    job["authorization"]["credentials_file"] = "vnpy-core.key"
    files = {
        "prometheus.yml": yaml.safe_dump(config), "vnpy-core.rules.yml": RULES.read_text(encoding="utf-8"),
        "vnpy-core.key": ADMIN_KEY,
    }  # fmt: skip
    with running(Prometheus, files=files) as server:
        eventually(lambda: server.query('up{job="vnpy-core"} == 1'), 20, "the service was scraped")
        yield server


def scraped_names(core: ServiceProcess) -> set[str]:
    lines = core.http.get("/metrics").text.splitlines()
    return {re.split(r"[{ ]", line)[0] for line in lines if not line.startswith("#")}


def known_names(core: ServiceProcess) -> set[str]:
    """Return what is scraped, and what only comes to be told of once it has happened."""
    return scraped_names(core) | {full for name in METRICS for full in full_names(name)}


def dashboard() -> Any:
    return json.loads((DEPLOY / "grafana" / "vnpy-core.json").read_text(encoding="utf-8"))


def expressions() -> list[str]:
    """Return what the dashboard asks for, as Grafana would ask for it."""
    found = [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", ())]
    return [one.replace("$__rate_interval", "1m").replace("$instance", ".*") for one in found]


def test_a_scrape_is_as_prometheus_wants_it_and_holds_the_whole_catalogue(
    core: ServiceProcess, promtool: Callable[..., str]
) -> None:
    text = core.http.get("/metrics").text
    promtool("check", "metrics", given=text)
    declared = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    told = {}
    for name, described in METRICS.items():
        full = next(full_names(name)) if described.kind != "histogram" else f"vnpy_core_{name}"
        expected = "gauge" if described.kind == "info" else described.kind
        told[name] = declared.get(full)
        assert told[name] in (expected, None), name
    assert {name for name, kind in told.items() if kind is None} <= SOMETIMES
    ours = {name for name in declared if name.startswith("vnpy_core_")}
    assert ours <= {full for name in METRICS for full in full_names(name)} | {f"vnpy_core_{name}" for name in METRICS}


def test_the_example_and_the_rules_are_valid(promtool: Callable[..., str], tmp_path: Path) -> None:
    for file in (DEPLOY / "prometheus").glob("*.yml"):
        shutil.copy(file, tmp_path)
    (tmp_path / "key").write_text("a key")
    config = tmp_path / "prometheus.yml"
    config.write_text(config.read_text().replace("/etc/prometheus/vnpy-core.key", str(tmp_path / "key")))
    assert "SUCCESS" in promtool("check", "config", "--lint=all", "--lint-fatal", str(config))


def test_rules_fire_for_their_cause_and_for_nothing_less(promtool: Callable[..., str], tmp_path: Path) -> None:
    """The series of a cause, minute by minute, and what is to be firing then."""
    cases: list[tuple[str, dict[str, str], str, list[dict[str, str]]]] = [
        ("VnpyCoreDown", {'up{job="vnpy-core"}': "1 1 0 0 0"}, "4m", [{"job": "vnpy-core"}]),
        ("VnpyCoreDown", {'up{job="other"}': "0x5"}, "4m", []),
        (
            "VnpyCoreGatewayDown",
            {
                'vnpy_core_gateway_wanted{gateway="CTP"}': "1x5",
                'vnpy_core_gateway_state{gateway="CTP",state="CONNECTED"}': "1 1 0 0 0 0",
                'vnpy_core_gateway_state{gateway="CTP",state="STALE"}': "0x5",
                'vnpy_core_gateway_wanted{gateway="SIM"}': "0x5",
                'vnpy_core_gateway_state{gateway="SIM",state="CONNECTED"}': "0x5",
            },
            "4m",
            [{"gateway": "CTP"}],
        ),
        ("VnpyCoreEventThreadStalled", {"vnpy_core_event_thread_stalled_seconds": "0 6 12"}, "2m", [{}]),
        ("VnpyCoreEventThreadStalled", {"vnpy_core_event_thread_stalled_seconds": "0 3 0"}, "2m", []),
        (
            "VnpyCoreEventLag",
            {
                'vnpy_core_event_engine_lag_seconds_bucket{instance="a",le="0.01"}': "0x10",
                'vnpy_core_event_engine_lag_seconds_bucket{instance="a",le="0.5"}': "0+60x10",
                'vnpy_core_event_engine_lag_seconds_bucket{instance="a",le="+Inf"}': "0+60x10",
            },
            "8m",
            [{"instance": "a"}],
        ),
        ("VnpyCoreSinkBehind", {'vnpy_core_sink_lag_facts{sink="sql"}': "0 20000x3"}, "3m", [{"sink": "sql"}]),
        ("VnpyCoreDiskLow", {"vnpy_core_disk_free_bytes": "5x4", "vnpy_core_disk_size_bytes": "100x4"}, "3m", [{}]),
        ("VnpyCoreStrategyFailed", {'vnpy_core_strategies{state="FAILED"}': "0 1"}, "1m", [{"state": "FAILED"}]),
        ("VnpyCoreOrdersUnknown", {"vnpy_core_unknown_orders": "0 1 1"}, "2m", [{}]),
        ("VnpyCoreJournalFailing", {"vnpy_core_journal_healthy": "1 0"}, "1m", [{}]),
    ]
    severities = {
        rule["alert"]: rule["labels"]["severity"]
        for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    }
    tests = [
        {
            "interval": "1m",
            "input_series": [{"series": series, "values": values} for series, values in inputs.items()],
            "alert_rule_test": [
                {
                    "eval_time": at,
                    "alertname": alert,
                    "exp_alerts": [{"exp_labels": labels | {"severity": severities[alert]}} for labels in firing],
                }
            ],
        }
        for alert, inputs, at, firing in cases
    ]
    shutil.copy(RULES, tmp_path)
    rules = tmp_path / RULES.name
    # promtool compares annotations too, and these are for people.
    rules.write_text(re.sub(r"\n +annotations:\n +summary: .*", "", rules.read_text(encoding="utf-8")))
    (tmp_path / "tests.yml").write_text(yaml.safe_dump({"rule_files": [RULES.name], "tests": tests}))
    promtool("test", "rules", "tests.yml", cwd=tmp_path)


def test_every_metric_of_the_dashboard_and_the_rules_exists(core: ServiceProcess) -> None:
    known = known_names(core)
    asked = {name for expression in expressions() for name in NAME.findall(expression)}
    rules = set(NAME.findall(RULES.read_text(encoding="utf-8")))
    assert len(asked) > 40
    assert asked <= known
    assert len(rules) > 20
    assert rules <= known


def test_the_dashboard_can_be_drawn() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= 24
        cells = {(grid["x"] + x, grid["y"] + y) for x in range(grid["w"]) for y in range(grid["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
        if panel["type"] != "row":
            assert panel["targets"]
            assert panel["datasource"]["uid"] == "${datasource}"
            assert panel["fieldConfig"]["defaults"]["unit"]


def test_prometheus_scrapes_the_service_and_knows_the_rules(core: ServiceProcess, prometheus: Prometheus) -> None:
    groups = eventually(lambda: evaluated(prometheus.api("rules")["groups"]), 20, "the rules were evaluated")
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) == len(yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"][0]["rules"])
    assert not [rule["name"] for rule in rules if rule["health"] != "ok"]
    firing = [rule["name"] for rule in rules if rule["state"] == "firing"]
    assert not firing, firing  # of a service that is well
    assert prometheus.query("vnpy_core_ready")[0]["value"][1] == "1"
    # By default Prometheus asks for OpenMetrics; what the service says then is the same.
    assert prometheus.query('vnpy_core_order_stage_seconds_count{stage="filled"}')[0]["value"][1] == "1"
    for expression in expressions():
        prometheus.query(expression)
    eventually(lambda: prometheus.query("rate(vnpy_core_event_engine_processed_events_total[1m]) > 0"), 20)
    target = prometheus.api("targets")["activeTargets"][0]
    assert (target["health"], target["lastError"]) == ("up", "")


def evaluated(groups: list[Any]) -> list[Any] | None:
    waiting = [rule for group in groups for rule in group["rules"] if rule["health"] == "unknown"]
    return groups if groups and not waiting else None


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    unit = DEPLOY / "systemd" / "vnpy-core.service"
    parsed = configparser.RawConfigParser(strict=False)
    parsed.optionxform = str  # type: ignore[assignment, method-assign]
    parsed.read_string(unit.read_text(encoding="utf-8"))
    service = dict(parsed["Service"])
    assert service["Type"] == "notify"
    # Three beats may be lost, and a stall is told of before it ends the service.
    assert float(service["WatchdogSec"]) >= 10
    assert float(service["TimeoutStopSec"]) > 20
    if (program := shutil.which("systemd-analyze")) is not None:
        mine = tmp_path / unit.name
        text = unit.read_text(encoding="utf-8").replace("/opt/vnpy-core/bin/vnpy-core", "/bin/true")
        mine.write_text(text.replace("User=vnpy-core", "User=root").replace("Group=vnpy-core", "Group=root"))
        done = subprocess.run([program, "verify", str(mine)], capture_output=True, text=True, timeout=60, check=False)
        assert mine.name not in done.stderr, done.stderr
