"""Every kind of refusal the API gives, in one list: its stable name, HTTP status and title."""

from __future__ import annotations

from msgspec import Struct


class Kind(Struct, frozen=True):
    slug: str
    status: int
    title: str

    @property
    def urn(self) -> str:
        return f"urn:countinghouse:problem:{self.slug}"


class FieldError(Struct, frozen=True):
    """`pointer` is a JSON pointer into the body, or the name of a path, query or header parameter."""

    pointer: str
    detail: str


class Refusal(Struct, frozen=True):
    """One refusal, as it is kept under an idempotency key."""

    slug: str
    detail: str
    errors: list[FieldError] = []


class Refused(Exception):
    """The call is refused; it changed nothing."""

    def __init__(
        self,
        kind: Kind,
        detail: str,
        errors: list[FieldError] | None = None,
        *,
        retry_after_s: int | None = None,
        replayed: bool = False,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.errors = errors or []
        self.retry_after_s = retry_after_s
        self.replayed = replayed

    @property
    def refusal(self) -> Refusal:
        return Refusal(self.kind.slug, self.detail, self.errors)


MALFORMED_JSON = Kind("malformed-json", 400, "The body is not strict JSON")
INVALID_KEY = Kind("invalid-idempotency-key", 400, "The idempotency key can't be used")
BAD_REQUEST = Kind("bad-request", 400, "The request can't be read")
UNAUTHENTICATED = Kind("unauthenticated", 401, "The call carries no good token")
NOT_IN_SCOPE = Kind("not-in-scope", 403, "The token is for something else")
NOT_FOUND = Kind("not-found", 404, "There is nothing at this address")
UNKNOWN_PRODUCT = Kind("unknown-product", 404, "There is no such product")
UNKNOWN_ORDER = Kind("unknown-order", 404, "There is no such order")
UNKNOWN_REFUND = Kind("unknown-refund", 404, "There is no such refund")
METHOD_NOT_ALLOWED = Kind("method-not-allowed", 405, "The address doesn't take this method")
TOO_SLOW = Kind("too-slow", 408, "The request took too long to come")
ORDER_EXISTS = Kind("order-exists", 409, "The order id stands for another order")
ORDER_SETTLED = Kind("order-settled", 409, "The order was paid or cancelled before")
PAYMENT_EXISTS = Kind("payment-exists", 409, "The payment id stands for another payment")
REFUND_EXISTS = Kind("refund-exists", 409, "The refund id stands for another refund")
ORDER_NOT_PAID = Kind("order-not-paid", 409, "The order was not paid")
REFUND_EXCEEDS_PAYMENT = Kind("refund-exceeds-payment", 409, "More would go back than was paid")
BODY_TOO_LARGE = Kind("body-too-large", 413, "The body is too large")
UNSUPPORTED_MEDIA_TYPE = Kind("unsupported-media-type", 415, "The body is of another media type")
INVALID_FIELD = Kind("invalid-field", 422, "A field is not valid")
UNKNOWN_PRODUCT_IN_LINE = Kind("unknown-product-in-line", 422, "A line names a product that is not listed")
MIXED_CURRENCIES = Kind("mixed-currencies", 422, "The lines are not all of one currency")
TOO_LARGE_TO_RECORD = Kind("too-large-to-record", 422, "The lines don't fit into one event")
KEY_REUSED = Kind("idempotency-key-reused", 422, "The idempotency key was used with another body")
HEAD_TOO_LARGE = Kind("head-too-large", 431, "The head of the request is too large")
INTERNAL = Kind("internal", 500, "Something went wrong here")
STORAGE_UNAVAILABLE = Kind("storage-unavailable", 503, "The database can't be written to right now")
OUTBOX_BACKLOG = Kind("outbox-backlog", 503, "Too many events wait to be sent")

KINDS = {
    kind.slug: kind
    for kind in (
        MALFORMED_JSON,
        INVALID_KEY,
        BAD_REQUEST,
        UNAUTHENTICATED,
        NOT_IN_SCOPE,
        NOT_FOUND,
        UNKNOWN_PRODUCT,
        UNKNOWN_ORDER,
        UNKNOWN_REFUND,
        METHOD_NOT_ALLOWED,
        TOO_SLOW,
        ORDER_EXISTS,
        ORDER_SETTLED,
        PAYMENT_EXISTS,
        REFUND_EXISTS,
        ORDER_NOT_PAID,
        REFUND_EXCEEDS_PAYMENT,
        BODY_TOO_LARGE,
        UNSUPPORTED_MEDIA_TYPE,
        INVALID_FIELD,
        UNKNOWN_PRODUCT_IN_LINE,
        MIXED_CURRENCIES,
        TOO_LARGE_TO_RECORD,
        KEY_REUSED,
        HEAD_TOO_LARGE,
        INTERNAL,
        STORAGE_UNAVAILABLE,
        OUTBOX_BACKLOG,
    )
}
"""Slug -> kind, to give a kept refusal again."""
