"""Certificates: an authority of a test's own, and what it has signed for a server on 127.0.0.1 and for a client."""

import shutil
import subprocess
from pathlib import Path

from tests.servers.base import find_program

_SUBJECTS = {"server": "subjectAltName=IP:127.0.0.1", "client": "extendedKeyUsage=clientAuth"}


class Certificates:
    """Files in ``folder``, which is made: ``ca.pem``, ``server.pem``, ``server.key``, ``client.pem``, ``client.key``.

    Args:
        owner: the user who is given the server's key; servers refuse keys that others can read.
    """

    def __init__(self, folder: Path, owner: str | None = None) -> None:
        folder.mkdir()
        self.ca = folder / "ca.pem"
        self.server, self.server_key = folder / "server.pem", folder / "server.key"
        self.client, self.client_key = folder / "client.pem", folder / "client.key"
        self._folder = folder
        self._openssl(
            "req", "-x509", *_new_key("ca.key"), "-out", "ca.pem", "-days", "2", "-subj", "/CN=authority",
            "-addext", "keyUsage=critical,keyCertSign",
        )  # fmt: skip
        for name, extension in _SUBJECTS.items():
            self._openssl("req", *_new_key(f"{name}.key"), "-out", f"{name}.csr", "-subj", f"/CN={name}")
            (folder / "extension").write_text(extension)
            self._openssl(
                "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-days", "2", "-extfile", "extension", "-out", f"{name}.pem",
            )  # fmt: skip
        self.server_key.chmod(0o600)
        if owner is not None:
            shutil.chown(self.server_key, owner)

    def _openssl(self, *arguments: str) -> None:
        subprocess.run([find_program("openssl"), *arguments], cwd=self._folder, capture_output=True, check=True)


def _new_key(name: str) -> tuple[str, ...]:
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name)
