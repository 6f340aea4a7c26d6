"""Configuration: the service's own settings, vn.py's settings file, logging."""
