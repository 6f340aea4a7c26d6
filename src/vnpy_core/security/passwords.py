"""Passwords: Argon2id, on one slow thread of their own, so that no number of attempts holds up anything else."""

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from vnpy_core.errors import Invalid, TooManyRequests

T = TypeVar("T")

MIN_LENGTH = 10
MAX_LENGTH = 1024
# 32 MB and some 60 ms a time; OWASP asks for no less than 19 MB and two passes.
_HASHER = PasswordHasher(time_cost=2, memory_cost=32 << 10, parallelism=1)
# What an unknown user's password is compared with, so that it takes as long as a known one's.
_NOBODY = "$argon2id$v=19$m=32768,t=2,p=1$3QKrmIlD8hljYcNYJj2Rhg$vrC/mkCv9ovmQto2TI/oquzNNNnGeFzNgFLlkeswqVQ"
_MAX_WAITING = 20


def require_strength(password: str, username: str) -> None:
    """Raises: Invalid for one that is too short, too long, or says nothing that is not in the name."""
    message = ""
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        message = f"must have {MIN_LENGTH} to {MAX_LENGTH} characters"
    elif len(set(password)) < 5 or password.lower().replace(username.lower(), "") == "":
        message = "is too easily guessed"
    if message:
        raise Invalid(f"password: {message}", errors=[{"field": "password", "message": message}])


class Passwords:
    """Hashes and verifies. Loop only; the work is one thread's, with the lowest priority where that can be had."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="passwords", initializer=_step_back)
        self._waiting = 0

    async def hash(self, password: str) -> str:
        return await self._run(lambda: _HASHER.hash(password))

    async def verify(self, password: str, stored: str | None) -> bool:
        """Tell whether it is the one. With nothing stored the answer is no, and takes as long."""
        return await self._run(lambda: _verify(password, stored or _NOBODY)) and stored is not None

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= _MAX_WAITING:
            raise TooManyRequests("Too many are logging in at this moment.", retry_after_s=2.0)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self._waiting -= 1


def _verify(password: str, stored: str) -> bool:
    try:
        return _HASHER.verify(stored, password)
    except (VerifyMismatchError, InvalidHashError):
        return False


def _step_back() -> None:
    if hasattr(os, "setpriority"):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
