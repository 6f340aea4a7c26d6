"""The message for a key that does not exist: it names the nearest that does."""

import difflib
from collections.abc import Iterable


def unknown_key(name: str, valid: Iterable[str], where: str, what: str = "key") -> str:
    keys = list(valid)
    near = difflib.get_close_matches(name, keys, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"valid are {', '.join(keys)}"
    return f"{where}: unknown {what} {name!r}; {hint}"
