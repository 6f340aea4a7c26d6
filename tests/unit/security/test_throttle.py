"""Buckets and locks, by a clock of their own."""

import pytest

from vnpy_core.errors import TooManyRequests
from vnpy_core.security.throttle import Bucket, Buckets, Lockout, bucket


def test_a_bucket_lets_through_its_size_and_then_its_rate() -> None:
    bucket = Bucket(10.0, 3.0)
    assert [bucket.take(100.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert bucket.take(100.0) == pytest.approx(0.1)
    assert bucket.take(100.05) == pytest.approx(0.05)
    assert bucket.take(100.101) == 0.0
    assert [bucket.take(200.0) for _ in range(4)][2:] == [0.0, pytest.approx(0.1)]


def test_many_at_once_take_as_many() -> None:
    bucket = Bucket(10.0, 20.0)
    assert (bucket.take(100.0), bucket.take_more(100.0, 9)) == (0.0, 0.0)
    assert bucket.take(100.0) == 0.0
    assert bucket.take_more(100.0, 14) == pytest.approx(0.5)  # of those nine are left
    assert [bucket.take(100.0) for _ in range(10)] == [*[0.0] * 9, pytest.approx(0.1)]


def test_more_than_a_bucket_holds_take_a_full_one_and_are_paid_for_later() -> None:
    bucket = Bucket(10.0, 20.0)
    assert (bucket.take(100.0), bucket.take_more(100.0, 99)) == (0.0, 0.0)
    assert bucket.take(100.0) == pytest.approx(8.1)
    assert bucket.take(108.2) == 0.0
    assert bucket.take_more(108.2, 99) > 0


def test_a_slow_bucket_has_room_for_one() -> None:
    assert bucket(0.001).take(0.0) == 0.0


def test_each_key_has_buckets_of_its_own_and_not_without_end() -> None:
    buckets = Buckets(lambda: [Bucket(1.0, 1.0)])
    first = buckets.of("a")
    assert buckets.of("a") is first
    for number in range(20_000):
        buckets.of(str(number))
    assert buckets.of("a") is not first


def test_a_lock_is_for_a_while_and_for_one() -> None:
    now = [0.0]
    lockout = Lockout(3, 60.0, lambda: now[0])
    for _ in range(3):
        lockout.require_open("desk")
        lockout.failed("desk")
    with pytest.raises(TooManyRequests) as refused:
        lockout.require_open("desk")
    assert refused.value.retry_after_s == 60.0
    lockout.require_open("admin")
    now[0] = 61.0
    lockout.require_open("desk")
    lockout.failed("desk")  # one more was free, and locks it again
    with pytest.raises(TooManyRequests):
        lockout.require_open("desk")
    lockout.succeeded("desk")
    lockout.require_open("desk")


def test_wrong_passwords_of_long_ago_are_forgotten() -> None:
    now = [0.0]
    lockout = Lockout(3, 60.0, lambda: now[0])
    for moment in (0.0, 1.0, 100.0, 101.0):
        now[0] = moment
        lockout.failed("desk")
    lockout.require_open("desk")
