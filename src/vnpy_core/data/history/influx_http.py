"""InfluxHttp: one InfluxDB over HTTP: writes and queries in the form that 1.x, 2.x and 3.x share, and its errors.

``/write`` takes line protocol (``/api/v2/write`` if an organisation is named), ``/query`` takes InfluxQL with bound
parameters and answers in chunks, a JSON text a line. Each request repeats well, so one whose connection breaks (the
server was restarted, or dropped an idle connection) is sent once more.
"""

import base64
import json
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
import msgspec

from vnpy_core import __version__
from vnpy_core.errors import ConfigError, CoreError, DataRejected, Unavailable

_ANSWER_ROWS = 10_000
_CONNECTIONS = 8
_PING_TIMEOUT_S = 3.0
_LONGEST_DETAIL = 300
_DISK_FULL = ("no space left", "file too large", "disk quota")
_OTHER_TYPE = ("field type conflict", "already exists as type", "invalid column type")
_NO_DATABASE = re.compile(
    r"(database|bucket)\b.*not found|cannot retrieve database|no dbrp mapping|default retention policy not set", re.I
)
_REFUSED = re.compile(r"authoriz|not authenticated|insufficient permissions", re.I)
_BROKEN = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError, httpx.CloseError)


class DatabaseMissing(Exception):
    """The server has no such database, or maps it to no bucket. The text is the server's."""


class Part(msgspec.Struct, frozen=True):
    """A run of rows of one series, of the statement ``statement_id``."""

    columns: list[str] = []
    values: list[list[Any]] = []
    tags: dict[str, str] = {}
    statement_id: int = 0


class _Result(msgspec.Struct):
    statement_id: int = 0
    series: list[Part] = []
    error: str | None = None
    partial: bool = False


class _Answer(msgspec.Struct):
    results: list[_Result] = []
    error: str | None = None
    message: str | None = None


_DECODER = msgspec.json.Decoder(_Answer)


class InfluxHttp:
    """Any thread, several at once. Nothing is asked of the server before the first request.

    Raises:
        Unavailable: it cannot be reached, does not answer in time, its disk is full; may be tried again.
        ConfigError: the credentials or a setting are wrong, or another program has written what ours cannot join.
        DataRejected: the server refuses what a request holds.
        DatabaseMissing: from ``query`` and ``write``.
    """

    def __init__(
        self,
        url: str,
        database: str,
        *,
        token: str | None = None,
        username: str | None = None,
        password: str | None = None,
        org: str | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        self.url = url.rstrip("/")
        self.database = database
        self._timeout_s = timeout_s
        self._secrets = [secret for secret in (token, password) if secret]
        headers = {"User-Agent": f"vnpy-core/{__version__}", "Accept": "application/json"}
        # Packing 100,000 ticks takes an InfluxDB longer than finding them.
        headers["Accept-Encoding"] = "identity"
        if token:
            headers["Authorization"] = f"Token {token}"
        elif username:
            pair = base64.b64encode(f"{username}:{password or ''}".encode()).decode()
            headers["Authorization"] = f"Basic {pair}"
        # No proxy and no .netrc of the environment: neither is meant for a database.
        self._client = httpx.Client(
            headers=headers,
            timeout=timeout_s,
            limits=httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS),
            verify=ssl.create_default_context() if url.startswith("https:") else False,
            trust_env=False,
        )
        if org:
            self._write_to = f"{self.url}/api/v2/write"
            self._write_parameters = {"org": org, "bucket": database, "precision": "ns"}
        else:
            # Without a precision: 1.8 knows "n" for it, later ones "ns", and it is the default of all.
            self._write_to = f"{self.url}/write"
            self._write_parameters = {"db": database}
        self._closed = False

    def __str__(self) -> str:
        return f"The InfluxDB at {self.url}"

    def version(self) -> str:
        """Return the version that the server names, such as 1.6.7, without a v."""
        with self._answered("GET", f"{self.url}/ping", timeout=min(self._timeout_s, _PING_TIMEOUT_S)) as response:
            self._check(response)
            version = response.headers.get("X-Influxdb-Version")
            if version is None:
                raise ConfigError(f"{self.url} does not answer as an InfluxDB does. Correct history.url.")
            return str(version).removeprefix("v")

    def write(self, body: bytes) -> None:
        """Write lines in gzip's format."""
        headers = {"Content-Encoding": "gzip", "Content-Type": "text/plain; charset=utf-8"}
        where = self._write_parameters
        with self._answered("POST", self._write_to, params=where, content=body, headers=headers) as response:
            self._check(response)

    def query(self, text: str, parameters: Mapping[str, str | int] | None = None, *, repeat: bool = True) -> list[Part]:
        """Return the whole answer of a small query."""
        return list(self.stream(text, parameters, repeat=repeat))

    def stream(
        self, text: str, parameters: Mapping[str, str | int] | None = None, *, repeat: bool = True
    ) -> Iterator[Part]:
        """Give the answer in parts of at most ``_ANSWER_ROWS`` rows, as they come; times are in microseconds.

        Each ``$name`` in ``text`` is bound by the server to the value in ``parameters``; 3.x wants none that ``text``
        does not have. ``repeat=False``: do not send it again if the connection breaks.
        """
        form = {"db": self.database, "q": text, "epoch": "u", "chunked": "true", "chunk_size": str(_ANSWER_ROWS)}
        if parameters:
            form["params"] = json.dumps(parameters)
        with self._answered("POST", f"{self.url}/query", data=form, repeat=repeat) as response:
            self._check(response)
            is_cut = False
            for line in _lines(response):
                for result in self._decoded(line).results:
                    if result.error is not None:
                        raise self._explained(200, result.error)
                    is_cut = result.partial
                    for part in result.series:
                        yield msgspec.structs.replace(part, statement_id=result.statement_id)
            if is_cut:
                raise Unavailable(f"{self} ended its answer to a query before the end.")

    def close(self) -> None:
        """Let go of the connections. Requests under way end, by an error or in their time. Idempotent."""
        self._closed = True
        self._client.close()

    @contextmanager
    def _answered(self, method: str, url: str, *, repeat: bool = True, **options: Any) -> Iterator[httpx.Response]:
        """Give the answer, to be read within the context; what breaks or takes too long is an ``Unavailable``."""
        if self._closed:
            raise Unavailable(f"{self} is closed")
        timeout = options.pop("timeout", self._timeout_s)
        request = self._client.build_request(method, url, timeout=timeout, **options)
        try:
            try:
                response = self._client.send(request, stream=True)
            except _BROKEN:
                if not repeat:
                    raise
                response = self._client.send(request, stream=True)
            try:
                yield response
            finally:
                response.close()
        except httpx.TimeoutException as error:
            raise Unavailable(f"{self} did not answer within {timeout:g} s.") from error
        except (httpx.HTTPError, httpx.StreamError, RuntimeError) as error:
            if self._closed:
                raise Unavailable(f"{self} is closed") from error
            if isinstance(error, RuntimeError) and not isinstance(error, httpx.StreamError):
                raise
            why = self._shown(error)
            raise Unavailable(f"{self} cannot be reached ({why}). Start it, or correct history.url.") from error

    def _check(self, response: httpx.Response) -> None:
        if response.is_success:
            return
        text = response.read().decode(errors="replace")
        try:
            answer = _DECODER.decode(text)
            text = answer.error or answer.message or text
        except msgspec.MsgspecError:
            pass
        raise self._explained(response.status_code, text or response.headers.get("X-Influxdb-Error", ""))

    def _decoded(self, line: bytes) -> _Answer:
        try:
            answer = _DECODER.decode(line)
        except msgspec.MsgspecError as error:
            raise Unavailable(f"{self} gave an answer to a query that is none ({error}).") from error
        if answer.error is not None:
            raise self._explained(200, answer.error)
        return answer

    def _explained(self, status: int, text: str) -> CoreError | DatabaseMissing:
        """Return what to tell the operator of an error the server named."""
        said = self._shown(text)
        lower = text.lower()
        if status in (401, 403) or (status == 200 and _REFUSED.search(text)):
            return ConfigError(
                f"{self} refuses the credentials ({said}). Set history.token (2.x, 3.x), or history.username and"
                f" history.password (1.x), of someone who may read and write the database {self.database}."
            )
        if status in (200, 400, 404) and _NO_DATABASE.search(text):
            return DatabaseMissing(said)
        if any(sign in lower for sign in _OTHER_TYPE):
            return ConfigError(
                f"{self} refuses rows: another program has written a field of the same name with another type into the"
                f" database {self.database} ({said}). Name another one in history.database."
            )
        if status == 413:
            return ConfigError(f"{self} takes only smaller requests. Raise its max-body-size to 25 MB.")
        if any(sign in lower for sign in _DISK_FULL):
            return Unavailable(
                f"The disk of the InfluxDB at {self.url} is full ({said}). Free some space, and restart it: 1.x repeats"
                " the error until then."
            )
        if status in (400, 422):
            return DataRejected(f"{self} refuses what it was given: {said}")
        if status == 404:
            return ConfigError(f"{self} has no such address ({said}). Correct history.url.")
        return Unavailable(f"{self} failed ({status}): {said}")

    def _shown(self, what: object) -> str:
        """Return a text of the server's or the client's, short and without a secret."""
        text = " ".join(str(what).split()) or type(what).__name__
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return text if len(text) <= _LONGEST_DETAIL else text[:_LONGEST_DETAIL] + "…"


def _lines(response: httpx.Response) -> Iterator[bytes]:
    waiting: list[bytes] = []
    for piece in response.iter_bytes():
        *complete, rest = piece.split(b"\n")
        for line in complete:
            whole = b"".join([*waiting, line])
            waiting.clear()
            if whole.strip():
                yield whole
        waiting.append(rest)
    whole = b"".join(waiting)
    if whole.strip():
        yield whole
