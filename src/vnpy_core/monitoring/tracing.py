"""Tracing: OpenTelemetry's traces, of requests and of what becomes of orders, sent to a collector by OTLP over HTTP.

Without ``tracing.endpoint`` none of this is imported but this module, which imports nothing of OpenTelemetry's.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vnpy_core import __version__
from vnpy_core.config.monitoring_settings import TracingSettings
from vnpy_core.enums import OrderStatus
from vnpy_core.errors import ConfigError
from vnpy_core.trading.order_journeys import Journey

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

# Orders that are over and wait for their SQL row; of more the oldest are told without it.
_WAITING = 1000
_PROPAGATED = (b"traceparent", b"tracestate")


class Tracing:
    """The tracer, and the thread that sends what it has finished: in batches, and dropped if the collector is away."""

    def __init__(self, settings: TracingSettings, instance: str) -> None:
        """Raises:
        ConfigError: OpenTelemetry is not installed.
        """
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
        except ImportError as error:
            raise ConfigError(
                "tracing.endpoint is set, and OpenTelemetry is not installed: pip install 'vnpy-core[opentelemetry]'"
            ) from error
        headers = {}
        if settings.authorization is not None:
            headers["authorization"] = settings.authorization.get_secret_value()
        exporter = OTLPSpanExporter(endpoint=settings.endpoint, headers=headers, timeout=settings.timeout_s)
        attributes = {"service.name": "vnpy-core", "service.version": __version__, "service.instance.id": instance}
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(settings.sample_ratio)),
            resource=Resource(attributes),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1000))
        self.tracer = self._provider.get_tracer("vnpy_core", __version__)

    async def close(self) -> None:
        """Send what is finished, if the collector takes it in time."""
        await asyncio.to_thread(self._provider.shutdown)


class OrderTraces:
    """Makes of each journey that is over a span with its stages, as children of the request that asked for it.

    Loop only. ``rows_upto`` is told how far the SQL recorder is: only then an order's trace is complete.
    """

    def __init__(self, tracing: Tracing) -> None:
        self._tracer = tracing.tracer
        self._waiting: deque[tuple[int, int, Journey]] = deque()

    def began(self) -> object:
        from opentelemetry import trace

        context = trace.get_current_span().get_span_context()
        return context if context.is_valid else None

    def ended(self, journey: Journey) -> None:
        self._waiting.append((journey.seq, time.perf_counter_ns(), journey))
        if len(self._waiting) > _WAITING:
            _, shown, oldest = self._waiting.popleft()
            self._tell(oldest, shown, 0)

    def rows_upto(self, seq: int) -> None:
        """The facts up to ``seq`` are in the SQL tables."""
        now = time.perf_counter_ns()
        while self._waiting and self._waiting[0][0] <= seq:
            _, shown, journey = self._waiting.popleft()
            self._tell(journey, shown, now)

    def close(self) -> None:
        """Tell of those that still wait, without their rows."""
        while self._waiting:
            _, shown, journey = self._waiting.popleft()
            self._tell(journey, shown, 0)

    def _tell(self, journey: Journey, shown: int, row: int) -> None:
        from opentelemetry.context import Context
        from opentelemetry.trace import NonRecordingSpan, set_span_in_context

        parent: SpanContext | Any = journey.context
        context = set_span_in_context(NonRecordingSpan(parent), Context()) if parent is not None else Context()
        epoch = time.time_ns() - time.perf_counter_ns()
        span = self._tracer.start_span("order", context, start_time=epoch + journey.began, attributes=_about(journey))
        within = set_span_in_context(span, Context())
        last = journey.began
        for name, moment in (
            ("journal the intent", journey.journaled),
            ("wait for the event thread", journey.taken_up),
            ("gateway.send_order", journey.handed_over),
            ("acknowledged by the venue", journey.acknowledged),
            ("filled", journey.filled),
        ):
            if moment:
                self._tracer.start_span(name, within, start_time=epoch + last).end(epoch + moment)
                last = max(last, moment)
        if row:
            stored = self._tracer.start_span("sql row", within, start_time=epoch + shown)
            stored.set_attribute("vnpy_core.seq", journey.seq)
            stored.end(epoch + row)
        if journey.order is not None and journey.order.status is OrderStatus.REJECTED:
            from opentelemetry.trace import StatusCode

            span.set_status(StatusCode.ERROR, journey.order.rejected_reason or "rejected")
        span.end(epoch + (row or shown))


def _about(journey: Journey) -> dict[str, Any]:
    order, intent = journey.order, journey.intent
    about: dict[str, Any] = {}
    if intent is not None:
        about |= {"vnpy_core.intent_id": intent.intent_id, "vnpy_core.client_order_id": intent.client_order_id}
    if order is not None:
        about |= {
            "vnpy_core.vt_orderid": order.vt_orderid,
            "vnpy_core.vt_symbol": order.vt_symbol,
            "vnpy_core.gateway": order.gateway_name,
            "vnpy_core.direction": order.direction.name if order.direction is not None else "",
            "vnpy_core.volume": order.volume,
            "vnpy_core.status": order.status.name,
            "vnpy_core.reference": order.reference,
        }
    return {name: value for name, value in about.items() if value not in (None, "")}


class TracedRequests:
    """Middleware below ``RequestContext``: a span for each request of the API, within the caller's if it names one."""

    def __init__(self, app: ASGIApp, tracing: Tracing, route_of: Callable[[str], str], prefix: str) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._app = app
        self._tracer = tracing.tracer
        self._propagator = TraceContextTextMapPropagator()
        self._route_of = route_of
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(self._prefix):
            await self._app(scope, receive, send)
            return
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind, StatusCode

        carrier = {name.decode(): value.decode() for name, value in scope["headers"] if name in _PROPAGATED}
        route = self._route_of(scope["path"])
        attributes = {
            "http.request.method": scope["method"],
            "http.route": route,
            "vnpy_core.request_id": str(scope.get("vnpy_core.request_id", "")),
        }
        with self._tracer.start_as_current_span(
            f"{scope['method']} {route}",
            self._propagator.extract(carrier, Context()),
            kind=SpanKind.SERVER,
            attributes=attributes,
        ) as span:

            async def send_noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= 500:
                        span.set_status(StatusCode.ERROR)
                await send(message)

            await self._app(scope, receive, send_noted)
