"""HistoryDownloads: bars from where they can be had, a gateway or vn.py's datafeed, into the history store."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta

from vnpy.trader.database import DB_TZ, BaseDatabase
from vnpy.trader.datafeed import BaseDatafeed
from vnpy.trader.object import BarData, HistoryRequest
from vnpy.trader.setting import SETTINGS

from vnpy_core.data.history.series import parse_vt_symbol
from vnpy_core.engine.main_engine import CoreMainEngine
from vnpy_core.engine.vn_enums import to_vn
from vnpy_core.enums import Interval
from vnpy_core.errors import Conflict, CoreError, Invalid, NotFound, Unavailable
from vnpy_core.models import Download, to_timestamp

logger = logging.getLogger(__name__)

AT_ONCE = 2
_MAX_LINES = 5
# A year of minutes is some hundred thousand objects of vn.py; they are had and stored a part at a time.
_PART = {Interval.MINUTE: timedelta(days=90)}
_FIRST = datetime(1990, 1, 1, tzinfo=DB_TZ)  # electronic records of markets begin later
_NO_DATAFEED = (
    "no datafeed is configured: set datafeed.name (and what it asks for) in vt_setting.json and install its package, "
    "or import a file by `vnpy-core data import`"
)
_Say = Callable[[str], None]
_Query = Callable[[HistoryRequest, _Say], Sequence[BarData] | None]


class HistoryDownloads:
    """At most two at a time, each on a daemon thread: one that is never answered must not keep the process from ending.

    ``replays`` tells of a gateway whether its market is made of what the store has already.
    """

    def __init__(
        self,
        main_engine: CoreMainEngine,
        database: BaseDatabase,
        datafeed: BaseDatafeed,
        replays: Callable[[str], bool] = lambda gateway_name: False,
    ) -> None:
        self._main = main_engine
        self._database = database
        self._datafeed = datafeed
        self._replays = replays
        self._lock = threading.Lock()
        self._running: dict[tuple[str, Interval], threading.Thread] = {}
        self._closing = False

    def begin(
        self,
        vt_symbol: str,
        interval: Interval,
        start: datetime,
        end: datetime | None = None,
        gateway_name: str | None = None,
    ) -> Future[Download]:
        """Begin to download the bars from ``start`` to ``end`` (aware; now), and return what will have come of it.

        As vn.py's DataManager does, from the gateway that has the contract if it gives history, else from the datafeed.
        The future raises NotFound (``no_data``) if there were none, Unavailable if the source or the store failed; what
        had been stored by then stays. May be called from any thread.

        Raises:
            Invalid: ``start`` is not before ``end``, or several gateways could be asked.
            NotFound: no such gateway, or nobody knows the contract (``unknown_contract``).
            Conflict: nobody who gives history has it (``no_datafeed``, ``gateway_replays``), the same is being
                downloaded (``download_running``), or two others are (``downloads_busy``).
            Unavailable: its gateway is not connected (``gateway_not_connected``).
        """
        end = min(end or datetime.now(DB_TZ), datetime.now(DB_TZ)).astimezone(DB_TZ)
        start = max(start, _FIRST)
        if start >= end:
            raise Invalid(f"start: {start.isoformat()} is not before the end, {end.isoformat()}")
        source, query = self._source(vt_symbol, gateway_name)
        future: Future[Download] = Future()
        key = vt_symbol, interval

        def run() -> None:
            try:
                done = self._download(source, query, vt_symbol, interval, start.astimezone(DB_TZ), end)
            except BaseException as error:  # noqa: BLE001 - it goes to whoever has the future
                logger.warning("%s %s was not downloaded from %s: %s", vt_symbol, interval, source, error)
                self._forget(key)
                future.set_exception(error)
            else:
                self._forget(key)
                future.set_result(done)

        with self._lock:
            if self._closing:
                raise Unavailable("The service is stopping")
            if key in self._running:
                raise Conflict(f"{vt_symbol} {interval} is being downloaded already", code="download_running")
            if len(self._running) >= AT_ONCE:
                busy = ", ".join(f"{name} {of}" for name, of in self._running)
                raise Conflict(f"{busy} are being downloaded: try again when one is done", code="downloads_busy")
            self._running[key] = threading.Thread(target=run, name=f"download-{vt_symbol}", daemon=True)
            future.set_running_or_notify_cancel()
            self._running[key].start()
        return future

    def close(self, timeout_s: float = 3.0) -> None:
        """End the downloads after the part that each is at; one that does not end in time is left."""
        with self._lock:
            self._closing = True
            running = list(self._running.values())
        for thread in running:
            thread.join(timeout_s)

    def _forget(self, key: tuple[str, Interval]) -> None:
        with self._lock:
            del self._running[key]

    def _source(self, vt_symbol: str, gateway_name: str | None) -> tuple[str, _Query]:
        """Return whom to ask, and how."""
        if gateway_name is not None and gateway_name not in self._main.gateways:
            raise NotFound(f"no gateway {gateway_name}", code="unknown_gateway")
        names = [gateway_name] if gateway_name is not None else list(self._main.gateways)
        contracts = {name: self._main.contract_of(name, vt_symbol) for name in names}
        having = [name for name, contract in contracts.items() if contract is not None]
        giving = [name for name, contract in contracts.items() if contract is not None and contract.history_data]
        able = [name for name in giving if not self._replays(name)]
        online = [name for name in able if self._main.obstacle(name) is None]
        if len(online) > 1:
            message = f"{vt_symbol} can be had of {', '.join(online)}: say which"
            raise Invalid(f"gateway_name: {message}", errors=[{"field": "gateway_name", "message": message}])
        if online:
            return online[0], lambda request, say: self._main.query_history(request, online[0])
        if gateway_name is None and type(self._datafeed) is not BaseDatafeed:
            return "datafeed", self._datafeed.query_bar_history
        if able:
            raise Unavailable(
                f"gateway {able[0]} {self._main.obstacle(able[0])}: connect it first", code="gateway_not_connected"
            )
        feed = SETTINGS["datafeed.name"]
        missing = f"datafeed {feed} cannot be loaded: install vnpy_{feed}" if feed else _NO_DATAFEED
        if giving:
            raise Conflict(f"gateway {giving[0]} replays what is stored; {missing}", code="gateway_replays")
        if having:
            raise Conflict(f"gateway {having[0]} gives no history of {vt_symbol}; {missing}", code="no_datafeed")
        whose = f"gateway {gateway_name}" if gateway_name is not None else "no gateway"
        raise NotFound(
            f"{whose} has told of a contract {vt_symbol}: connect the one that has it; {missing}",
            code="unknown_contract",
        )

    def _download(
        self, source: str, query: _Query, vt_symbol: str, interval: Interval, start: datetime, end: datetime
    ) -> Download:
        count, first, last = 0, end, start
        said: list[str] = []
        for bars in self._parts(source, query, said, vt_symbol, interval, start, end):
            count += len(bars)
            first, last = min(first, bars[0].datetime), max(last, bars[-1].datetime)
            self._database.save_bar_data(bars)
            told = f"Downloaded {count:,} {interval} bars of {vt_symbol} from {source}, up to {last.isoformat()}"
            self._main.write_log(told, "DataManager")
        if not count and said:  # a datafeed has no other way to say that it has failed
            raise Unavailable(f"{source} has given nothing: {'; '.join(said)}", code="download_failed")
        if not count:
            asked = f"from {start.isoformat()} to {end.isoformat()}"
            raise NotFound(f"{source} has no {interval} bars of {vt_symbol} {asked}", code="no_data")
        return Download(
            vt_symbol=vt_symbol, interval=interval, source=source, count=count, start=to_timestamp(first),
            end=to_timestamp(last), notes=said,
        )  # fmt: skip

    def _parts(
        self,
        source: str,
        query: _Query,
        said: list[str],
        vt_symbol: str,
        interval: Interval,
        start: datetime,
        end: datetime,
    ) -> Iterator[list[BarData]]:
        """Yield what the source has, ascending, each bar once; the first lines that it says go into ``said``."""

        def say(line: str) -> None:
            logger.info("%s, asked for %s: %s", source, vt_symbol, line)
            if len(said) < _MAX_LINES:
                said.append(str(line))

        symbol, exchange = parse_vt_symbol(vt_symbol)
        begin = start
        while begin <= end:
            if self._closing:
                raise Unavailable(f"The service is stopping: {vt_symbol} is downloaded up to {begin.isoformat()}")
            until = min(begin + _PART.get(interval, end - begin), end)
            request = HistoryRequest(symbol, to_vn(exchange), begin, until, to_vn(interval))
            try:
                found = query(request, say) or ()
            except CoreError:
                raise
            except Exception as error:
                raise Unavailable(f"{source} raised {error!r}; asked for {request}", code="download_failed") from error
            bars = sorted((_aware(bar) for bar in found if bar.vt_symbol == vt_symbol), key=lambda bar: bar.datetime)
            # Some sources know no end, and give all there is at once; some include what was had already.
            bars = [bar for bar in bars if begin <= bar.datetime <= end]
            if bars:
                yield bars
            begin = max(until, bars[-1].datetime if bars else until) + timedelta(microseconds=1)


def _aware(bar: BarData) -> BarData:
    if bar.datetime.tzinfo is None:
        bar.datetime = bar.datetime.replace(tzinfo=DB_TZ)
    return bar
