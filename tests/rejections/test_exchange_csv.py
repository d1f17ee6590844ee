"""What the logs of Exchange have in common: values, replies and addresses."""

import pytest

from safelist.rejections.exchange_csv import address_of, in_one_line, members


def test_values_in_one_column() -> None:
    assert members("a;'b;''c''';;d;") == ["a", "b;'c'", "", "d"]
    assert members("'a") == ["'a"]
    assert members("") == []


@pytest.mark.parametrize(
    ("endpoint", "address"),
    [
        ("192.0.2.9:25", "192.0.2.9"),
        ("192.0.2.9", "192.0.2.9"),
        ("[2001:DB8::9]:25", "2001:db8::9"),
        ("2001:db8::9", "2001:db8::9"),
        ("[fe80::1%12]:2525", "fe80::1"),
        ("[::ffff:192.0.2.9]:25", "192.0.2.9"),
        ("x.x.x.x:25", None),
        ("", None),
    ],
)
def test_the_address_of_an_endpoint(endpoint: str, address: str | None) -> None:
    assert address_of(endpoint) == address


@pytest.mark.parametrize(
    ("reply", "line"),
    [
        ("550 5.7.1 No", "550 5.7.1 No"),
        ("550-5.7.1 No,\r\n550-5.7.1 not\n550 5.7.1 you", "550 5.7.1 No, not you"),
        ("550-5.7.26 No, 550 5.7.26 never", "550 5.7.26 No, never"),
        (r"550-5.7.26 No,\r\n550 never", "550 5.7.26 No, never"),
        ("550 a\nb", "550 a b"),
        ("not-a reply", "not-a reply"),
    ],
)
def test_a_reply_is_put_into_one_line(reply: str, line: str) -> None:
    assert in_one_line(reply) == line
