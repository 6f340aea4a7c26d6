"""VnPy Core: vn.py as a service."""

__version__ = "0.1.0"
