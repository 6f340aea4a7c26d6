"""What of the read model is cached: under which key, and for how long it is kept."""

from vnpy_core.models import Account, Model, Order, Position, Tick

PREFIXES: dict[type[Model], str] = {
    Order: "vnpy_core:order:",
    Position: "vnpy_core:position:",
    Account: "vnpy_core:account:",
    Tick: "vnpy_core:tick:",
}


def is_alive(data: Model) -> bool:
    """Tell whether it must not vanish, however long ago it changed: an order that works, a holding, an account."""
    match data:
        case Order():
            return not data.is_final
        case Position():
            return bool(data.volume or data.frozen)
        case Account():
            return True
    return False
