"""Which vn.py packages are installed; asked without importing any of them."""

import sys
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    "vnpy", "vnpy_ctastrategy", "vnpy_ctabacktester", "vnpy_datamanager", "vnpy_riskmanager", "vnpy_algotrading",
    "vnpy_chartwizard", "vnpy_rpcservice", "vnpy_portfoliostrategy", "vnpy_spreadtrading", "vnpy_datarecorder",
)  # fmt: skip


def installed_versions() -> dict[str, str]:
    """Return name → version of Python and of each vn.py package that is installed."""
    found = {"python": sys.version.split()[0]}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
