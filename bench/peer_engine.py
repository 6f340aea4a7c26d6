"""The peer's trading process: a headless vn.py with the benchmark's gateway and vnpy_webtrader's engine, no Qt.

What the desktop program does when its user presses "start" in the web service's window, without the window. Run with
the working folder that holds ``.vntrader``; the argument is the path of the gateway's control socket.
"""

import signal
import sys
import threading

from vnpy.event import EventEngine
from vnpy.trader.engine import MainEngine
from vnpy.trader.utility import load_json
from vnpy_webtrader import WebTraderApp

from bench.gateway import BenchGateway


def main(control: str) -> None:
    setting = load_json("web_trader_setting.json")
    engine = MainEngine(EventEngine())
    engine.add_gateway(BenchGateway)
    web = engine.add_app(WebTraderApp)
    web.start_server(setting["req_address"], setting["sub_address"])
    engine.connect({"control": control, "orders": setting["orders"]}, BenchGateway.default_name)
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    stopped.wait()
    engine.close()


if __name__ == "__main__":
    main(sys.argv[1])
