"""The engine host: the only package that imports vnpy."""
