"""A rebuild that runs, wherever it was started, is named beside every number until it has switched or ended."""

from __future__ import annotations

from datetime import UTC, datetime

from backoffice.commands.status import sentence
from backoffice.sign_in.roles import Role
from projections.catalogue import PROJECTIONS
from projections.projector import Projector
from projections.rebuild_lease import LEASE
from tests.web.shop import Shop, viewed

AUTUMN = datetime(2011, 10, 28, tzinfo=UTC)
STAMPED = (
    *("/", "/products", "/product?id=A", "/behind?metric=views", "/pipeline", "/events", "/rebuild", "/dead-letters"),
    "/record?topic=catalog-events&partition=0&offset=0",
)
PLACE = (
    'a rebuild is running, 50% counted: the figures stay those of generation 1 until it switches. <a href="/rebuild">'
)


async def half_rebuilt(shop: Shop) -> int:
    """Two records, one of which another process has counted into a generation of its own."""
    await shop.happened(viewed(AUTUMN, "A"), viewed(AUTUMN, "A"))
    await shop.leases.take([LEASE], "rebuild-there-7", 60)
    generation = await shop.read_model.begin_generation("theirs")
    projector = Projector(shop.read_model, generation, False, PROJECTIONS, shop.codec)
    (tp,) = [one.tp for one in await shop.read_model.progress(1) if one.next_offset]
    await projector.apply(await shop.log.read(tp, 0, 1))
    return generation


async def test_every_number_says_that_a_rebuild_is_running_and_how_far_it_is(shop: Shop) -> None:
    generation = await half_rebuilt(shop)
    async with shop.browser(role=Role.VIEWER) as client:
        for url in STAMPED:
            answer = (await client.get(url)).raise_for_status()
            text = " ".join(answer.text.split())
            assert 'class="stamp stamp-ok"' in text, url
            assert PLACE in text, url
        found = (await client.get("/api/figures")).json()["completeness"]
        assert (await client.get("/api/status")).json()["completeness"] == found
    assert found["rebuild"] == {"generation": generation, "since": "2011-12-01T12:00:00Z", "counted_ratio": 0.5}
    assert found["level"] == "ok"


async def test_a_page_that_has_the_figures_already_hears_of_it_too(shop: Shop) -> None:
    await shop.happened(viewed(AUTUMN, "A"))
    async with shop.browser() as client:
        version = (await client.get("/")).text.partition('data-version="')[2].partition('"')[0]
        await shop.leases.take([LEASE], "rebuild-there-7", 60)
        again = await client.get("/", headers={"X-Figures-Version": version})
    assert "<table" not in again.text
    assert "a rebuild or rollback is running: " in again.text


async def test_a_rebuild_that_died_or_has_ended_is_named_nowhere(shop: Shop) -> None:
    await half_rebuilt(shop)
    shop.clock.passes(61)
    async with shop.browser() as client:
        text = (await client.get("/")).text
        found = (await client.get("/api/figures")).json()["completeness"]
    assert "rebuild" not in text.partition('id="stamp"')[2].partition("</p>")[0]
    assert found["rebuild"] is None


async def test_the_command_says_it_too(shop: Shop) -> None:
    await half_rebuilt(shop)
    assert sentence(await shop.pipeline.completeness()).endswith("; a rebuild is running, 50% counted.")
