import base64
import io
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from PIL import Image

from serving.storefront.drawings import HERE, PALETTES, draw, drawing_of
from serving.storefront.pictures import PIXELS, Pictures
from streams.contracts.events import Item
from tests.serving.storefront.groceries import groceries

CATEGORY = "product_category"


def decoded(url: str, kind: str) -> bytes:
    head, _, data = url.partition(",")
    assert head == f"data:{kind};base64"
    return base64.b64decode(data)


def parsed(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 - the project's own drawings


@pytest.mark.parametrize(
    ("texts", "drawing"),
    [
        (["Fluid Milk White Only, 1 GA", "FLUID MILK PRODUCTS", "GROCERY"], "milk"),
        (["Beeralemalt Liquors, 12 OZ", "BEERS/ALES", "GROCERY"], "beer"),
        (["Frozen Pizza", "FROZEN PIZZA", "GROCERY"], "pizza"),
        (["Strap top", "Vest top", "Garment Upper body"], "tshirt"),
        (["Slim fit jeans", "Trousers", "Ladieswear"], "trousers"),
        (["A1", "FISH", "SEAFOOD"], "fish"),
        (["item 4", "c2"], "parcel"),
        ([""], "parcel"),
    ],
)
def test_the_drawing_fits_the_thing(texts: list[str], drawing: str) -> None:
    assert drawing_of(texts) == drawing


def test_everything_in_the_test_shop_has_a_drawing_of_its_own() -> None:
    drawn = {item.name: drawing_of([item.name, item.attributes[CATEGORY]]) for item in groceries()}
    assert [name for name, drawing in drawn.items() if drawing == "parcel"] == []
    assert len(set(drawn.values())) >= 30


def test_every_drawing_is_a_well_formed_picture() -> None:
    names = {path.stem for path in (HERE / "drawings").glob("*.svg")}
    assert len(names) >= 50
    for path in (HERE / "drawings").glob("*.svg"):
        assert parsed(path.read_text()).attrib["viewBox"] == "0 0 240 200", path.name


def test_a_picture_is_the_same_every_time_and_a_categorys_items_share_a_ground() -> None:
    one, again, other = (draw(item_id, ["Bananas"], "FRUIT") for item_id in ("a", "a", "b"))
    assert one == again
    ground = next(p.low for p in PALETTES if p.low in one)
    assert ground in other
    assert parsed(one).attrib["viewBox"] == "0 0 240 200"


def test_names_do_not_get_into_the_picture() -> None:
    assert "script" not in draw("<script>", ["<script>alert(1)</script>"], "<b>")


def test_a_photograph_is_shown_small_where_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "010").mkdir()
    Image.new("RGB", (1166, 1750), "navy").save(tmp_path / "010" / "0108775015.jpg")
    (tmp_path / "011").mkdir()
    (tmp_path / "011" / "0110065001.jpg").write_bytes(b"no picture")
    pictures = Pictures(tmp_path, "product_type_name")
    found = Image.open(io.BytesIO(decoded(pictures.of(Item(item_id="0108775015")), "image/jpeg")))
    assert max(found.size) == PIXELS
    for item_id in ("0110065001", "0999999999", "../../etc/passwd", "A-17"):
        assert decoded(pictures.of(Item(item_id=item_id)), "image/svg+xml").startswith(b"<svg")
