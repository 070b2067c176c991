"""Why a record was rejected: found by looking again, field by field, at a record that failed to decode."""

import re
from typing import Any

import msgspec

from streams.contracts.operations import Reason


class Rejected(ValueError):  # noqa: N818 - a verdict on a record, not a fault of the program
    """A record that can't be used.

    Attributes
    ----------
    reason: for programs.
    detail: for people; names the field, the value and what is allowed.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail


def shown(value: object) -> str:
    """The value as it reads in a sentence, cut short."""
    text = repr(value) if not hasattr(value, "isoformat") else value.isoformat()
    return text if len(text) <= 80 else text[:77] + "..."


# A value of the right JSON type that its field still refuses: (JSON types, reason).
_NUMBER = (int, float)
_REFUSED: dict[str, tuple[tuple[type, ...], Reason]] = {
    "type": ((str,), Reason.UNKNOWN_TYPE),
    "timestamp": ((str,), Reason.BAD_TIMESTAMP),
    "as_of": ((str,), Reason.BAD_TIMESTAMP),
    "quantity": ((int,), Reason.ABSURD_QUANTITY),
    "price": (_NUMBER, Reason.ABSURD_PRICE),
    "rating": (_NUMBER, Reason.ABSURD_RATING),
    "n": ((int,), Reason.OUT_OF_RANGE),
    "deadline_ms": ((int,), Reason.OUT_OF_RANGE),
    "diversity": (_NUMBER, Reason.OUT_OF_RANGE),
    "novelty": (_NUMBER, Reason.OUT_OF_RANGE),
    "exclude_items": ((list,), Reason.OUT_OF_RANGE),
    "categories": ((list,), Reason.OUT_OF_RANGE),
} | {
    name: ((str,), Reason.BAD_ID)
    for name in ("event_id", "customer_id", "item_id", "session_id", "recommendation_id", "request_id")
}
_ORDER = {reason: place for place, reason in enumerate(Reason)}


def why(value: bytes, message: type[Any], error: Exception) -> Rejected:
    """Find out why a record could not be decoded into `message`; of several reasons, the most basic."""
    try:
        value.decode()
    except UnicodeDecodeError as wrong:
        return Rejected(Reason.NOT_UTF8, f"byte {wrong.start} (0x{value[wrong.start]:02x}) is not UTF-8")
    try:
        raw = msgspec.json.decode(value)
    except msgspec.ValidationError:
        return _beyond_double(error)
    except (msgspec.MsgspecError, RecursionError) as wrong:
        return Rejected(Reason.NOT_JSON, str(wrong))
    if not isinstance(raw, dict):
        return Rejected(Reason.NOT_OBJECT, f"a JSON object is needed, this is {shown(raw)}")
    found = [found for field in msgspec.structs.fields(message) if (found := _why_field(raw, field)) is not None]
    if not found:
        return Rejected(Reason.WRONG_TYPE, str(error))
    return min(found, key=lambda rejected: _ORDER[rejected.reason])


def _beyond_double(error: Exception) -> Rejected:
    """Syntactically JSON, but with a number that no double can hold."""
    field = re.search(r"at `\$\.(\w+)`", str(error))
    _, reason = _REFUSED.get(field[1] if field else "", ((), Reason.OUT_OF_RANGE))
    return Rejected(reason, str(error))


def _why_field(raw: dict[str, Any], field: msgspec.structs.FieldInfo) -> Rejected | None:
    """Reason why one field is wrong, None if it is not."""
    name = field.encode_name
    if name not in raw:
        return Rejected(Reason.MISSING_FIELD, f"field {name!r} is missing") if field.required else None
    value = raw[name]
    try:
        msgspec.convert(value, field.type)
    except msgspec.ValidationError as error:
        types, reason = _REFUSED.get(name, ((), Reason.WRONG_TYPE))
        right_type = isinstance(value, types) and not isinstance(value, bool) and " - at `$[" not in str(error)
        return Rejected(reason if right_type else Reason.WRONG_TYPE, f"field {name!r} is {shown(value)}: {error}")
    return None
