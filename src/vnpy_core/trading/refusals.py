"""Every ``code`` with which an order is refused, not sent or unknown: what ``docs/order-refusals.md`` is made of."""

from collections.abc import Iterator, Mapping

from vnpy_core.trading.checks import SessionCheck, contract_checks
from vnpy_core.trading.risk_checks import CODES

# In the order in which an order meets them; those of the checks are in the checks.
BEFORE: Mapping[str, tuple[int, str]] = {
    "idempotency_key_reused": (409, "the `Idempotency-Key` came with another request before"),
    "idempotency_key_used": (409, "the request of this `Idempotency-Key` was done, and its answer is not kept"),
    "unknown_gateway": (404, "there is no such gateway"),
    "unknown_contract": (404, "no gateway, or not this one, has told of such a contract"),
    "gateway_not_connected": (503, "the gateway is not connected; nothing was sent"),
    "duplicate_client_order_id": (409, "an order has this `client_order_id`; `vt_orderid` names it"),
}
ENGINE: Mapping[str, tuple[int, str]] = {
    "reconciling": (503, "the venue is not known to agree yet: `GET /trading/reconciliation`; nothing was sent"),
    "gateway_stale": (503, "no market data comes, and `stale_orders` says to refuse then; nothing was sent"),
    "event_thread_busy": (503, "a handler or a strategy blocks vn.py's event thread; nothing was sent"),
    "risk_manager": (409, "a rule of vn.py's RiskManager refused it; the detail names the rule"),
    "risk_failed": (409, "a rule of vn.py's RiskManager raised"),
    "gateway_refused": (409, "the gateway refused it at once; the detail is what it logged"),
    "order_refused": (409, "it was refused; said of an order whose answer was cut off by a crash"),
    "unavailable": (503, "the journal cannot be written, the database is another service's, or this one stops"),
    "outcome_unknown": (504, "it was handed over, and nobody has said what became of it: `GET /trading/intents`"),
    "not_journaled": (504, "it was sent as `vt_orderid`, and the journal cannot record it now"),
    "amendment_under_way": (409, "the order is being amended"),
    "filled_meanwhile": (409, "of an amendment: the order was filled, or more of it than the new volume"),
    "cancelled_meanwhile": (409, "of an amendment: somebody else cancelled the order, or the venue rejected it"),
    "replacement_not_sent": (409, "of an amendment: the order is cancelled, and nothing could be sent in its place"),
    "cancel_not_confirmed": (504, "of an amendment: the cancel was not confirmed in time, and nothing was sent"),
    "unknown_order": (404, "of a cancel or an amendment: nobody knows the order"),
    "order_not_active": (409, "of a cancel or an amendment: the order is filled, cancelled or rejected"),
    "unknown_intent": (404, "of what became of an intent, said by hand: there is none of that id in doubt"),
    "on_its_way": (409, "likewise: the engine may still send it"),
    "another_order": (409, "likewise: the order is not what was asked for"),
    "not_different": (409, "of differences that are accepted: none hold the gateway up"),
    "not_drifted": (409, "of a drift that is accepted: none has been found"),
}
_HEAD = """\
# Why an order was not sent

Every error is a problem document; its `code` is for programs, its `detail` for people. What a check refuses leaves no
trace: nothing is journaled, and its `client_order_id` may be used again. 503 always means that nothing was sent, 504
that it may have been (but for `cancel_not_confirmed`). An order that the exchange refuses later is a 201 whose order
becomes `REJECTED`, with `rejected_reason`.

`POST /trading/orders?dry_run=true` answers with any of these that would come before vn.py's RiskManager is asked, and
leaves no trace: nothing is sent, journaled, counted or told. Not asked are vn.py's rules (to them each question is an
order) and the gateway.

| code | status | when |
|---|---|---|
"""


def refusals() -> Iterator[tuple[str, int, str]]:
    """Yield code, status and meaning of each."""
    for code, (status, when) in BEFORE.items():
        yield code, status, when
    for codes in (*(check.codes for check in contract_checks()), SessionCheck.codes):
        for code, when in codes.items():
            yield code, 409, when
    for code, when in CODES.items():
        yield code, 409, when
    for code, (status, when) in ENGINE.items():
        yield code, status, when


def render_risk_codes() -> str:
    """Return the table of ``docs/risk.md``."""
    rows = (f"| `{code}` | {when} |\n" for code, when in CODES.items())
    return "| code | when |\n|---|---|\n" + "".join(rows)


def render_refusals() -> str:
    """Return the page."""
    return _HEAD + "".join(f"| `{code}` | {status} | {when} |\n" for code, status, when in refusals())
