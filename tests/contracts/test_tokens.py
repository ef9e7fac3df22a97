"""What tokens promise on every database (event_store/tokens.py)."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from event_store.audit import Audit, Entry
from event_store.steps import Transactions
from event_store.tokens import COMMERCE_SCOPES, DASHBOARD_SCOPES, DAY_US, KNOWN_S, Scope, TokenRefused, Tokens

from .conftest import Open, Place

ADA = Entry(who="ada", what="")


@pytest.fixture
def tokens(office: Transactions, place: Place) -> Tokens:
    return Tokens(office, DASHBOARD_SCOPES, place.clock)


async def test_a_token_is_known_by_its_text_and_nothing_of_its_secret_is_kept(
    tokens: Tokens, office: Transactions
) -> None:
    (token, text) = await tokens.add("grafana", [Scope.METRICS], 30, ADA)
    found = await tokens.holder(text)
    assert found is not None
    assert (found.id, found.title, found.scopes, found.made_by) == (
        *(token.id, "grafana", frozenset({"metrics:read"}), "ada"),
    )
    assert text.startswith(token.shown)
    secret = text.rpartition("_")[2]
    (row,) = await Audit(office).older()
    assert (row.what, row.on) == ("token.added", token.shown)
    for kept in (*await tokens.all(), row):
        assert secret not in repr(kept)


@pytest.mark.parametrize("at", [0, 4, 10, 16, 17, 30, -1])
async def test_a_text_that_differs_anywhere_is_no_token(tokens: Tokens, at: int) -> None:
    (_, text) = await tokens.add("grafana", [Scope.METRICS], 30, ADA)
    assert await tokens.holder(text) is not None
    changed = list(text)
    changed[at] = "x" if changed[at] != "x" else "y"
    for wrong in ("".join(changed), text[:-1], text + "A", "", text.upper()):
        assert await tokens.holder(wrong) is None


async def test_a_token_is_good_until_it_expires(tokens: Tokens, place: Place) -> None:
    (_, text) = await tokens.add("grafana", [Scope.METRICS], 1, ADA)
    place.clock.now_us += DAY_US - 1
    assert await tokens.holder(text) is not None
    place.clock.now_us += 1
    assert await tokens.holder(text) is None


async def test_a_revoked_token_is_good_no_more_in_any_process(open_office: Open[Transactions], place: Place) -> None:
    (here, there) = [Tokens(await open_office(), DASHBOARD_SCOPES, place.clock) for _ in range(2)]
    (token, text) = await here.add("grafana", [Scope.METRICS], 30, ADA)
    assert await there.holder(text) is not None
    assert await here.revoke(token.shown, ADA)
    assert await here.holder(text) is None
    place.clock.now_us += round(KNOWN_S * 1e6)
    assert await there.holder(text) is None
    assert not await here.revoke(token.id, ADA), "once is enough"
    assert [row.what for row in await Audit(await open_office()).older()] == ["token.revoked", "token.added"]


async def test_the_last_use_is_known_to_a_minute(tokens: Tokens, place: Place) -> None:
    (_, text) = await tokens.add("grafana", [Scope.METRICS], 30, ADA)
    for _ in range(2):
        place.clock.now_us += 3_600_000_000
        await tokens.holder(text)
        ((used_at_us),) = [one.used_at_us for one in await tokens.all()]
        assert used_at_us == place.clock.now_us


@pytest.mark.parametrize(
    ("title", "scopes", "days", "words"),
    [
        (
            "till",
            ["commerce"],
            30,
            "no scope 'commerce'; there are audit:read, figures:read, log:read, metrics:read, pipeline:pause, status",
        ),
        ("till", ["everything"], 30, "no scope 'everything'"),
        ("till", [], 30, "needs a scope"),
        (" ", ["status:read"], 30, "needs a title"),
        ("t" * 101, ["status:read"], 30, "needs a title"),
        ("till", ["status:read"], 0, "1 to 3650 days, not 0"),
        ("till", ["status:read"], 4000, "1 to 3650 days, not 4000"),
    ],
)
async def test_a_token_that_can_not_be_is_refused(
    tokens: Tokens, title: str, scopes: list[str], days: int, words: str
) -> None:
    with pytest.raises(TokenRefused, match=words):
        await tokens.add(title, scopes, days, ADA)
    assert await tokens.all() == []


async def test_each_api_has_its_own_scopes(office: Transactions) -> None:
    (token, _) = await Tokens(office, COMMERCE_SCOPES).add("till", ["commerce"], 30, ADA)
    assert token.scopes == {"commerce"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.text(max_size=80))
async def test_no_text_of_a_strangers_is_a_token(tokens: Tokens, text: str) -> None:
    assert await tokens.holder(text) is None
    assert await tokens.holder(f"cht_{text}") is None
