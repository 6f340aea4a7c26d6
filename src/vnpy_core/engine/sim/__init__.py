"""A complete simulated exchange: the gateway a new user meets, and the test-bed of everything."""

from vnpy_core.engine.sim.gateway import SimGateway

__all__ = ["SimGateway"]
