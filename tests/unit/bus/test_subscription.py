"""A compiled set of topics says what matching each topic by itself says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vnpy_core.bus.subscription import Subscription, topic_fault
from vnpy_core.events import matches

TOKENS = st.sampled_from(["order", "updated", "tick", "rb2501", "SHFE", "rb", "t"])
TOPICS = st.lists(TOKENS, min_size=1, max_size=4).map(".".join)
PATTERNS = st.frozensets(st.lists(TOKENS | st.just("*"), min_size=1, max_size=5).map(".".join), max_size=5)


@given(patterns=PATTERNS, topic=TOPICS)
def test_the_set_matches_what_one_of_its_topics_matches(patterns: frozenset[str], topic: str) -> None:
    assert Subscription(patterns).matches(topic) == any(matches(pattern, topic) for pattern in patterns)


@pytest.mark.parametrize("topic", ["order", "order.updated", "tick.rb2501", "tick.*.SHFE", "*", "tick.a%2Eb.SHFE"])
def test_good_topics(topic: str) -> None:
    assert topic_fault(topic) is None


@pytest.mark.parametrize(
    "topic",
    ["", "orders", "order.", ".order", "order..updated", "tick.rb*", "tick. rb", "intent", "a" * 300],
)
def test_bad_topics(topic: str) -> None:
    assert topic_fault(topic)
