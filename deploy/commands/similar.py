"""Show what is like an item, and what is bought with it."""

from __future__ import annotations

import click
import msgspec
from confluent_kafka import KafkaException
from rich.console import Console
from rich.table import Table

from serving.similar.answers import NoCategoryError, SimilarItem
from serving.similar.similar_items import BLEND, MOST
from serving.similar.standalone import standalone
from streams.settings import Settings


@click.command("similar")
@click.argument("item")
@click.option("-n", "count", default=10, show_default=True, type=click.IntRange(1, MOST), help="How many items.")
@click.option("--category", help="Only this category.")
@click.option("--hidden", is_flag=True, help="Also items that are not available.")
@click.option(
    "--blend",
    default=BLEND,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="0: by text alone; 1: by baskets alone.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: the item, similar, bought_together.")
def command(item: str, count: int, category: str | None, hidden: bool, blend: float, as_json: bool) -> None:
    """Read what the topics say and print what is like ITEM, and what is bought with it.

    Answers as the gateway does, by the same code, in a process of its own that first reads the whole catalogue.
    """
    try:
        with standalone(Settings()) as found:
            alike = found.similar.similar(item, count, category=category, available_only=not hidden, blend=blend)
            together = found.similar.bought_together(item, count)
            catalogue = found.items.catalogue
    except (LookupError, NoCategoryError, TimeoutError, KafkaException) as error:
        raise click.ClickException(str(error)) from error
    row = catalogue.row(item)
    name = "" if row is None else catalogue.names[row]
    if as_json:
        answer = {"item_id": item, "name": name, "similar": alike, "bought_together": together}
        click.echo(msgspec.json.format(msgspec.json.encode(answer), indent=1))
        return
    console = Console()
    console.print(_table(f"Like {name or item}", alike))
    console.print(_table("Bought together with it", together))


def _table(title: str, items: list[SimilarItem]) -> Table:
    columns = ("", "item", "name", "score", "text", "baskets with both", "taken instead")
    table = Table(*columns, title=title, title_justify="left")
    for place, each in enumerate(items, start=1):
        cosine = "" if each.cosine is None else f"{each.cosine:.2f}"
        table.add_row(
            str(place), each.item_id, each.name or "", f"{each.score:.3f}", cosine,
            str(each.together or ""), str(each.instead or ""),
        )  # fmt: skip
    return table
