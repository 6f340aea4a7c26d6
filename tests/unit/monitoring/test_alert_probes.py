"""What the rules are given that no other metric tells."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from vnpy_core.config.risk_settings import RiskSettings
from vnpy_core.enums import TradingState
from vnpy_core.instruments import Histogram
from vnpy_core.models import RiskDay, RiskLimits, RiskState
from vnpy_core.monitoring.alerts.probes import ClockSkew, MeanLag, certificate_end, free_bytes, used_limits
from vnpy_core.trading.risk_reports import AccountRisk

AT = "2026-01-05T01:30:00.000000+00:00"


def test_clock_skew_is_the_least_of_what_keeps_coming() -> None:
    skew = ClockSkew()
    for second in range(4):
        skew.take("A", 30.0 + second, float(second))
    assert skew.read(4.0) == {}  # a moment's ticks may be of the past
    skew.take("A", 31.0, 6.0)
    skew.take("B", 0.01, 6.0)
    skew.take("C", 7200.0, 1.0)
    skew.take("C", 7200.0, 6.0)
    assert skew.read(7.0) == {"A": 30.0}
    skew.take("B", 0.02, 11.0)
    skew.take("A", 40.0, 11.0)
    assert skew.read(12.0) == {"A": 31.0, "B": 0.01}
    assert skew.read(30.0) == {}


def test_lag_is_the_mean_since_the_last_look() -> None:
    histogram, lag = Histogram(), MeanLag()
    histogram.observe(9.0)
    lag.look(histogram.read())
    assert lag.mean_s == 0.0
    for value in (0.1, 0.3):
        histogram.observe(value)
    lag.look(histogram.read())
    lag.look(histogram.read())
    assert lag.mean_s == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("limits", "used"),
    [
        ({}, {}),
        ({"account": {"max_daily_loss": 100.0}}, {"daily_loss": 0.5}),
        ({"account": {"max_daily_loss": 100.0, "max_daily_loss_percent": 1.0}}, {"daily_loss": 5.0}),
        ({"account": {"max_daily_loss": 9.0}, "accounts": {"SIM": {"max_daily_loss": 200.0}}}, {"daily_loss": 0.25}),
        ({"account": {"max_drawdown_percent": 10.0}}, {"drawdown": 60 / 101}),
    ],
)
def test_how_much_of_a_loss_limit_is_used(limits: dict[str, object], used: dict[str, float]) -> None:
    shown = RiskSettings.model_validate(limits).model_dump(mode="json")
    shown["accounts"] = limits.get("accounts", {})
    state = RiskState(scope="SIM", state=TradingState.ACTIVE, reason="", source="operator", since=AT)
    day = RiskDay(
        vt_accountid="SIM.SIM", gateway_name="SIM", day="2026-01-05", opening_balance=1000.0, highest_balance=1010.0
    )
    account = AccountRisk(
        gateway_name="SIM", effective_state=TradingState.ACTIVE, state=state, day=day, balance=950.0, daily_loss=50.0,
        drawdown=60.0,
    )  # fmt: skip
    found = used_limits(account, RiskLimits(limits=shown, source="api", updated=None))
    assert found == pytest.approx(used)


def test_disks_are_counted_once_and_those_that_are_not_there_not_at_all(tmp_path: Path) -> None:
    found = free_bytes([tmp_path / "nowhere", tmp_path, tmp_path.parent])
    assert list(found) == [str(tmp_path)]
    assert found[str(tmp_path)] > 0


def test_the_certificate_that_expires_first_counts(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "desk")])
    now = datetime.now(UTC).replace(microsecond=0)
    chain = b""
    for days in (30, 3):
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        builder = builder.serial_number(days).not_valid_before(now).not_valid_after(now + timedelta(days=days))
        chain += builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    path = tmp_path / "chain.pem"
    path.write_bytes(chain)
    assert certificate_end(path) == (now + timedelta(days=3)).timestamp()
    path.write_text("nothing")
    assert certificate_end(path) is None
