import pytest

from serving.gateway.etags import Preconditions, etag
from serving.gateway.problems import Problem

TAG = etag((1, 4711))


@pytest.mark.parametrize(
    "when",
    [
        Preconditions(),
        Preconditions(if_match=TAG),
        Preconditions(if_match=f'"0-1", {TAG}'),
        Preconditions(if_match="*"),
        Preconditions(if_none_match='"0-1"'),
        Preconditions(if_match=TAG, if_none_match='W/"0-1"'),
    ],
)
def test_a_write_goes_ahead_where_its_preconditions_hold(when: Preconditions) -> None:
    when.check("item 'a'", TAG)


@pytest.mark.parametrize(
    ("when", "current"),
    [
        (Preconditions(if_match='"1-4710"'), TAG),
        (Preconditions(if_match=f"W/{TAG}"), TAG),  # a weak tag does not say that nothing has changed
        (Preconditions(if_match=TAG.strip('"')), TAG),
        (Preconditions(if_match=""), TAG),
        (Preconditions(if_match=TAG), None),
        (Preconditions(if_match="*"), None),
        (Preconditions(if_none_match="*"), TAG),
        (Preconditions(if_none_match=f'"0-1",W/{TAG}'), TAG),
        (Preconditions(if_match=TAG, if_none_match="*"), TAG),
    ],
)
def test_a_write_is_refused_where_one_does_not(when: Preconditions, current: str | None) -> None:
    with pytest.raises(Problem, match="item 'a'") as refused:
        when.check("item 'a'", current)
    assert (refused.value.status_code, refused.value.code) == (412, "precondition_failed")


def test_a_reader_has_what_it_names() -> None:
    assert Preconditions(if_none_match=f"W/{TAG}").unchanged(TAG)
    assert Preconditions(if_none_match="*").unchanged(TAG)
    assert not Preconditions(if_none_match='"1-4710"').unchanged(TAG)
    assert not Preconditions().unchanged(TAG)
    assert [bool(Preconditions()), bool(Preconditions(if_match="*"))] == [False, True]
