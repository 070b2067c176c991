"""Messages between Headwater's own processes: dead letters, erasures, triggers, bundles, API keys, neighbours."""

import enum

import msgspec


class Reason(enum.StrEnum):
    """Why a record was rejected: one reason a record, the most basic one that is true of it."""

    EMPTY = "empty"
    TOO_LARGE = "too_large"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NOT_OBJECT = "not_object"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    UNKNOWN_TYPE = "unknown_type"
    BAD_ID = "bad_id"
    BAD_TIMESTAMP = "bad_timestamp"
    ABSURD_TIME = "absurd_time"
    ABSURD_PRICE = "absurd_price"
    ABSURD_QUANTITY = "absurd_quantity"
    ABSURD_RATING = "absurd_rating"
    OUT_OF_RANGE = "out_of_range"
    KEY_MISMATCH = "key_mismatch"
    WRONG_PARTITION = "wrong_partition"


class DeadLetter(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A record that could not be used: the reason, where it was, its original bytes (base64 in JSON).

    `arrived_at` is the record's Kafka timestamp, `rejected_at` the time of this letter; milliseconds.
    """

    reason: Reason
    detail: str
    topic: str
    partition: int
    offset: int
    arrived_at: int
    rejected_at: int
    key: bytes | None = None
    value: bytes | None = None


class Erasure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A customer was erased. Topic `erasures`, key `customer:partition:offset`; entries are never removed.

    What such a customer did before is gone; what comes later with an older event time is left out.

    Attributes
    ----------
    customer: BLAKE2b of the customer's id, 128 bits in hexadecimal digits.
    erased_at: the broker's time of the erasure's record, milliseconds since the epoch.
    partition, offset: where that record is among the interactions.
    cause: the tombstone that asked for it, as `partition:offset:timestamp` in topic `customers`; asked for once more
        by the same one, the erasure is not repeated.
    """

    customer: str
    erased_at: int
    partition: int
    offset: int
    cause: str = ""


class TriggerReason(enum.StrEnum):
    """What asked for training."""

    COUNT = "count"
    AGE = "age"
    MANUAL = "manual"


class TrainingMode(enum.StrEnum):
    """Continue from the last checkpoint, or start over."""

    INCREMENTAL = "incremental"
    FULL = "full"


class TrainingTrigger(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Train now. Topic `training-triggers`.

    Attributes
    ----------
    interactions: how many new ones since the last trigger.
    positions: partition of `interactions` (as a string) -> next offset; train on everything before.
    created_at: milliseconds since the epoch.
    """

    trigger_id: str
    reason: TriggerReason
    created_at: int
    mode: TrainingMode = TrainingMode.INCREMENTAL
    interactions: int = 0
    positions: dict[str, int] = {}


class BundleAnnouncement(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A bundle that passed its gate and should go live. Topic `models`, key `default`; the latest is live.

    Attributes
    ----------
    path: the bundle's directory.
    manifest_sha256: hex digest of its manifest.json, which in turn lists the digest of every file.
    created_at, data_until: milliseconds since the epoch; `data_until` is the newest arrival trained on.
    parent: version that training continued from.
    """

    version: int
    path: str
    manifest_sha256: str
    created_at: int
    parent: int | None = None
    trigger_id: str | None = None
    data_until: int | None = None
    metrics: dict[str, float] = {}


class KeySecret(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One secret of an API key, as it is kept: never the secret itself.

    Attributes
    ----------
    digest: SHA-256 of the secret in hexadecimal digits.
    created_at: milliseconds since the epoch.
    expires_at: milliseconds since the epoch from which it opens nothing any more; absent: it does not expire.
    """

    digest: str
    created_at: int
    expires_at: int | None = None


class ApiKey(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who may call the gateway, and for what. Topic `api-keys`, key `key_id`; a record under `key_id:revoked` revokes.

    Attributes
    ----------
    client: whose key it is, for people and for the audit log.
    scopes: what it opens: ingest, recommend, catalogue, admin.
    secrets: newest first; while a key is rotated the one before is good for a while.
    created_at, revoked_at: milliseconds since the epoch.
    rate: this client's own limit, such as 100/second; absent: the gateway's for every key.
    """

    key_id: str
    client: str
    scopes: list[str]
    secrets: list[KeySecret]
    created_at: int
    rate: str | None = None
    revoked_at: int | None = None


class Neighbour(msgspec.Struct, frozen=True, kw_only=True):
    """An item beside another, best first in its list.

    Attributes
    ----------
    score: orders neighbours within one list; greater is nearer.
    baskets: on how many baskets (or customers) the score rests.
    """

    item_id: str
    score: float
    baskets: int


class ItemNeighbours(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was bought with an item, and what instead of it. Topic `item-neighbours`, key `item_id`.

    Attributes
    ----------
    counted_until: event time up to which baskets were counted, milliseconds since the epoch.
    baskets: in how many of them the item itself was.
    together: in the same baskets.
    instead: in the same customer's next basket with something of that category, which then lacks the item itself.
    """

    item_id: str
    counted_until: int
    baskets: int = 0
    together: list[Neighbour] = []
    instead: list[Neighbour] = []
