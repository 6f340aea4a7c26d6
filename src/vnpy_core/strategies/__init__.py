"""Strategies: what is to run, and what runs."""
