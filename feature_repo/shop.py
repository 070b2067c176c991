"""The shop profile: which attributes of its items and customers a shop wants features from."""

import os
import tomllib
from pathlib import Path

import msgspec

BUILTIN = Path(__file__).parent / "shops"


class Shop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What Headwater has to know about a shop to build its features.

    Attributes
    ----------
    name
        Name of the profile.
    currency_exponent
        Decimal digits of the currency's minor unit: 2 for cents, 0 for yen.
    item_attributes
        Item attributes that are model inputs, in a fixed order.
    customer_attributes
        Customer attributes that are model inputs, in a fixed order.
    category
        The item attribute that stands for an item's category; ``""`` if there is none.
    preference_attributes
        Item attributes of which a customer's most purchased and last purchased values are kept, and of
        which a candidate's share in the customer's purchases is computed.
    context_attributes
        Names in the context of requests and interactions that are model inputs, in a fixed order.
    """

    name: str
    currency_exponent: int = 2
    item_attributes: tuple[str, ...] = ()
    customer_attributes: tuple[str, ...] = ()
    category: str = ""
    preference_attributes: tuple[str, ...] = ()
    context_attributes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        wanted = (*self.preference_attributes, *((self.category,) if self.category else ()))
        strangers = [name for name in wanted if name not in self.item_attributes]
        if strangers:
            raise ValueError(
                f"shop {self.name!r}: {strangers} are used as category or preference attribute but are not in "
                f"item_attributes {list(self.item_attributes)}"
            )


def load_shop(name_or_path: str) -> Shop:
    """Read a shop profile: a built-in one by its name, any other by the path of its TOML file.

    Raises
    ------
    FileNotFoundError
        When neither a built-in profile nor a file has that name; names what exists.
    ValueError
        When the file is not a valid profile.
    """
    path = BUILTIN / f"{name_or_path}.toml"
    if not path.exists():
        path = Path(name_or_path)
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in BUILTIN.glob("*.toml")))
        raise FileNotFoundError(f"no shop profile {name_or_path!r}: give one of {known}, or the path of a TOML file")
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Shop)
    except (msgspec.ValidationError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"shop profile {path}: {error}") from error


def shop_from_environment() -> Shop:
    """Return the profile that ``HEADWATER_SHOP`` names (default ``complete_journey``)."""
    return load_shop(os.environ.get("HEADWATER_SHOP", "complete_journey"))
