"""Asking the service for the lists that are judged: what is asked, and which answers are refused."""

from typing import NamedTuple

import pytest

from streams.contracts.events import microseconds
from streams.contracts.requests import RecommendationRequest, RecommendedItem, Reply, ReplyError, Seen, Status
from trainer.evaluation.served import LeakageError, ask

CUT = 1_512_000_000_123_456


class Answer(NamedTuple):
    request: RecommendationRequest
    reply: Reply
    milliseconds: float


class Service:
    """Answers every request the same way; keeps what it was asked."""

    def __init__(self, **fields):
        self.fields = fields
        self.asked: list[RecommendationRequest] = []

    def recommend_many(self, requests, concurrency=1):
        for request in requests:
            self.asked.append(request)
            fields = {"status": Status.OK, "items": [RecommendedItem(item_id="x", score=1.0)], "model_version": 3}
            yield Answer(
                request,
                Reply(
                    correlation_id="c", recommendation_id="r", customer_id=request.customer_id, **(fields | self.fields)
                ),
                2.5,
            )


def test_every_customer_is_asked_for_as_of_the_cut():
    service = Service(seen=Seen(partition=0, offset=7, last_event_at=CUT // 1000))
    served = ask(service, ["a", "b"], CUT, novel=True)
    assert served.lists == {"a": ["x"], "b": ["x"]}
    assert served.milliseconds == [2.5, 2.5]
    assert (served.versions, served.fallbacks.total()) == ({3}, 0)
    for request in service.asked:
        assert microseconds(request.as_of) == CUT
        assert request.exclude_purchased
        assert request.n == 12


def test_fallbacks_are_counted_by_reason():
    served = ask(Service(status=Status.FALLBACK, reason="unknown_customer"), ["a", "b"], CUT, novel=False)
    assert served.fallbacks == {"unknown_customer": 2}


def test_an_answer_that_has_seen_the_future_is_refused():
    service = Service(seen=Seen(partition=0, offset=7, last_event_at=CUT // 1000 + 1))
    with pytest.raises(LeakageError, match="has seen an interaction of customer 'a'"):
        ask(service, ["a"], CUT, novel=False)


def test_errors_and_missing_answers_are_refused():
    failing = Service(status=Status.ERROR, items=[], error=ReplyError(code="internal", message="no luck"))
    with pytest.raises(RuntimeError, match="'a': no luck"):
        ask(failing, ["a"], CUT, novel=False)

    class Silent(Service):
        def recommend_many(self, requests, concurrency=1):
            list(requests)
            return iter(())

    with pytest.raises(RuntimeError, match="2 customers were not answered"):
        ask(Silent(), ["a", "b"], CUT, novel=False)
