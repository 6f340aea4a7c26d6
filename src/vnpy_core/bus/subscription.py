"""Topic subscriptions: which are well-formed, and a set of them compiled for matching."""

import re

# The first token of every topic there is; a subscription to anything else would wait for ever.
FAMILIES = frozenset(
    {"order", "trade", "position", "account", "tick", "bar", "strategy", "stop_order", "algo", "risk", "gateway",
     "log", "alert", "job", "system"}
)  # fmt: skip
MAX_TOPIC_LENGTH = 256
_TOKEN = re.compile(r"[^\s.*]+|\*")


def topic_fault(topic: str) -> str | None:
    """Return what is wrong with ``topic`` as a subscription, or ``None``."""
    if len(topic) > MAX_TOPIC_LENGTH:
        return f"A topic has at most {MAX_TOPIC_LENGTH} characters."
    tokens = topic.split(".")
    if not all(_TOKEN.fullmatch(token) for token in tokens):
        return f"{topic!r} is no topic: tokens between dots, none empty; a * stands for one whole token."
    if tokens[0] != "*" and tokens[0] not in FAMILIES:
        return f"There are no topics {tokens[0]!r}; the first token is one of {', '.join(sorted(FAMILIES))} or *."
    return None


class Subscription:
    """Some topics, each meaning itself and all below it. Says the same as ``events.matches`` does for each of them."""

    __slots__ = ("_plain", "_wild")

    def __init__(self, topics: frozenset[str]) -> None:
        self._plain = {topic for topic in topics if "*" not in topic}
        self._wild = [topic.split(".") for topic in topics if "*" in topic]

    def matches(self, topic: str) -> bool:
        # The cost must not grow with the number of plain topics: a client may name a thousand symbols.
        if self._plain:
            above = topic
            while above:
                if above in self._plain:
                    return True
                above = above.rpartition(".")[0]
        if self._wild:
            tokens = topic.split(".")
            for wanted in self._wild:
                if len(wanted) <= len(tokens) and all(
                    w in ("*", t) for w, t in zip(wanted, tokens, strict=False)
                ):
                    return True
        return False
