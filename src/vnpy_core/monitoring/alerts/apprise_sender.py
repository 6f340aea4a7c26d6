"""What sends a message by Apprise. It is imported when the first one is made: it takes 45 MB."""

import logging
import re
import threading
from collections.abc import Callable

from vnpy_core.config.alert_settings import ChannelSettings
from vnpy_core.monitoring.alerts.channel import DeliveryFailed
from vnpy_core.monitoring.alerts.texts import Message

_STATUS = re.compile(r"\berror[=: ]+(\d{3})\b", re.IGNORECASE)
_TYPES = {"critical": "failure", "warning": "warning", "resolved": "success"}


class _Reasons(logging.Filter):
    """Lets no line of Apprise's through, as they quote whole addresses; keeps what may be told of why a message was not
    taken, thread by thread."""

    def __init__(self) -> None:
        super().__init__()
        self._local = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.WARNING:
            line = record.getMessage()
            if (found := _STATUS.search(line)) is not None:
                self._local.reason = f"it answers {found[1]}"
            elif "connection" in line.lower():
                self._local.reason = "it cannot be reached, or does not answer in time"
        return False

    def take(self) -> str:
        """Return the reason that was last seen on this thread, once."""
        reason: str = getattr(self._local, "reason", "")
        self._local.reason = ""
        return reason


_REASONS = _Reasons()


def apprise_sender(settings: ChannelSettings) -> Callable[[Message], None]:
    """Return what sends to ``settings.url``. Blocks; to be made and used on one thread.

    Raises:
        DeliveryFailed: Apprise does not understand the address.
    """
    # Both write whole addresses at DEBUG.
    logging.getLogger("apprise").addFilter(_REASONS)
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    import apprise

    service = apprise.Apprise.instantiate(settings.url.get_secret_value(), suppress_exceptions=True)
    if not isinstance(service, apprise.NotifyBase):
        raise DeliveryFailed("its url is not one that Apprise understands")
    service.socket_connect_timeout = service.socket_read_timeout = settings.timeout_s

    def send(message: Message) -> None:
        _REASONS.take()
        taken = service.notify(
            body=message.body, title=message.title, body_format=apprise.NotifyFormat.TEXT,
            notify_type=apprise.NotifyType(_TYPES.get(message.severity, "info")),
        )  # fmt: skip
        if not taken:
            raise DeliveryFailed(_REASONS.take() or "it was not taken")

    return send
