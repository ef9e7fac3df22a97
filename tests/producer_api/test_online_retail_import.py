from __future__ import annotations

import asyncio
import csv
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from producer_api.aiohttp_caller import ApiSilent
from producer_api.crew import Phase, Progress
from producer_api.online_retail import UnreadableRetailFile
from producer_api.online_retail_import import Account, import_online_retail
from producer_api.online_retail_row import COLUMNS, Reason
from producer_api.online_retail_sending import WrongAddress
from tests.retail_oracle import EXCERPT, judge, oracle

from .bare_shop import BareShop, Call, Misfortune

LANTERN = ("536365", "71053", "WHITE METAL LANTERN", "6", "2010-12-01 08:26:00", "3.39", "17850.0", "United Kingdom")
PLATE = ("536365", "a b?#%é", "", "1", "2010-12-01 08:26:00", "0.0", "17850.0", "United Kingdom")
RETURNED = ("C536379", "71053", "Lantern", "-2", "2011-06-01 00:10:00", "3.39", "", "France")
ADJUSTED = ("536589", "21777", "", "-10", "2010-12-01 16:50:00", "0.0", "", "United Kingdom")


def write(file: Path, *rows: Sequence[str]) -> Path:
    with file.open("w", encoding="utf-8", newline="") as text:
        csv.writer(text).writerows([COLUMNS, *rows])
    return file


def read_rejects(file: Path) -> list[list[str]]:
    with file.open(encoding="utf-8", newline="") as text:
        return list(csv.reader(text))


def names_in(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


@pytest.fixture
def invoices(tmp_path: Path) -> Path:
    return write(tmp_path / "invoices.csv", LANTERN, PLATE, RETURNED, ADJUSTED)


async def test_every_call_of_an_import_is_as_the_api_wants_it(shop: BareShop, invoices: Path) -> None:
    await import_online_retail(invoices, shop.url, None, connections=1)
    lantern = {"product_id": "71053", "quantity": 6, "amount_minor": 2034}
    plate = {"product_id": "a b?#%é", "quantity": 1, "amount_minor": 0}
    order = {"order_id": "536365", "currency": "GBP", "lines": [lantern, plate], "buyer_id": "17850"}
    payment = {"payment_id": "536365", "outcome": "completed", "at": "2010-12-01T08:26:00Z"}
    back = {"product_id": "71053", "quantity": 2, "amount_minor": 678}
    refund = {"refund_id": "C536379", "currency": "GBP", "lines": [back], "at": "2011-05-31T23:10:00Z"}
    prices: list[tuple[str, dict[str, Any]]] = [
        ("71053", {"name": "WHITE METAL LANTERN", "price_minor": 339, "currency": "GBP"}),
        ("a b?#%é", {"name": "a b?#%é", "price_minor": 0, "currency": "GBP"}),
    ]
    assert shop.calls == [
        *(Call("PUT", f"/v1/products/{product_id}", None, body) for product_id, body in prices),
        Call("POST", "/v1/orders", "online-retail-536365-order", order),
        Call("POST", "/v1/orders/536365/payments", "online-retail-536365-payment", payment),
        Call("POST", "/v1/refunds", "online-retail-C536379-refund", refund),
    ]


async def test_the_account_adds_up_and_says_what_was_sent(shop: BareShop, invoices: Path) -> None:
    account = await import_online_retail(invoices, shop.url, None)
    assert (account.rows_read, account.lines_accepted, account.rows_refused) == (4, 3, 1)
    assert account.refused == {Reason.ORDER_QUANTITY: 1}
    sent = account.delivery
    assert (sent.products, sent.orders, sent.refunds, sent.replayed, sent.failed) == (2, 1, 1, 0, 0)
    assert account.describe().splitlines() == [
        "         4  rows read",
        "         3  lines accepted",
        "         1  rows refused",
        "         1    Quantity of an order is not above zero",
        "         2  products listed",
        "         1  orders paid",
        "         1  refunds made",
        "         0    of these taken by an earlier import",
        "         0  products and invoices the API refused",
    ]


def test_an_account_that_does_not_add_up_is_none() -> None:
    with pytest.raises(ValueError, match=r"4 rows read, but 2 \+ 1 judged"):
        Account(4, 2, {"because": 1})


async def test_the_excerpt_arrives_as_the_oracle_computes_it(shop: BareShop) -> None:
    account = await import_online_retail(EXCERPT, shop.url, None)
    assert shop.figures() == oracle(EXCERPT)
    assert account.rows_read == judge(EXCERPT).rows_read
    assert account.rows_refused == len(judge(EXCERPT).refused)
    assert len(oracle(EXCERPT)) > 500


async def test_a_second_import_sends_nothing_new_and_says_so(shop: BareShop) -> None:
    first = await import_online_retail(EXCERPT, shop.url, None)
    figures = shop.figures()
    second = await import_online_retail(EXCERPT, shop.url, None)
    assert shop.figures() == figures
    assert (first.delivery.replayed, second.delivery.replayed) == (0, second.delivery.orders + second.delivery.refunds)


async def test_an_import_killed_half_way_and_run_again_ends_in_the_same_figures(shop: BareShop) -> None:
    half_way = asyncio.Event()

    def stop_half_way(_: Call, before: int) -> Misfortune | None:
        if before == 570:
            half_way.set()
        return None

    shop.misfortune = stop_half_way
    importing = asyncio.create_task(import_online_retail(EXCERPT, shop.url, None))
    await half_way.wait()
    importing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await importing
    assert shop.figures() != oracle(EXCERPT)
    account = await import_online_retail(EXCERPT, shop.url, None)
    assert shop.figures() == oracle(EXCERPT)
    assert account.delivery.replayed > 0


async def test_an_api_that_dies_and_comes_back_loses_and_doubles_nothing(shop: BareShop) -> None:
    deaths = {100, 300, 500, 530, 560}
    dying = asyncio.Event()

    def die(_: Call, before: int) -> Misfortune | None:
        if before not in deaths:
            return None
        dying.set()
        return Misfortune(0)

    shop.misfortune = die
    importing = asyncio.create_task(import_online_retail(EXCERPT, shop.url, None))
    for _ in deaths:
        await dying.wait()
        dying.clear()
        await shop.die()
        await asyncio.sleep(0.05)
        await shop.open()
    account = await importing
    assert shop.figures() == oracle(EXCERPT)
    assert account.delivery.failed == 0
    repeated = [call for call in shop.calls if call.key and shop.calls.count(call) > 1]
    assert repeated


@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_a_busy_or_broken_api_is_asked_again_with_the_same_call(
    shop: BareShop, invoices: Path, status: int
) -> None:
    seen: list[Progress] = []
    shop.misfortune = lambda _, before: Misfortune(status) if before % 3 else None
    account = await import_online_retail(invoices, shop.url, None, connections=1, progress=seen.append)
    assert account.delivery.failed == 0
    assert shop.figures() == oracle(invoices)
    assert len(shop.calls) == 13
    assert seen[-1].repeats == 8


async def test_retry_after_is_waited_for(shop: BareShop, invoices: Path) -> None:
    shop.misfortune = lambda _, before: Misfortune(503, {"Retry-After": "1"}) if before == 0 else None
    begun_s = time.monotonic()
    await import_online_retail(invoices, shop.url, None)
    assert 1.0 <= time.monotonic() - begun_s < 3.0


async def test_an_api_that_stays_away_ends_the_import_with_its_last_trouble(shop: BareShop, invoices: Path) -> None:
    await shop.die()
    with pytest.raises(ApiSilent, match=f"127.0.0.1:{shop.serving.port} gave no usable answer for"):
        await import_online_retail(invoices, shop.url, None, patience_s=0.3)


async def test_patience_begins_anew_with_every_answer(shop: BareShop, tmp_path: Path) -> None:
    file = write(tmp_path / "invoices.csv", *(("536365", str(number), *LANTERN[2:]) for number in range(12)))
    shop.misfortune = lambda _, before: Misfortune(503) if before % 3 else None
    begun_s = time.monotonic()
    await import_online_retail(file, shop.url, None, connections=1, patience_s=0.8)
    assert time.monotonic() - begun_s > 0.8


async def test_what_the_api_refuses_is_not_repeated_but_counted_and_written_down(
    shop: BareShop, invoices: Path, tmp_path: Path
) -> None:
    problem = {"title": "A field is not valid", "detail": "No.", "errors": [{"pointer": "/lines/0", "detail": "odd"}]}
    shop.misfortune = lambda call, _: Misfortune(422, problem=problem) if call.path == "/v1/orders" else None
    account = await import_online_retail(invoices, shop.url, tmp_path / "rejects.csv")
    assert (account.delivery.orders, account.delivery.refunds, account.delivery.failed) == (0, 1, 1)
    assert (account.lines_accepted, account.rows_refused) == (3, 1)
    assert len(shop.calls) == 4
    told = "the API refused it: 422 A field is not valid No. /lines/0 odd"
    assert read_rejects(tmp_path / "rejects.csv")[1:] == [
        ["1", told, *LANTERN],
        ["2", told, *PLATE],
        ["4", Reason.ORDER_QUANTITY, *ADJUSTED],
    ]


async def test_a_refused_payment_fails_its_invoice(shop: BareShop, invoices: Path) -> None:
    shop.misfortune = lambda call, _: Misfortune(409) if call.path.endswith("/payments") else None
    account = await import_online_retail(invoices, shop.url, None)
    assert (account.delivery.orders, account.delivery.failed) == (0, 1)
    assert account.delivery.failures == dict.fromkeys((1, 2), "the API refused it: 409")


async def test_a_refused_product_is_written_down_with_its_last_row(
    shop: BareShop, invoices: Path, tmp_path: Path
) -> None:
    shop.misfortune = lambda call, _: Misfortune(400) if call.path == "/v1/products/71053" else None
    account = await import_online_retail(invoices, shop.url, tmp_path / "rejects.csv")
    assert (account.delivery.products, account.delivery.failed) == (1, 1)
    assert read_rejects(tmp_path / "rejects.csv")[1][:2] == ["3", "the API refused it: 400"]


async def test_the_rejects_file_has_number_reason_and_columns_of_every_refused_row(
    shop: BareShop, tmp_path: Path
) -> None:
    awkward = ("A563185", "B", 'Adjust "bad", debt\nin two lines', "1", "2011-08-12 14:50:00", "11062.06", "", "")
    short = ("536366", "22633")
    file = write(tmp_path / "invoices.csv", awkward, LANTERN, short, (), ADJUSTED)
    await import_online_retail(file, shop.url, tmp_path / "rejects.csv")
    assert read_rejects(tmp_path / "rejects.csv") == [
        ["row", "reason", *COLUMNS],
        ["1", Reason.INVOICE_NO, *awkward],
        ["3", Reason.COLUMNS, *short],
        ["4", Reason.COLUMNS],
        ["5", Reason.ORDER_QUANTITY, *ADJUSTED],
    ]
    assert names_in(tmp_path) == {"invoices.csv", "rejects.csv"}


async def test_the_rejects_of_the_excerpt_are_those_of_the_oracle(shop: BareShop, tmp_path: Path) -> None:
    await import_online_retail(EXCERPT, shop.url, tmp_path / "rejects.csv")
    with EXCERPT.open(encoding="utf-8", newline="") as text:
        rows = list(csv.reader(text))
    written = read_rejects(tmp_path / "rejects.csv")[1:]
    assert [(int(number), columns) for number, _, *columns in written] == [
        (number, rows[number]) for number in judge(EXCERPT).refused
    ]


async def test_a_rejects_file_without_rejects_has_only_its_header(shop: BareShop, tmp_path: Path) -> None:
    file = write(tmp_path / "invoices.csv", LANTERN)
    rejects = tmp_path / "rejects.csv"
    rejects.write_text("of an earlier import", encoding="utf-8")
    await import_online_retail(file, shop.url, rejects)
    assert read_rejects(rejects) == [["row", "reason", *COLUMNS]]


async def test_unreadable_bytes_come_out_in_the_rejects_file_as_they_were(shop: BareShop, tmp_path: Path) -> None:
    file = tmp_path / "invoices.csv"
    line = b"536365,71\xa3053,LANTERN,6,2010-12-01 08:26:00,3.39,,United Kingdom"
    file.write_bytes(",".join(COLUMNS).encode() + b"\n" + line + b"\n")
    await import_online_retail(file, shop.url, tmp_path / "rejects.csv")
    assert line in (tmp_path / "rejects.csv").read_bytes()


async def test_the_rejects_may_not_replace_the_invoices(shop: BareShop, invoices: Path) -> None:
    with pytest.raises(ValueError, match="is the invoice file itself"):
        await import_online_retail(invoices, shop.url, invoices)
    assert len(read_rejects(invoices)) == 5
    assert shop.calls == []


async def test_nothing_of_an_unreadable_file_is_sent(shop: BareShop, tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text("id\n1\n", encoding="utf-8")
    with pytest.raises(UnreadableRetailFile):
        await import_online_retail(file, shop.url, None)
    assert shop.calls == []


async def test_a_server_without_a_commerce_api_is_told_from_one_that_refuses(shop: BareShop, invoices: Path) -> None:
    shop.misfortune = lambda _, __: Misfortune(404)
    with pytest.raises(WrongAddress, match="no commerce API"):
        await import_online_retail(invoices, shop.url, None)


@pytest.mark.parametrize("address", ["127.0.0.1:8000", "", "ftp://shop", "http://"])
async def test_an_address_that_is_none_is_refused_at_once(invoices: Path, address: str) -> None:
    with pytest.raises(ValueError, match="is no address of an API"):
        await import_online_retail(invoices, address, None)


async def test_calls_go_out_together_over_as_many_connections_as_asked_for(shop: BareShop, tmp_path: Path) -> None:
    shop.thinks_s = 0.005
    file = write(tmp_path / "invoices.csv", *((str(number), str(number), *LANTERN[2:]) for number in range(30)))
    await import_online_retail(file, f"{shop.url}/", None, connections=5)
    assert len(shop.connections) == 5
    assert 1 < shop.busiest <= 5


async def test_products_are_listed_before_any_invoice_is_sent(shop: BareShop) -> None:
    await import_online_retail(EXCERPT, shop.url, None)
    methods = [call.method for call in shop.calls]
    assert methods == sorted(methods, reverse=True)


async def test_progress_goes_through_the_phases_to_their_ends(shop: BareShop) -> None:
    seen: list[Progress] = []
    account = await import_online_retail(EXCERPT, shop.url, None, progress=seen.append)
    assert list(dict.fromkeys(step.phase for step in seen)) == [Phase.READING, Phase.PRODUCTS, Phase.INVOICES]
    products = account.delivery.products
    invoices = account.delivery.orders + account.delivery.refunds
    assert Progress(Phase.PRODUCTS, products, products) in seen
    assert seen[-1] == Progress(Phase.INVOICES, invoices, invoices)
