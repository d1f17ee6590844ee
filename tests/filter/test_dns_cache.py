"""The cache by a clock of its own."""

from safelist.filter.dns_cache import DnsCache
from safelist.filter.dns_message import DnsAnswer, Status, failed

ONE, TWO, THREE = (("one.example", "A"), ("two.example", "A"), ("one.example", "TXT"))


def found(*values: str, ttl: int = 300) -> DnsAnswer:
    return DnsAnswer(Status.FOUND, values, None, ttl)


def test_an_answer_counts_for_its_ttl_and_no_longer() -> None:
    cache = DnsCache(10)
    cache.put(ONE, found("192.0.2.1"), 1000.0)
    assert [cache.get(ONE, now) for now in (1000.0, 1299.9, 1300.0, 1299.9)] == [found("192.0.2.1")] * 2 + [None] * 2
    assert cache.get(THREE, 1000.0) is None


def test_a_failure_counts_for_two_seconds() -> None:
    cache = DnsCache(10)
    cache.put(ONE, failed("silence"), 5.0)
    assert cache.get(ONE, 6.9) == failed("silence")
    assert cache.get(ONE, 7.0) is None


def test_what_has_no_ttl_or_is_large_is_not_kept() -> None:
    cache = DnsCache(10)
    cache.put(ONE, found("192.0.2.1", ttl=0), 0.0)
    cache.put(TWO, found("x" * 4096, "y"), 0.0)
    cache.put(THREE, found("x" * 4095, "y"), 0.0)
    assert [cache.get(key, 0.0) is None for key in (ONE, TWO, THREE)] == [True, True, False]


def test_what_was_used_longest_ago_goes_first() -> None:
    cache = DnsCache(2)
    cache.put(ONE, found("192.0.2.1"), 0.0)
    cache.put(TWO, found("192.0.2.2"), 0.0)
    assert cache.get(ONE, 1.0)
    cache.put(THREE, found("a text"), 2.0)
    assert [cache.get(key, 3.0) is None for key in (ONE, TWO, THREE)] == [False, True, False]
