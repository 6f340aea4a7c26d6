"""What a gateway of ours tells beyond vn.py's events, so that nobody has to guess it from log lines and silence."""

from datetime import datetime

import msgspec

EVENT_CONNECTION_LOST = "eCoreConnectionLost"
EVENT_VENUE_REPORTED = "eCoreVenueReported"


class ConnectionLost(msgspec.Struct, frozen=True):
    """Nothing more comes from the venue, and nothing reaches it."""

    gateway_name: str
    reason: str


class VenueReported(msgspec.Struct, frozen=True):
    """All that the venue has was told. ``since``: it forgets nothing that came then or later; None: it cannot say."""

    gateway_name: str
    since: datetime | None
