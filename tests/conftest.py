"""One vn.py runtime folder for the whole test session, made before the first vnpy import."""

import json
import os
import tempfile
import time
from pathlib import Path

_RUNTIME = Path(tempfile.mkdtemp(prefix="vnpy-core-tests-"))
(_RUNTIME / ".vntrader").mkdir()
(_RUNTIME / ".vntrader" / "vt_setting.json").write_text(
    json.dumps({"log.console": False, "log.file": False, "database.timezone": "Asia/Shanghai"})
)
os.environ["LANGUAGE"] = "en"
os.environ["TZ"] = "Asia/Shanghai"
time.tzset()
os.chdir(_RUNTIME)
