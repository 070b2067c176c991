"""Whatever an id or a text is, it arrives as it was."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.rest_client.call import target

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
IDS = TEXTS.filter(lambda name: "/" not in name and name not in ("", ".", ".."))


@given(IDS, IDS)
def test_a_path_holds_ids_as_they_are(first: str, second: str) -> None:
    path = urlsplit(target(first, second)).path
    assert [unquote(segment) for segment in path.split("/")[1:]] == [first, second]


@given(st.lists(st.tuples(TEXTS, st.lists(TEXTS, max_size=3))))
def test_a_query_holds_texts_as_they_are(pairs: list[tuple[str, list[str]]]) -> None:
    query = urlsplit(target("items", query=pairs)).query
    flat = [(name, text) for name, texts in pairs for text in texts]
    assert parse_qsl(query, keep_blank_values=True) == flat


def test_values_are_written_as_the_gateway_reads_them() -> None:
    pairs = [("n", 3), ("explain", True), ("diversity", 0.5), ("category", None), ("context", {"store": "3"})]
    assert target("x", query=pairs) == "/x?n=3&explain=true&diversity=0.5&context=store%3A3"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/"])
def test_an_id_that_no_path_can_hold_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot stand in a path"):
        target("items", name)
