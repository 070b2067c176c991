"""API keys: who is let in, who is not any more, and what is kept of them."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.gateway.security.keys import (
    PATTERN,
    KeyRefusedError,
    KeyTable,
    NewKey,
    expires_at,
    make_key,
    record_of,
    revocation_of,
    rotated,
)
from serving.gateway.security.principal import Scope
from streams.contracts.compacted import Record

NOW = 1_764_590_400_000
HOUR = 3_600_000


def table(*records: tuple[bytes, bytes | None]) -> KeyTable:
    found = KeyTable()
    found.apply(Record(key, value, 0, offset, NOW) for offset, (key, value) in enumerate(records))
    return found


def made(**options: object) -> NewKey:
    return make_key("web shop", [Scope.INGEST, Scope.RECOMMEND], NOW, **options)  # type: ignore[arg-type]


def test_who_has_the_key_is_who_it_was_made_for() -> None:
    new = made(rate="5/second")
    holder = table(record_of(new.record)).holder(new.text, NOW)
    assert holder.id == new.record.key_id
    assert holder.scopes == {Scope.INGEST, Scope.RECOMMEND}
    assert holder.rate == "5/second"
    assert holder.customer_id is None


def test_no_two_keys_share_anything() -> None:
    keys = [made() for _ in range(100)]
    assert len({key.text for key in keys}) == len({key.record.key_id for key in keys}) == 100


def test_the_secret_is_told_once_and_kept_nowhere() -> None:
    new = made()
    secret = PATTERN.fullmatch(new.text)[2]  # type: ignore[index]
    assert len(bytes.fromhex(secret)) * 8 >= 128
    assert secret.encode() not in b"".join(record_of(new.record))
    assert secret not in repr(new)


def test_any_other_secret_is_refused() -> None:
    new = made()
    keys = table(record_of(new.record))
    last = "0" if new.text[-1] != "0" else "1"
    for wrong in (new.text[:-1] + last, new.text[:-1], new.text + "0", new.text.upper(), made().text, "", "hw__"):
        with pytest.raises(KeyRefusedError):
            keys.holder(wrong, NOW)


@given(st.text())
def test_no_text_opens_anything_by_chance(text: str) -> None:
    with pytest.raises(KeyRefusedError):
        table(record_of(made().record)).holder(f"hw_{text}", NOW)


def test_a_key_ends() -> None:
    new = made(expires_at=NOW + HOUR)
    keys = table(record_of(new.record))
    assert keys.holder(new.text, NOW + HOUR - 1)
    assert keys.good(new.record.key_id, NOW + HOUR - 1)
    with pytest.raises(KeyRefusedError, match="expired"):
        keys.holder(new.text, NOW + HOUR)
    assert keys.good(new.record.key_id, NOW + HOUR) is None


def test_rotated_both_secrets_are_good_for_a_while() -> None:
    old = made()
    new = rotated(old.record, NOW + HOUR, overlap=HOUR)
    keys = table(record_of(old.record), record_of(new.record))
    assert keys.holder(new.text, NOW + HOUR) == keys.holder(old.text, NOW + HOUR)
    with pytest.raises(KeyRefusedError):
        keys.holder(old.text, NOW + 2 * HOUR)
    assert keys.holder(new.text, NOW + 2 * HOUR)


def test_rotated_without_overlap_the_old_secret_is_out_at_once() -> None:
    old = made()
    new = rotated(old.record, NOW, overlap=0)
    keys = table(record_of(old.record), record_of(new.record))
    with pytest.raises(KeyRefusedError):
        keys.holder(old.text, NOW)
    assert keys.holder(new.text, NOW)


def test_rotation_makes_no_secret_live_longer_than_it_was_to() -> None:
    old = made(expires_at=NOW + HOUR)
    new = rotated(old.record, NOW + HOUR // 2, overlap=24 * HOUR)
    assert new.record.secrets[1].expires_at == NOW + HOUR
    assert expires_at(new.record) == NOW + HOUR // 2 + HOUR
    assert (new.record.client, new.record.scopes) == (old.record.client, old.record.scopes)


def test_revoked_is_revoked_in_whatever_order_replicas_write() -> None:
    old = made()
    new = rotated(old.record, NOW, overlap=HOUR)
    written = [record_of(old.record), record_of(new.record), revocation_of(old.record, NOW)]
    for order in itertools.permutations(written):
        keys = table(*order)
        for text in (old.text, new.text):
            with pytest.raises(KeyRefusedError):
                keys.holder(text, NOW)
        assert keys.good(old.record.key_id, NOW) is None
        assert [key.revoked_at for key in keys.all()] == [NOW]
    with pytest.raises(KeyRefusedError, match="revoked"):
        rotated(table(*written).all()[0], NOW, overlap=0)


def test_what_is_not_understood_opens_nothing() -> None:
    new, other = made(), made()
    name, _ = record_of(new.record)
    for value in (b"{}", b"\xff", b"", None, record_of(other.record)[1]):
        keys = table(record_of(new.record), (name, value))
        with pytest.raises(KeyRefusedError):
            keys.holder(new.text, NOW)


def test_a_scope_of_another_version_opens_nothing() -> None:
    new = made()
    name, value = record_of(new.record)
    keys = table((name, value.replace(b'"ingest"', b'"everything"')))
    assert keys.holder(new.text, NOW).scopes == {Scope.RECOMMEND}


def test_a_revocation_keeps_no_secret() -> None:
    new = made()
    assert new.record.secrets[0].digest.encode() not in revocation_of(new.record, NOW)[1]


@pytest.mark.parametrize(
    "order",
    [
        {"scopes": []},
        {"client": ""},
        {"client": "a\x1b[2Jb"},
        {"rate": "often"},
        {"rate": "0/second"},
        {"expires_at": NOW},
    ],
)
def test_an_order_that_makes_no_sense_is_refused(order: dict[str, object]) -> None:
    good: dict[str, object] = {"client": "web shop", "scopes": [Scope.ADMIN], "now": NOW}
    with pytest.raises(ValueError, match=r"scope|client|rate|end"):
        make_key(**(good | order))  # type: ignore[arg-type]
