"""Signing in by the page: sessions, forms that other sites can't send, tries, and what an admin does to others."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backoffice.pages.audit import facts_of
from backoffice.pages.sign_in import own_place
from backoffice.sign_in.roles import Role
from backoffice.sign_in.site import Site
from tests.web.shop import Shop
from tests.web.visitors import NO_SIGN_IN, OWN, TEST, sign_in

COOKIE = Site().cookie_name


@pytest.fixture
async def bobs(shop: Shop) -> Shop:
    """A shop with an account bob."""
    await shop.visitors.joins("bob", Role.VIEWER)
    return shop


def told(shop: Shop) -> Any:
    return shop.visitors.office.audits["backoffice"].older(most=1)


async def test_who_is_not_signed_in_is_led_there_and_back(bobs: Shop) -> None:
    async with bobs.browser(role=None) as client:
        asked = await client.get("/products?q=lamp&sort=views")
        assert asked.status_code == 303
        assert asked.headers["location"] == "/sign-in?next=%2Fproducts%3Fq%3Dlamp%26sort%3Dviews"
        entered = await sign_in(client, "bob", place="/products?q=lamp&sort=views")
        assert (entered.status_code, entered.headers["location"]) == (303, "/products?q=lamp&sort=views")
        assert (await client.get("/products?q=lamp")).status_code == 200


@pytest.mark.parametrize("url", ["/api/figures", "/api/status", "/figures.csv", "/live"])
async def test_a_program_that_is_nobody_gets_a_problem(shop: Shop, url: str) -> None:
    async with shop.browser(role=None) as client:
        answer = await client.get(url)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_an_open_page_hears_that_its_session_has_ended(bobs: Shop) -> None:
    async with bobs.browser(role=None) as client:
        assert (await client.get("/", headers={"X-Figures-Version": "1"})).status_code == 401


async def test_the_session_is_in_a_cookie_that_no_script_reads(bobs: Shop) -> None:
    async with bobs.browser(role=None) as client:
        entered = await sign_in(client, "bob")
    (cookie,) = [one for one in entered.headers.get_list("set-cookie") if one.startswith(f"{COOKIE}=")]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Path=/" in cookie
    assert "Secure" not in cookie
    assert "Domain" not in cookie
    assert "expires" not in cookie.lower()


async def test_behind_tls_cookies_are_for_encrypted_ways_and_this_host_alone(bobs: Shop) -> None:
    bobs.visitors.site = Site(public_url="https://shop.example")
    app: Any = bobs.dashboard()
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="https://shop.example") as client:
        entered = await sign_in(client, "bob")
        assert entered.headers["location"] == "/"
        for cookie in entered.headers.get_list("set-cookie"):
            assert cookie.startswith("__Host-countinghouse")
            assert "Secure" in cookie
            assert "Path=/" in cookie
            assert "Domain" not in cookie
        assert (await client.get("/")).status_code == 200


async def test_a_session_that_somebody_else_chose_is_not_the_one_after_signing_in(bobs: Shop) -> None:
    async with bobs.browser(role=None) as client:
        client.cookies.set(COOKIE, "chosen", domain="localhost.local")
        await sign_in(client, "bob")
        assert client.cookies[COOKIE] != "chosen"
        own = client.cookies[COOKIE]
        client.cookies.clear()
        client.cookies.set(COOKIE, "chosen", domain="localhost.local")
        assert (await client.get("/")).status_code == 303
        client.cookies.set(COOKIE, own, domain="localhost.local")
        assert (await client.get("/")).status_code == 200


async def test_a_session_that_was_left_opens_nothing(shop: Shop) -> None:
    async with shop.browser() as client:
        (kept, token) = (client.cookies[COOKIE], shop.visitors.form_token(client))
        left = await shop.visitors.sends(client, "/sign-out")
        assert (left.status_code, left.headers["location"]) == (303, "/sign-in")
        assert COOKIE not in client.cookies
        client.cookies.set(COOKIE, kept, domain="localhost.local")
        assert (await client.get("/")).status_code == 303
        assert (await client.get("/api/status")).status_code == 401
        assert (
            await client.post("/users", data={"form_token": token, "name": "eve", "role": "admin"})
        ).status_code != 200
    assert "eve" not in {one.name for one in await shop.visitors.office.accounts.all()}


async def test_a_session_ends_by_itself_and_pages_that_refresh_do_not_keep_it(shop: Shop) -> None:
    async with shop.browser() as client:
        for _ in range(4):
            shop.clock.passes(29 * 60)
            assert (await client.get("/")).status_code == 200
        for _ in range(3):
            shop.clock.passes(11 * 60)
            last = await client.get("/", headers={"X-Figures-Version": "1"})
        assert last.status_code == 401


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"form_token": ""},
        {"form_token": "0" * 64},
        {"form_token": "é\ud7ff"},
        {"other": "x"},
    ],
)
@pytest.mark.parametrize("path", ["/users", "/sign-out", "/account/password", "/account/sessions", "/tokens/dashboard"])
async def test_a_form_without_the_sessions_token_does_nothing(shop: Shop, path: str, sent: dict[str, str]) -> None:
    async with shop.browser() as client:
        before = await told(shop)
        answer = await client.post(path, data={"name": "eve", "role": "admin", **sent})
        assert answer.status_code == 403
        assert "out of date" in answer.text
        assert await told(shop) == before
        assert (await client.get("/")).status_code == 200


async def test_the_token_of_another_session_is_not_this_ones(shop: Shop) -> None:
    async with shop.browser() as client, shop.browser() as other:
        foreign = shop.visitors.form_token(other)
        answer = await client.post("/users", data={"form_token": foreign, "name": "eve", "role": "admin"})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:8100.evil.example"},
        {"Origin": "http://localhost:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_what_another_site_sends_is_refused_though_it_knew_the_token(shop: Shop, headers: dict[str, str]) -> None:
    async with shop.browser() as client:
        data = {"form_token": shop.visitors.form_token(client), "name": "eve", "role": "admin"}
        assert (await client.post("/users", data=data, headers=headers)).status_code == 403
        own = {"Origin": "http://localhost:8100", "Sec-Fetch-Site": "same-origin"}
        assert (await client.post("/users", data=data, headers=own)).status_code == 200


async def test_without_sign_in_another_site_can_send_nothing_either(shop: Shop) -> None:
    async with shop.browser(role=None, gate=NO_SIGN_IN) as client:
        assert (await client.get("/")).status_code == 200
        assert (await client.get("/users")).status_code == 404
        assert "Sign out" not in (await client.get("/")).text
        answer = await client.post("/", headers={"Origin": "https://evil.example"})
    assert answer.status_code in (403, 405)


async def test_a_token_of_the_form_may_come_in_a_header(shop: Shop) -> None:
    async with shop.browser() as client:
        headers = {"X-Form-Token": shop.visitors.form_token(client)}
        assert (await client.post("/account/sessions", headers=headers)).status_code == 303


async def test_signing_in_needs_the_token_of_its_own_form(bobs: Shop) -> None:
    """Nobody is signed in by another site as somebody they aren't."""
    async with bobs.browser(role=None) as client:
        answer = await client.post("/sign-in", data={"name": "bob", "password": OWN})
        assert answer.status_code == 403
        page = await client.get("/sign-in")
        token = re.findall(r'name="form_token" value="([^"]*)"', page.text)[0]
        client.cookies.clear()
        answer = await client.post("/sign-in", data={"name": "bob", "password": OWN, "form_token": token})
        assert answer.status_code == 403


async def test_who_is_wrong_is_told_the_same_whatever_is_wrong(bobs: Shop) -> None:
    await bobs.visitors.joins("carol", Role.VIEWER)
    await bobs.visitors.joins("ada", Role.ADMIN)
    await bobs.visitors.office.accounts.disable("carol", TEST)
    texts = set()
    async with bobs.browser(role=None) as client:
        for name, password in (("bob", "wrong"), ("nobody", "wrong"), ("carol", OWN), ("carol", "wrong")):
            answer = await sign_in(client, name, password)
            assert answer.status_code == 401
            assert COOKIE not in client.cookies
            texts.add(re.sub(r'value="[^"]*"', "", answer.text))
    assert len(texts) == 1


@pytest.mark.parametrize("name", ["bob", "nobody"])
async def test_too_many_tries_are_refused_for_a_while_in_the_same_words(bobs: Shop, name: str) -> None:
    async with bobs.browser(role=None) as client:
        for _ in range(10):
            assert (await sign_in(client, name, "wrong")).status_code == 401
        refused = await sign_in(client, name, OWN)
        assert refused.status_code == 429
        assert 800 < int(refused.headers["retry-after"]) <= 900
        assert "Too many tries; try again in 15 minutes." in refused.text
        bobs.clock.passes(16 * 60)
        assert (await sign_in(client, "bob")).status_code == 303


async def test_behind_a_proxy_tries_are_counted_by_who_it_speaks_for(bobs: Shop) -> None:
    bobs.visitors.site = Site(public_url="http://localhost:8100")
    async with bobs.browser(role=None) as client:
        client.headers["X-Forwarded-For"] = "10.9.9.9, 192.0.2.1"
        for _ in range(11):
            last = await sign_in(client, "bob", "wrong")
        assert last.status_code == 429
        client.headers["X-Forwarded-For"] = "192.0.2.1, 192.0.2.2"
        assert (await sign_in(client, "bob")).status_code == 303


async def test_without_a_proxy_nobody_says_where_they_come_from(bobs: Shop) -> None:
    async with bobs.browser(role=None) as client:
        for number in range(11):
            client.headers["X-Forwarded-For"] = f"192.0.2.{number}"
            last = await sign_in(client, "bob", "wrong")
    assert last.status_code == 429


async def test_a_given_password_is_good_for_choosing_an_own_one_only(shop: Shop) -> None:
    password = await shop.visitors.office.accounts.add_first(TEST)
    assert password
    async with shop.browser(role=None) as client:
        entered = await sign_in(client, "admin", password)
        assert entered.headers["location"] == "/account"
        for url in ("/", "/users", "/audit"):
            assert (await client.get(url)).headers["location"] == "/account"
        assert (await client.get("/api/status")).status_code == 403
        assert "Choose a password of your own" in (await client.get("/account")).text
        before = client.cookies[COOKIE]
        change = {"current": password, "new": OWN, "again": OWN}
        changed = await shop.visitors.sends(client, "/account/password", **change)
        assert (changed.status_code, changed.headers["location"]) == (303, "/")
        assert client.cookies[COOKIE] != before
        assert (await client.get("/users")).status_code == 200
        client.cookies.set(COOKIE, before, domain="localhost.local")
        assert (await client.get("/")).status_code == 303


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"current": "wrong", "new": "another fine one", "again": "another fine one"}, "not your current password"),
        ({"current": OWN, "new": "another fine one", "again": "another"}, "the same both times"),
        ({"current": OWN, "new": "short", "again": "short"}, "12 to 200 characters"),
        ({"current": OWN, "new": OWN, "again": OWN}, "the new password is the old one"),
        ({}, "not your current password"),
    ],
)
async def test_a_change_of_password_that_can_not_be_says_why(shop: Shop, change: dict[str, str], words: str) -> None:
    async with shop.browser() as client:
        answer = await shop.visitors.sends(client, "/account/password", **change)
        assert answer.status_code == 422
        assert words in answer.text.replace("&#39;", "'")
        assert (await client.get("/")).status_code == 200


async def test_ones_own_sessions_are_shown_and_the_others_ended(shop: Shop) -> None:
    async with shop.browser() as client, shop.browser() as other:
        other.headers["User-Agent"] = "<b>old phone</b>"
        await shop.visitors.enters(other)
        shown = (await client.get("/account")).text
        assert shown.count("(here)") == 1
        await shop.visitors.sends(client, "/account/sessions")
        assert (await other.get("/")).status_code == 303
        assert (await client.get("/")).status_code == 200


async def test_an_admin_adds_an_account_whose_password_is_shown_once(shop: Shop) -> None:
    async with shop.browser() as client:
        made = await shop.visitors.sends(client, "/users", name="Eve", role="analyst")
        (password,) = re.findall(r"<code>([a-z2-9]{4}(?:-[a-z2-9]{4}){3})</code>", made.text)
        assert password not in (await client.get("/users")).text
        again = await shop.visitors.sends(client, "/users", name="eve", role="analyst")
        assert (again.status_code, "there is an account eve already" in again.text) == (422, True)
    async with shop.browser(role=None) as client:
        assert (await sign_in(client, "eve", password)).headers["location"] == "/account"


@pytest.mark.parametrize("act", ["role", "password", "disable"])
async def test_what_an_admin_changes_ends_the_sessions_at_once(bobs: Shop, act: str) -> None:
    async with bobs.browser() as admin, bobs.browser(role=None) as client:
        await sign_in(client, "bob")
        assert (await client.get("/")).status_code == 200
        await bobs.visitors.sends(admin, f"/users/bob/{act}", role="operator")
        assert (await client.get("/")).status_code == 303
        again = await sign_in(client, "bob")
        assert again.status_code == (303 if act == "role" else 401)


async def test_what_can_not_be_done_to_an_account_is_said(shop: Shop) -> None:
    async with shop.browser() as client:
        for path, fields, words in (
            ("/users/admin/disable", {}, "the last admin"),
            ("/users/admin/role", {"role": "viewer"}, "the last admin"),
            ("/users/admin/role", {"role": "king"}, "no role"),
            ("/users/nobody/disable", {}, "there is no account nobody"),
            ("/users/admin/explode", {}, "no act"),
            ("/users", {"name": "a b", "role": "viewer"}, "a name is"),
        ):
            answer = await shop.visitors.sends(client, path, **fields)
            assert (answer.status_code, words in answer.text) == (422, True), path


async def test_a_form_that_is_too_large_is_not_read(shop: Shop) -> None:
    async with shop.browser() as client:
        answer = await shop.visitors.sends(client, "/users", name="x" * 100_000, role="viewer")
    assert answer.status_code == 413


async def test_the_audit_shows_who_did_what_page_by_page_and_hostile_text_as_text(shop: Shop) -> None:
    for number in range(120):
        await shop.visitors.office.audits["backoffice"].record(
            replace(TEST, what="test.done", on=f"<b>{number}</b>", reason="</script><script>")
        )
    async with shop.browser(role=Role.OPERATOR) as client:
        pages = [await client.get("/audit")]
        while found := re.search(r'href="(/audit\?[^"]*)" rel="next"', pages[-1].text):
            pages.append(await client.get(found[1].replace("&amp;", "&")))
        assert (await client.get("/audit?of=commerce")).text.count("Nothing was done here yet") == 1
        for wrong in ("of=nowhere", "before=x", "before=-1", f"before={'9' * 30}"):
            assert (await client.get(f"/audit?{wrong}")).status_code == 400
    text = "".join(one.text for one in pages)
    assert [int(one) for one in re.findall(r"&lt;b&gt;(\d+)&lt;/b&gt;", text)] == list(range(119, -1, -1))
    assert text.count("<script") == len(pages)


async def test_the_audit_says_name_by_name_what_was_before_and_after(shop: Shop) -> None:
    (before, after) = ({"must_change_password": True, "role": "viewer"}, {"rows": [3, 4], "role": "<b>"})
    await shop.visitors.office.audits["backoffice"].record(replace(TEST, what="test.done", before=before, after=after))
    async with shop.browser(role=Role.OPERATOR) as client:
        text = (await client.get("/audit")).text
    for name, value in (
        ("must change password", "true"),
        ("role", "viewer"),
        ("rows", "[3, 4]"),
        ("role", "&lt;b&gt;"),
    ):
        assert f'<div><span class="quiet">{name}</span> <bdi>{value}</bdi></div>' in text


@pytest.mark.parametrize("told", ["no JSON", "[3, 4]", "7"])
def test_what_the_audit_says_without_names_stands_as_it_is(told: str) -> None:
    assert facts_of(told) == [("", told)]
    assert facts_of("") == []


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/products?q=1", "/products?q=1"),
        ("", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("/a\r\nSet-Cookie: x=y", "/"),
        ("/sign-in?next=/", "/"),
        ("/\t/evil.example", "/"),
    ],
)
def test_signing_in_leads_to_a_page_of_ours(path: str, place: str) -> None:
    assert own_place(path) == place


@given(st.text())
def test_no_text_leads_away(text: str) -> None:
    for path in (text, f"/{text}", f"//{text}"):
        place = own_place(path)
        assert place.startswith("/")
        assert not place.startswith(("//", "/\\"))
        assert not re.search(r"[\x00-\x1f\\]", place)
