"""Probes: what kills trading and no other metric tells, measured for the rules and for /metrics."""

import asyncio
import contextlib
import itertools
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from prometheus_client.core import Metric

from vnpy_core.enums import GatewayState
from vnpy_core.events import Event
from vnpy_core.instruments import Reading
from vnpy_core.models import GatewayStatus, RiskLimits, Tick
from vnpy_core.monitoring.families import family
from vnpy_core.trading.risk_reports import AccountRisk

if TYPE_CHECKING:
    from vnpy_core.service import VnPyCoreService

_LOOK_S = 1.0
_LOOKS_A_DISK = 2
_BUCKET_S = 5.0
_DAY_S = 86_400.0
# A tick that is so far off is of another session, or one of those that a venue sends of the past when it is asked.
_OTHER_SESSION_S = 3600.0
_ONLINE = frozenset({GatewayState.CONNECTED, GatewayState.STALE})


class ClockSkew:
    """How far our clock is off each gateway's: the least that a tick's time differed from when it came.

    Known only where ticks keep coming: the first ones after a subscription may be of the past.
    """

    def __init__(self) -> None:
        self._buckets: dict[str, tuple[int, float, float | None]] = {}

    def on_events(self, events: Sequence[Event]) -> None:
        """Look at the last tick of ``events``; one of many is enough."""
        for event in reversed(events):
            tick = event.data
            if type(tick) is not Tick:
                continue
            if tick.datetime is not None:
                moment = datetime.fromisoformat(tick.datetime).timestamp()
                self.take(tick.gateway_name, abs(time.time() - moment), time.monotonic())
            return

    def take(self, gateway_name: str, off_s: float, at: float) -> None:
        if off_s > _OTHER_SESSION_S:
            return
        number = int(at / _BUCKET_S)
        known = self._buckets.get(gateway_name)
        if known is None or known[0] < number - 1:
            self._buckets[gateway_name] = number, off_s, None
        elif known[0] < number:
            self._buckets[gateway_name] = number, off_s, known[1]
        else:
            self._buckets[gateway_name] = number, min(known[1], off_s), known[2]

    def read(self, at: float) -> Mapping[str, float]:
        """Return by gateway how many seconds it is."""
        number = int(at / _BUCKET_S)
        return {
            name: min(now, before)
            for name, (last, now, before) in self._buckets.items()
            if before is not None and last >= number - 1
        }


class MeanLag:
    """How long events have waited for the event thread, on average between the last two looks."""

    def __init__(self) -> None:
        self.mean_s = 0.0
        self._seen: Reading | None = None

    def look(self, reading: Reading) -> None:
        if self._seen is not None and reading.count > self._seen.count:
            self.mean_s = (reading.sum - self._seen.sum) / (reading.count - self._seen.count)
        self._seen = reading


class Probes:
    """Loop only. ``run`` is a task of its owner, for what takes a disk to find out; ``collect`` tells what is known."""

    def __init__(self, service: "VnPyCoreService") -> None:
        self._service = service
        self._skew = ClockSkew()
        self._lag = MeanLag()
        self._free_bytes: Mapping[str, float] = {}
        self._certificate_ends: float | None = None
        service.pipeline.subscribe(self._skew.on_events)

    async def run(self) -> None:
        """Look at lags, disks and certificate now and again; never returns."""
        config = self._service.config
        spool = config.history.spool_path or config.data_dir / "spool"
        folders = (config.data_dir, config.log_path, spool, config.history_path.parent)
        for number in itertools.count():
            self._lag.look(self._service.host.event_engine.lag_seconds())
            if number % _LOOKS_A_DISK == 0:
                self._free_bytes = await asyncio.to_thread(free_bytes, folders)
                if config.service.tls_cert is not None:
                    self._certificate_ends = await asyncio.to_thread(certificate_end, config.service.tls_cert)
            await asyncio.sleep(_LOOK_S)

    def collect(self) -> Iterator[Metric]:
        """Yield the families of the catalogue's group of alerts."""
        service = self._service
        statuses = service.host.gateways.statuses()
        missing = {each.gateway_name: self._is_missed(each) for each in statuses}
        mute = {
            each.gateway_name: missing[each.gateway_name] or each.state is GatewayState.STALE for each in statuses
        }
        yield family("gateway_missing", missing)
        yield family("gateway_mute", mute)
        yield family("event_lag_mean_seconds", self._lag.mean_s)
        yield family("folder_free_bytes", self._free_bytes)
        limits = service.risk.limits()
        losses: dict[tuple[str, ...], float] = {
            (account.gateway_name, limit): used
            for account in service.risk.overview().accounts
            for limit, used in used_limits(account, limits).items()
        }
        yield family("loss_limit_used_ratio", losses)
        replays = service.host.gateways.replays
        skews = {name: off_s for name, off_s in self._skew.read(time.monotonic()).items() if not replays(name)}
        yield family("clock_skew_seconds", skews)
        now = time.time()
        if self._certificate_ends is not None:
            yield family("certificate_expires_seconds", self._certificate_ends - now)
        yield family("api_key_expires_seconds", dict(self._keys(now)))
        failing = {each.name: not each.healthy for each in service.alerts.channels()}
        yield family("alert_channel_failing", failing)

    def _is_missed(self, status: GatewayStatus) -> bool:
        is_wanted = self._service.life.is_wanted(status.gateway_name) or status.recovery is not None
        return is_wanted and status.state not in _ONLINE

    def _keys(self, now: float) -> Iterator[tuple[tuple[str, ...], float]]:
        for key in self._service.access.directory.api_keys.values():
            if key.expires is not None and key.revoked is None:
                left_s = datetime.fromisoformat(key.expires).timestamp() - now
                if left_s > -_DAY_S:
                    yield (key.key_id, key.name, key.username), left_s


def free_bytes(folders: Sequence[Path]) -> Mapping[str, float]:
    """Return what is free for us on each disk, by the first of the folders on it. Blocks."""
    found: dict[int, tuple[str, float]] = {}
    for folder in folders:
        with contextlib.suppress(OSError):  # it is not made yet, or not there any more
            state = os.statvfs(folder)
            found.setdefault(folder.stat().st_dev, (str(folder), float(state.f_bavail * state.f_frsize)))
    return dict(found.values())


def certificate_end(path: Path) -> float | None:
    """Return when the first certificate in ``path`` to expire does; ``None``: it is not readable. Blocks."""
    try:
        chain = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError):
        return None
    return min(each.not_valid_after_utc.astimezone(UTC).timestamp() for each in chain)


def used_limits(account: AccountRisk, limits: RiskLimits) -> Mapping[str, float]:
    """Return by limit which part of it the account has lost; 1: all of it."""
    if account.day is None:
        return {}
    both = {**limits.limits["account"], **limits.limits["accounts"].get(account.gateway_name, {})}
    used: dict[str, float] = {}
    for limit, lost, base in (
        ("daily_loss", account.daily_loss, account.day.opening_balance),
        ("drawdown", account.drawdown, account.day.highest_balance),
    ):
        amount, percent = both.get(f"max_{limit}"), both.get(f"max_{limit}_percent")
        parts = [amount] if amount else []
        if percent and base > 0:
            parts.append(base * percent / 100)
        if parts and lost is not None:
            used[limit] = lost / min(parts)
    return used
