"""The request's context as columns: by hand, whatever is told, and through an encoder that knows them or does not."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.columns import names
from feature_repo.encoder import FIRST_CODE, NULL, OUT_OF_VOCABULARY, CategoricalInput, ContinuousInput, Encoder
from feature_repo.encoder import EncoderSpec as Spec
from feature_repo.request_context import NUMBERS, request_columns, tells
from feature_repo.shop import Shop

SHOP = Shop("small", context_attributes=("store", "channel"))
INSTANTS = st.integers(0, 7_258_118_400_000_000)
CONTEXTS = st.dictionaries(st.sampled_from(["store", "channel", "device"]), st.sampled_from(["", "3", "app"]))


def at(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


def numbers(when):
    columns = request_columns(SHOP, [{"store": "3"}], np.array([at(when)]))
    return [columns[name][0] for name in NUMBERS]


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("2025-12-01T00:00", (0, 1, 0, 1)),  # a Monday
        ("2025-12-01T06:00", (1, 0, 0, 1)),
        ("2025-12-01T12:00", (0, -1, 0, 1)),
        ("2025-12-04T21:00", (-np.sqrt(0.5), np.sqrt(0.5), np.sin(6 * np.pi / 7), np.cos(6 * np.pi / 7))),
        ("1970-01-01T18:00", (-1, 0, np.sin(6 * np.pi / 7), np.cos(6 * np.pi / 7))),  # a Thursday
    ],
)
def test_the_hour_and_the_day_of_the_week_stand_on_circles(when, expected):
    np.testing.assert_allclose(numbers(when), expected, atol=1e-12)


def test_who_tells_nothing_has_no_place_and_no_time():
    contexts = [{"store": "3", "device": "till"}, {}, {"device": "till"}, {"channel": "app"}]
    columns = request_columns(SHOP, contexts, np.full(4, at("2025-12-01T06:00")))
    assert list(columns) == names(SHOP, "request")
    assert columns["request_store"].tolist() == ["3", "", "", ""]
    assert columns["request_channel"].tolist() == ["", "", "", "app"]
    assert [columns[name][1] for name in NUMBERS] == [0.0] * 4
    assert tells(columns).tolist() == [True, False, True, True]


@given(st.lists(st.tuples(CONTEXTS, INSTANTS), max_size=5))
def test_requests_do_not_depend_on_each_other_and_silence_is_all_unknown(requests):
    contexts, instants = [context for context, _ in requests], np.array([at for _, at in requests], np.int64)
    together = request_columns(SHOP, contexts, instants)
    assert tells(together).tolist() == [bool(context) for context in contexts]
    for place, context in enumerate(contexts):
        alone = request_columns(SHOP, [context], instants[place : place + 1])
        for name, values in together.items():
            assert values[place] == alone[name][0]
            assert context or not values[place]


def test_an_encoder_knows_stores_or_takes_no_context_at_all():
    columns = request_columns(SHOP, [{"store": "3"}, {"store": "9"}, {}], np.full(3, at("2025-12-01T06:00")))
    spec = Spec(
        categorical=(CategoricalInput("request_store", "request", "request_store"),),
        continuous=(ContinuousInput("request_hour_sine", "request", mean=0.5, deviation=0.25),),
        vocabularies={"request_store": ("3",)},
    )
    codes, encoded = Encoder(spec).encode(columns, "request")
    assert codes[:, 0].tolist() == [FIRST_CODE, OUT_OF_VOCABULARY, NULL]
    assert encoded[:, 0].tolist() == [2.0, 2.0, -2.0]
    before = Encoder(Spec((), (ContinuousInput("price", "item"),), {}))
    assert [matrix.shape for matrix in before.encode(columns, "request")] == [(3, 0), (3, 0)]
    item = {"item": {"price": np.ones(3)}}
    np.testing.assert_array_equal(before.encode_all(item)[1], before.encode_all(item | {"request": columns})[1])
