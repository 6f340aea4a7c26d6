"""IntentBook: what is known of the orders that clients asked for: which ids are used, and what is not resolved."""

import secrets
import time
from collections.abc import Iterable

from vnpy_core.errors import Conflict
from vnpy_core.models import OrderIntent


def new_intent_id() -> str:
    """Return 32 hexadecimal digits of which the first tell the time.

    So what comes together lies together in the journal and in SQL: each random id took a page of its own to disk.
    """
    return f"{time.time_ns():016x}{secrets.token_hex(8)}"


class IntentBook:
    """Loop only. Knows the latest state of each intent that it was given, as far as anybody may still ask for it."""

    def __init__(self) -> None:
        self._by_client_order_id: dict[str, OrderIntent] = {}
        self._unknown: dict[str, OrderIntent] = {}
        self._followed: dict[str, dict[str, OrderIntent]] = {}
        self._key_of: dict[str, str] = {}

    @property
    def unknown(self) -> list[OrderIntent]:
        """Orders that were handed over and of which nobody has said what became of them."""
        return list(self._unknown.values())

    def put(self, intent: OrderIntent) -> None:
        """Take up an intent or a later state of it."""
        if intent.outcome == "NOT_SENT":
            self.forget(intent)
        # An id we made up equals its intent's id and comes never again, so it need not be kept.
        elif intent.client_order_id is not None and intent.client_order_id != intent.intent_id:
            self._by_client_order_id[intent.client_order_id] = intent
        if intent.outcome == "UNKNOWN":
            self._unknown[intent.intent_id] = intent
        else:
            self._unknown.pop(intent.intent_id, None)
        if (key := self._key_of.get(intent.intent_id)) is not None:
            self._followed[key][intent.intent_id] = intent

    def forget(self, intent: OrderIntent) -> None:
        """Let the ``client_order_id`` be used again, if no later order has it already."""
        client_order_id = intent.client_order_id or ""
        used = self._by_client_order_id.get(client_order_id)
        if used is not None and used.intent_id == intent.intent_id:
            del self._by_client_order_id[client_order_id]

    def refuse_second_use(self, client_order_id: str) -> None:
        """Raises:
        Conflict: an order has this ``client_order_id``; the detail names it.
        """
        earlier = self._by_client_order_id.get(client_order_id)
        if earlier is None:
            return
        what = {
            None: "is being sent",
            "SENT": f"is order {earlier.vt_orderid}",
            "REFUSED": f"was refused: {earlier.reason}",
        }.get(earlier.outcome, "was handed over, and its outcome is unknown")
        raise Conflict(
            f"client_order_id {client_order_id!r} was used before; the order with it {what}.",
            code="duplicate_client_order_id", vt_orderid=earlier.vt_orderid, intent_id=earlier.intent_id,
        )  # fmt: skip

    # -- for idempotency keys

    def follow(self, key: str, intents: Iterable[OrderIntent]) -> None:
        """Keep these under ``key`` until ``unfollow``, whatever becomes of them."""
        for intent in intents:
            self._followed.setdefault(key, {})[intent.intent_id] = intent
            self._key_of[intent.intent_id] = key

    def followed(self, key: str) -> list[OrderIntent]:
        return list(self._followed.get(key, {}).values())

    def unfollow(self, key: str) -> None:
        for intent_id in self._followed.pop(key, {}):
            self._key_of.pop(intent_id, None)
