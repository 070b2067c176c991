from serving.storefront.shelves import FOR_YOU, SHELF, Movement, buy_again, for_you, moved, placed, risen, this_session
from streams.contracts.requests import RecommendedItem, Reply, Source, Status


def reply(*item_ids: str, sources: dict[str, list[Source]] | None = None) -> Reply:
    items = [RecommendedItem(item_id=i, score=1.0, sources=(sources or {}).get(i, [])) for i in item_ids]
    return Reply(correlation_id="c", recommendation_id="r", customer_id="1", status=Status.OK, items=items)


def test_without_an_answer_before_nothing_has_moved() -> None:
    assert [(each.place, each.movement) for each in placed(reply("a", "b"), None)] == [
        (1, Movement.STAYED),
        (2, Movement.STAYED),
    ]
    assert moved(reply("a"), None) == 0


def test_places_are_compared_with_the_answer_before() -> None:
    found = placed(reply("d", "b", "a", "c"), reply("a", "b", "c"))
    assert [(each.item.item_id, each.movement, each.moved) for each in found] == [
        ("d", Movement.NEW, 0),
        ("b", Movement.STAYED, 0),
        ("a", Movement.DOWN, -2),
        ("c", Movement.DOWN, -1),
    ]
    assert placed(reply("c"), reply("a", "b", "c"))[0].moved == 2


def test_what_stands_elsewhere_is_counted() -> None:
    assert moved(reply("a", "b", "c"), reply("a", "b", "c", "d")) == 0
    assert moved(reply("b", "a", "c"), reply("a", "b", "c")) == 2
    assert moved(reply("d", "a", "b"), reply("a", "b")) == 3


def test_what_rose_most_comes_first_and_what_is_new_before_it() -> None:
    now = placed(reply("c", "n", "a", "e", "b", "d"), reply("a", "b", "c", "d", "e"))
    assert [each.item.item_id for each in risen(now)] == ["n", "c", "e"]
    assert risen(placed(reply("a", "b"), reply("a", "b"))) == []
    assert risen(placed(reply("a", "b"), None)) == []
    assert len(risen(placed(reply(*"abcdefghij"), reply("z")))) == SHELF


def test_shelves_keep_the_order_of_the_answer() -> None:
    names = [f"i{n}" for n in range(30)]
    sources = {name: [Source.HISTORY] if n % 2 else [Source.SESSION] for n, name in enumerate(names)}
    items = placed(reply(*names, sources=sources), None)
    assert [each.item.item_id for each in for_you(items)] == names[:FOR_YOU]
    assert [each.item.item_id for each in this_session(items)] == names[:12:2]
    assert [each.item.item_id for each in buy_again(items)] == names[FOR_YOU + 1 : FOR_YOU + 13 : 2]
