"""Guard: ends the servers of a test session that was killed before it could end them.

A process of its own, which reads what to look after from a pipe, and acts when the pipe ends.
"""

import atexit
import json
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import psutil


def watch(pid: int, folder: Path | None) -> None:
    """Have the process ended and the folder removed, should this process end first."""
    try:
        entry = (pid, psutil.Process(pid).create_time(), None if folder is None else str(folder))
    except psutil.NoSuchProcess:
        return
    pipe = _guard().stdin
    assert pipe is not None
    pipe.write(json.dumps(entry).encode() + b"\n")
    pipe.flush()


@cache
def _guard() -> subprocess.Popen[bytes]:
    # Ended by the end of the pipe alone: Ctrl-C goes to the test session's processes, and this is not one of them.
    guard = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, start_new_session=True)
    atexit.register(guard.communicate)
    return guard


def _clear_up(pid: int, born: float, folder: str | None) -> None:
    try:
        process = psutil.Process(pid)
        if process.create_time() == born:
            process.suspend()
            family = [process, *process.children(recursive=True)]
            for member in family:
                member.kill()
            psutil.wait_procs(family, 10)
    except psutil.NoSuchProcess:
        pass
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    for entry in [json.loads(line) for line in sys.stdin]:
        _clear_up(*entry)
