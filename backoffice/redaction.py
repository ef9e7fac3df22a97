"""Redaction: what is a secret in a text stays out of log lines, errors and listings."""

from __future__ import annotations

import re

_CREDENTIALS = re.compile(r"(?P<head>://[^/\s:@]*):[^\s\x22\x27<>]*@")
_QUERY_SECRET = re.compile(r"(?P<head>[?&][\w-]*(?:password|secret|token)[\w-]*=)[^&\s]+", re.IGNORECASE)


def redacted(text: str) -> str:
    """`text` with the passwords of URLs in it replaced by `***`."""
    return _QUERY_SECRET.sub(r"\g<head>***", _CREDENTIALS.sub(r"\g<head>:***@", text))
