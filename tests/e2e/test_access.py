"""From the first start on: the link, users and keys by the command line while the service runs, and TLS."""

import re
import shutil
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.e2e.process import PROGRAM, ServiceProcess, eventually
from tests.e2e.stream import Stream
from tests.servers.certificates import Certificates

Start = Callable[..., ServiceProcess]
PASSWORD = "correct horse battery"


def status(core: ServiceProcess, token: str, path: str = "/api/v1/auth/me") -> int:
    return httpx.get(core.url + path, headers={"Authorization": f"Bearer {token}"}).status_code


def command(core: ServiceProcess, *arguments: str, stdin: str = "") -> str:
    """Run a command of the program beside the service, and return what it prints."""
    done = subprocess.run(
        [str(PROGRAM), *arguments], env=core.environment, cwd=core.data_dir, input=stdin, capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_first_start_prints_a_link_that_is_good_once(service: Start) -> None:
    with service("demo = false") as core:
        (token,) = eventually(lambda: re.findall(r"/login#token=(\S+)", core.printed()), 15, "the link")
        login = f"{core.url}/api/v1/auth/login-link"
        tokens = httpx.post(login, json={"token": token, "password": PASSWORD}).json()
        assert status(core, tokens["access_token"], "/api/v1/auth/users") == 200
        assert httpx.post(login, json={"token": token, "password": PASSWORD}).status_code == 401
        assert core.stop() == 0
        core.start()
        again = httpx.post(f"{core.url}/api/v1/auth/login", json={"username": "admin", "password": PASSWORD})
        assert again.status_code == 200
        assert status(core, tokens["access_token"]) == 200  # a restart ends no session
        eventually(lambda: core.printed().count("data folder") == 2, 15)
        assert core.printed().count("/login#token=") == 1
        for secret in (PASSWORD, tokens["access_token"], tokens["refresh_token"]):
            for path in core.data_dir.rglob("*"):
                assert not path.is_file() or secret.encode() not in path.read_bytes(), path


def test_users_and_keys_by_the_command_line_while_it_runs(service: Start) -> None:
    with service("demo = false") as core:
        key = command(core, "token", "create", "tour")
        assert status(core, key) == 200
        narrow = command(core, "token", "create", "narrow", "--scope", "data:read", "--days", "1")
        assert (status(core, narrow), status(core, narrow, "/api/v1/trading/orders")) == (200, 403)
        command(core, "user", "add", "desk", "--role", "trader", "--password-stdin", stdin=PASSWORD + "\n")
        body = {"username": "desk", "password": PASSWORD}
        token = httpx.post(f"{core.url}/api/v1/auth/login", json=body).json()["access_token"]
        assert status(core, token) == 200
        for listed in ("tour", "narrow", "data:read"):
            assert listed in command(core, "token", "list")
        assert "desk" in command(core, "user", "list")

        with Stream(core.url, "order", token=key) as stream:
            command(core, "token", "revoke", "tour")
            eventually(lambda: status(core, key) == 401, 10, "the key is good no longer")
            eventually(stream.closed.is_set, 10, "the stream is ended")
            assert stream.code == 4401
        command(core, "user", "disable", "desk")
        eventually(lambda: status(core, token) == 401, 10, "the user is out")
        assert httpx.post(f"{core.url}/api/v1/auth/login", json=body).status_code == 401
        entries = eventually(lambda: core.get("/api/v1/auth/audit")["entries"])
        told = [entry["action"] for entry in entries if entry["credential"] == "cli"]
        assert told[::-1] == [
            "token create tour", "token create narrow", "user add desk --role trader", "token revoke tour",
            "user disable desk",
        ]  # fmt: skip
        assert key not in str(entries)


def test_beyond_loopback_by_tls(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    made = Certificates(tmp_path / "tls")
    core = ServiceProcess(
        tmp_path / "data",
        f'demo = false\n[service]\nhost = "0.0.0.0"\ntls_cert = "{made.server}"\ntls_key = "{made.server_key}"\n',
    )
    core.http.close()
    core.http = httpx.Client(verify=ssl.create_default_context(cafile=str(made.ca)), headers=core.http.headers)
    core.launch()
    listening = eventually(core._holder_url, 30, "the lock file names the address")
    assert listening.startswith("https://0.0.0.0:")
    core.url = listening.replace("0.0.0.0", "127.0.0.1")
    core.http.base_url = httpx.URL(core.url)
    with core:
        eventually(core._is_ready, 30, "ready")
        answer = core.http.get("/api/v1/auth/me")
        assert (answer.status_code, answer.json()["username"]) == (200, "admin-key")
        assert "strict-transport-security" in answer.headers
        with pytest.raises(httpx.TransportError):
            httpx.get(core.url.replace("https", "http") + "/health/live")


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ('[service]\nhost = "0.0.0.0"', "tls_cert"),
        ('[service]\nhost = "0.0.0.0"\nbehind_tls_proxy = true\n[security]\nauthentication = "off"', "authentication"),
        ('[service]\nbehind_tls_proxy = true\n[security]\nauthentication = "off"', "authentication"),
        ('[service]\ntls_key = "key.pem"', "tls_cert"),
        ('[service]\ntls_cert = "nowhere.pem"', "nowhere.pem"),
        ('[security]\nkey = "short"', "32 characters"),
        ('[security]\nadmin_key = "short"', "32 characters"),
    ],
)
def test_a_start_that_would_be_open_is_refused(tmp_path: Path, config: str, told: str) -> None:
    core = ServiceProcess(tmp_path / "data", config)
    core.http.close()
    if "admin_key" in config:
        del core.environment["VNPY_CORE_SECURITY__ADMIN_KEY"]
    refused = core.run("run", "--config", str(core.config))
    assert (refused.returncode, "Traceback" in refused.stderr) == (1, False), refused.stderr
    assert told in refused.stderr
    assert "short" not in refused.stderr.replace("shorter", "")
