"""GatewaySchedule: connects gateways before their market opens and disconnects them after it has closed."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Protocol

from vnpy_core.config.gateways import GatewaySettings
from vnpy_core.errors import CoreError
from vnpy_core.models import GatewayStatus
from vnpy_core.trading.calendar import TradingCalendar
from vnpy_core.trading.trading_day import CHINA

logger = logging.getLogger(__name__)

LOOK_S = 1.0
_DAY = timedelta(days=1)
_LONGEST_BREAK = 30
# From the first session of any product to the end of the last, breaks included; a night ends in the next morning.
_DAYS = {"cn_futures": (time(9), time(15, 15)), "cn_equities": (time(9, 15), time(15))}
_NIGHT = time(21), timedelta(hours=5, minutes=30)


class Connections(Protocol):
    async def connect(self, name: str) -> GatewayStatus: ...
    async def disconnect(self, name: str) -> GatewayStatus: ...


class Hours:
    """When one gateway is to be connected. On a day that may be a holiday, and is not surely one, it is connected."""

    def __init__(self, settings: GatewaySettings, calendar: TradingCalendar) -> None:
        self._market = settings.schedule or "cn_futures"
        self._before = timedelta(minutes=settings.connect_before_min)
        self._after = timedelta(minutes=settings.disconnect_after_min)
        self._calendar = calendar

    def is_wanted(self, moment: datetime) -> bool:
        return any(begin <= moment < end for begin, end in self._around(moment, 2))

    def next_begin(self, moment: datetime) -> datetime | None:
        return next((begin for begin, _ in self._around(moment, _LONGEST_BREAK) if begin > moment), None)

    def _around(self, moment: datetime, days: int) -> Iterator[tuple[datetime, datetime]]:
        first = moment.astimezone(CHINA).date() - _DAY
        begins, ends = _DAYS[self._market]
        for number in range(days + 1):
            day = first + number * _DAY
            calendar = self._calendar.weekdays if self._calendar.is_estimated(day) else self._calendar
            if calendar.is_trading_day(day):
                yield self._with_margins(datetime.combine(day, begins, CHINA), datetime.combine(day, ends, CHINA))
            if self._market == "cn_futures" and calendar.has_night(day):
                night = datetime.combine(day, _NIGHT[0], CHINA)
                yield self._with_margins(night, night + _NIGHT[1])

    def _with_margins(self, begin: datetime, end: datetime) -> tuple[datetime, datetime]:
        return begin - self._before, end + self._after


class GatewaySchedule:
    """Loop only; ``begin`` once. It acts when the hours begin and end; what somebody does by hand holds until then.

    ``say`` has the status of a gateway that is disconnected tell when it is connected next.
    """

    def __init__(
        self,
        settings: Mapping[str, GatewaySettings],
        calendar: TradingCalendar,
        gateways: Connections,
        say: Callable[[str, str | None], None],
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._hours = {name: Hours(each, calendar) for name, each in settings.items() if each.schedule is not None}
        self._gateways = gateways
        self._say = say
        self._now = now
        self._wanted: dict[str, bool] = {}

    def is_wanted(self, name: str) -> bool | None:
        """Tell whether the gateway's hours have begun, as of the last look; ``None``: it has no schedule."""
        return self._wanted.get(name)

    def begin(self) -> None:
        """Look for the first time, before the gateways connect: those that are wanted are for the caller."""
        for name, hours in self._hours.items():
            self._wanted[name] = hours.is_wanted(self._now())
            self._tell(name)

    async def run(self) -> None:
        """Look once a second; never returns."""
        while self._hours:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        moment = self._now()
        for name, hours in self._hours.items():
            wanted = hours.is_wanted(moment)
            if wanted is not self._wanted[name]:
                self._wanted[name] = wanted
                self._tell(name)
                await self._act(name, wanted)

    def _tell(self, name: str) -> None:
        self._say(name, None if self._wanted[name] else _until(self._hours[name].next_begin(self._now())))

    async def _act(self, name: str, wanted: bool) -> None:
        logger.info("Gateway %s: the hours of its schedule %s", name, "begin" if wanted else "have ended")
        try:
            await (self._gateways.connect(name) if wanted else self._gateways.disconnect(name))
        except CoreError as error:  # somebody has connected it before
            logger.info("Gateway %s: %s", name, error.detail)


def _until(moment: datetime | None) -> str:
    return "disconnected as planned" + (f" until {moment:%Y-%m-%d %H:%M} in China" if moment is not None else "")
