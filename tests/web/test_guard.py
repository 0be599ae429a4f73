from __future__ import annotations

import pytest

from ml_intern.web.guard import COOKIE, KEY, Guard

HERE = {"Host": "127.0.0.1:7860"}
GUARD = Guard(frozenset({"127.0.0.1", "localhost"}), key="right")


def test_whoever_has_the_key_comes_in_by_address_or_by_cookie() -> None:
    assert GUARD.refusal(HERE, {KEY: "right"}, {}) == ""
    assert GUARD.refusal({**HERE, "Origin": "http://127.0.0.1:7860"}, {}, {COOKIE: "right"}) == ""


@pytest.mark.parametrize("cookies", [{}, {COOKIE: ""}, {COOKIE: "wrong"}, {COOKIE: "rightt"}, {COOKIE: "schlüssel"}])
def test_nobody_else_does(cookies: dict[str, str]) -> None:
    assert "with its key" in GUARD.refusal(HERE, {}, cookies)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "127.0.0.1:7860", "Origin": "http://evil.example"},
        {"Host": "127.0.0.1:7860", "Origin": "http://127.0.0.1:8000"},
        {"Host": "127.0.0.1:7860", "Origin": "null"},
    ],
)
def test_another_site_is_refused_even_with_the_cookie(headers: dict[str, str]) -> None:
    assert GUARD.refusal(headers, {}, {COOKIE: "right"}) == "Another site may not use this server."


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:7860", "", "[::1"])
def test_a_name_that_was_made_to_point_here_is_refused(host: str) -> None:
    assert GUARD.refusal({"Host": host}, {KEY: "right"}, {}) == "This address is not the server's own."


def test_a_server_for_a_network_goes_by_any_name() -> None:
    assert Guard(frozenset(), key="right").refusal({"Host": "box.lan:7860"}, {KEY: "right"}, {}) == ""


def test_every_server_has_a_key_of_its_own() -> None:
    keys = {Guard(frozenset()).key for _ in range(20)}
    assert len(keys) == 20
    assert all(len(key) >= 32 for key in keys)
