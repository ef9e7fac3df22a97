"""The reference of the JSON API says all that the OpenAPI document says, and who may ask."""

from __future__ import annotations

import html
import re
from typing import Any

from backoffice.sign_in.roles import Role
from event_store.tokens import Scope

from .shop import Shop

Reference = tuple[str, dict[str, Any]]


async def read(shop: Shop) -> Reference:
    """The page and the document."""
    async with shop.browser(role=Role.VIEWER) as client:
        page = await client.get("/api")
        assert page.status_code == 200
        return page.text, (await client.get("/schema/openapi.json")).json()


def section(page: str, id_: str) -> str:
    found = re.search(rf'<section class="panel" id="{re.escape(id_)}">.*?</section>', page, re.DOTALL)
    assert found is not None, f"{id_} has no section"
    return html.unescape(found[0])


async def test_every_operation_stands_there_with_its_parameters_and_answers(shop: Shop) -> None:
    (page, document) = await read(shop)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            said = section(page, method + path.replace("/", "-"))
            assert f"<code>{method.upper()} {path}</code>" in said
            assert operation["summary"] in said
            for parameter in operation.get("parameters", []):
                assert f"<code>{parameter['name']}</code>" in said
                assert parameter.get("description", "") in said
            for status in operation["responses"]:
                assert f"<dt>{status}</dt>" in said


async def test_every_shape_stands_there_with_its_fields_and_every_link_leads_to_one(shop: Shop) -> None:
    (page, document) = await read(shop)
    shapes = document["components"]["schemas"]
    for name, shape in shapes.items():
        said = section(page, name)
        for field, schema in shape.get("properties", {}).items():
            assert f"<code>{field}</code>" in said
            assert schema.get("description", "") in said
    assert set(re.findall(r'href="#(\w+)"', page)) - {"content"} <= shapes.keys()
    assert 'href="#FiguresAnswer"' in page


async def test_it_says_what_a_token_needs_and_who_may_ask(shop: Shop) -> None:
    (page, _) = await read(shop)
    assert f"token for <code>{Scope.FIGURES}</code>" in section(page, "get-api-figures")
    assert f"token for <code>{Scope.LOG}</code>" in section(page, "get-api-events")
    assert "role operator or higher" in section(page, "post-api-pause")
    assert "open to this machine itself" in section(page, "get-livez")
    assert "open to this machine itself" not in section(page, "get-api-status")


async def test_kinds_are_said_in_words(shop: Shop) -> None:
    (page, _) = await read(shop)
    figures = section(page, "get-api-figures")
    assert '<td class="name">list of string or null</td>' in figures
    assert '<td class="name">boolean</td><td>no</td><td><code>false</code></td>' in figures
    assert '<td class="name">list of <a href="#AuditRow">AuditRow</a></td>' in section(page, "AuditAnswer")
    assert '<td class="name">date-time</td><td>yes</td>' in section(page, "AuditRow")


async def test_every_page_leads_there(shop: Shop) -> None:
    async with shop.browser() as client:
        assert '<a href="/api">API</a>' in (await client.get("/")).text
