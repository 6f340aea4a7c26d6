"""Routers: parse, call one service method, return."""
