"""Monitoring: what an operator asks of the service."""
