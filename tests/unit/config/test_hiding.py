"""Secrets are taken out of texts: those that are known, and what looks like one; the rest stays readable."""

import time

import pytest

from vnpy_core.config.hiding import HIDDEN, hider, secrets_of
from vnpy_core.config.settings import VnPyCoreConfig


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("mysql+asyncmy://core:pla%nted@db:3306/core", "mysql+asyncmy://core:***@db:3306/core"),
        ("redis://:planted@cache/0 is away", "redis://:***@cache/0 is away"),
        ("nats://user:planted@a:4222,nats://user:other@b:4222", "nats://user:***@a:4222,nats://user:***@b:4222"),
        ("sent Authorization: Bearer abcdef.123-456", "sent Authorization: Bearer ***"),
        ("GET /ws?ticket=planted-one&x=1", "GET /ws?ticket=***&x=1"),
        ("login {'username': 'me', 'password': 'planted'}", "login {'username': 'me', 'password': '***'}"),
        ('{"密码": "planted", "a": 1}', '{"密码": "***", "a": 1}'),
        ("key vck_ab12.Zm9vYmFyYmF6 of desk", "key *** of desk"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl", "***"),
        ("http://127.0.0.1:8006/api at 12:30:01, user@host", "http://127.0.0.1:8006/api at 12:30:01, user@host"),
        ("The password: too short. A token was used twice", "The password: too short. A token was used twice"),
        ("rb2505.SHFE LONG 1@3500; tokens=2", "rb2505.SHFE LONG 1@3500; tokens=2"),
    ],
)  # fmt: skip
def test_what_looks_like_a_secret_is_hidden_and_nothing_else(text: str, hidden: str) -> None:
    assert hider()(text) == hidden


@pytest.mark.parametrize("part", ["x", "://", "a:", "eyJ-", "Bearer ", "password=", "vck_", "token ", '":"', "://a:b"])
def test_a_line_of_a_megabyte_takes_no_time(part: str) -> None:
    text = part * (1_000_000 // len(part))
    began = time.process_time()
    hider(["planted"])(text)
    assert time.process_time() - began < 5


def test_known_secrets_are_hidden_wherever_they_stand_also_within_json() -> None:
    hide = hider(["hunter22", 'with"quote', "abc", "hunter22-and-more"])
    assert hide("x hunter22y hunter22-and-more abc") == f"x {HIDDEN}y {HIDDEN} abc"
    assert hide('{"message": "with\\"quote"}') == f'{{"message": "{HIDDEN}"}}'


def test_the_secrets_of_a_configuration_are_found_by_type_and_by_name() -> None:
    config = VnPyCoreConfig.model_validate(
        {
            "database": {"url": "sqlite+aiosqlite:///planted-1.db"},
            "security": {"admin_key": "planted-2" * 5},
            "tracing": {"authorization": "planted-3"},
            "gateways": {
                "CTP": {"class": "a.B", "setting": {"密码": "planted-4", "auth_code": "planted-5", "用户名": "me"}}
            },
        }
    )
    found = set(secrets_of(config))
    assert {"planted-2" * 5, "planted-3", "planted-4", "planted-5"} <= found
    assert "me" not in found
