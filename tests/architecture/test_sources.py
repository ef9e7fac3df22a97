"""Files and functions stay small and are named after what they are."""

import ast
import re
from collections.abc import Iterator
from statistics import median

from tests.architecture.sources import PACKAGES, ROOT, Source, sources, tracked_files

MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 50
MAX_MEDIAN_FUNCTION_LINES = 10

FORBIDDEN_NAMES = {"util", "utils", "common", "core", "manager", "managers", "helper", "helpers", "base", "misc", "lib"}
"""Names that say nothing: whatever stands in such a file belongs into one that says what it is."""

NOT_DONE = re.compile(r"\b(TODO|FIXME|XXX|HACK|NotImplementedError)\b|pytest\.(mark\.)?(skip|xfail)|unittest\.mock")

EVERY_SOURCE = sources(*PACKAGES)


def test_files_have_at_most_300_lines() -> None:
    lengths = {source.place: len(source.text.splitlines()) for source in sources(*PACKAGES, "benchmarks")}
    assert {place: lines for place, lines in lengths.items() if lines > MAX_FILE_LINES} == {}


def test_functions_have_at_most_50_lines_and_usually_fewer_than_ten() -> None:
    lengths = {f"{source.place}:{node.name}": _lines(node) for source in EVERY_SOURCE for node in _functions(source)}
    assert {place: lines for place, lines in lengths.items() if lines > MAX_FUNCTION_LINES} == {}
    assert median(lengths.values()) < MAX_MEDIAN_FUNCTION_LINES


def test_no_file_has_a_name_that_says_nothing() -> None:
    named = [path.relative_to(ROOT) for path in tracked_files() if path.suffix == ".py"]
    assert [str(path) for path in named if FORBIDDEN_NAMES & {*path.parts[:-1], *path.stem.split("_")}] == []


def test_every_module_says_what_it_is() -> None:
    assert [source.place for source in EVERY_SOURCE if not ast.get_docstring(source.tree)] == []


def test_nothing_is_left_undone_or_skipped() -> None:
    here = "tests/architecture/test_sources.py"
    found = [
        f"{source.place}: {match[0]}"
        for source in sources(*PACKAGES, "tests", "benchmarks")
        if source.place != here
        for match in NOT_DONE.finditer(source.text)
    ]
    assert found == []


def test_tests_are_named_by_sentences() -> None:
    names = [
        f"{source.place}:{node.name}"
        for source in sources("tests")
        for node in _functions(source)
        if node.name.startswith("test_") and node.name.count("_") < 3
    ]
    assert names == []


def _functions(source: Source) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(source.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1
