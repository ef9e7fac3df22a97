"""Every event type, of every version there ever was, keeps decoding and is described by the schema."""

import json

import msgspec
import pytest
from jsonschema import Draft202012Validator

from event_store.codec import UPCASTERS, Codec
from event_store.events import EVENT_TYPES
from tests.samples import NAMES, SAMPLES

CODEC = Codec()


def test_every_event_type_has_a_sample() -> None:
    assert set(SAMPLES) == {kind.type for kind in EVENT_TYPES} | {step.old.type for step in UPCASTERS}


@pytest.mark.parametrize("event_type", SAMPLES)
def test_a_sample_still_decodes_and_keeps_every_field(event_type: str) -> None:
    decoded = CODEC.decode(SAMPLES[event_type])
    (name, subject, data) = NAMES[event_type]
    assert decoded.event_type.name == name
    assert decoded.envelope.subject == subject
    kept = msgspec.to_builtins(decoded.envelope.data)
    assert {field: kept[field] for field in data} == data


@pytest.mark.parametrize("event_type", SAMPLES)
def test_a_sample_with_a_field_of_a_newer_writer_still_decodes(event_type: str) -> None:
    event = json.loads(SAMPLES[event_type])
    event["data"]["added_later"] = {"by": "a newer writer"}
    assert CODEC.decode(json.dumps(event).encode()).event_type.type == event_type


@pytest.mark.parametrize("event_type", SAMPLES)
def test_the_printed_schema_describes_a_sample(event_type: str) -> None:
    Draft202012Validator(CODEC.schema()).validate(json.loads(SAMPLES[event_type]))


def test_the_printed_schema_refuses_what_is_no_event() -> None:
    assert not Draft202012Validator(CODEC.schema()).is_valid({"specversion": "1.0", "type": "com.example.other.v1"})


def test_event_types_have_names_and_types_of_their_own() -> None:
    assert len({kind.type for kind in EVENT_TYPES}) == len({kind.name for kind in EVENT_TYPES}) == len(EVENT_TYPES)
