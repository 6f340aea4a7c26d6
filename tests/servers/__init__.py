"""Private servers for tests: real ones, on free ports, in folders of their own, to be killed, frozen and restarted.

``fixtures`` offers one of each kind for the whole session, and one for a single test (``own_…``). Their methods block:
call those that wait (``start``, ``restart``, ``stop``) from a coroutine by ``asyncio.to_thread``.
"""

from tests.servers.base import Server
from tests.servers.influx import Influx
from tests.servers.mariadb import MariaDb
from tests.servers.nats import Nats
from tests.servers.postgres import Postgres
from tests.servers.redis import Redis

__all__ = ["Influx", "MariaDb", "Nats", "Postgres", "Redis", "Server"]
