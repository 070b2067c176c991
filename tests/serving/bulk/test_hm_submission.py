"""H&M's files become a submission, by the commands of docs/batch.md on real Kafka and Redis."""

from __future__ import annotations

import csv
import re
import shlex
import uuid
from pathlib import Path

import pytest
from confluent_kafka import Producer

from feature_repo.encoder import Encoder
from feature_repo.redis_commands import connect
from feature_repo.shop import load_shop
from serving.settings import ServingSettings
from serving.snapshot import widths
from streams.contracts.codec import encode
from streams.contracts.operations import BundleAnnouncement
from streams.create_topics import create_topics
from tests.serving.bulk.command import headwater
from tests.serving.shop import encoder_spec
from tests.serving.tiny_bundle import write_bundle

pytestmark = pytest.mark.stack

DOCS = Path(__file__).resolve().parents[3] / "docs"
COLD = ["0000aaaa" * 8, "0000bbbb" * 8]
"""Customers of whom there is a record and nothing they bought, and nothing at all."""


ARTICLES = """\
article_id,product_code,prod_name,product_type_no,product_type_name,product_group_name,graphical_appearance_no,\
graphical_appearance_name,colour_group_code,colour_group_name,perceived_colour_value_id,perceived_colour_value_name,\
perceived_colour_master_id,perceived_colour_master_name,department_no,department_name,index_code,index_name,\
index_group_no,index_group_name,section_no,section_name,garment_group_no,garment_group_name,detail_desc
"""
ARTICLE = (
    "{id},{code},Strap top,253,{kind},Garment Upper body,1010016,Solid,09,Black,4,Dark,5,Black,1676,Jersey Basic,A,"
    'Ladieswear,1,Ladieswear,16,Womens Everyday Basics,1002,Jersey Basic,"Jersey top, with ""narrow"" straps."\n'
)
ITEMS = [f"01087{k:05d}" for k in range(40)]
BUYERS = [f"{k:08x}" * 8 for k in range(6)]


@pytest.fixture
def kaggle(tmp_path: Path) -> Path:
    """The competition's four files, in its layout to the letter."""
    directory = tmp_path / "h-and-m"
    directory.mkdir()
    kinds = ("Vest top", "Trousers", "Dress")
    (directory / "articles.csv").write_text(
        ARTICLES + "".join(ARTICLE.format(id=i, code=i[:7], kind=kinds[k % 3]) for k, i in enumerate(ITEMS))
    )
    (directory / "customers.csv").write_text(
        "customer_id,FN,Active,club_member_status,fashion_news_frequency,age,postal_code\n"
        + "".join(f"{each},,,ACTIVE,NONE,49,{each[:32]}\n" for each in [*BUYERS, COLD[0]])
    )
    rows = [
        f"2020-09-{day:02d},{customer},{ITEMS[day * (k + 1) % 40]},0.0{day + 10}830508474576264,{1 + day % 2}\n"
        for day in range(1, 23)
        for k, customer in enumerate(BUYERS)
    ]
    (directory / "transactions_train.csv").write_text(
        "t_dat,customer_id,article_id,price,sales_channel_id\n" + "".join(rows)
    )
    (directory / "sample_submission.csv").write_text(
        "customer_id,prediction\n" + "".join(f"{each},0706016001 0706016002\n" for each in [COLD[1], *BUYERS, COLD[0]])
    )
    return directory


def test_hm_becomes_a_submission(kafka: str, redis_url: str, kaggle: Path, tmp_path: Path) -> None:
    """The page's own commands; only the training is left out, a model of random weights stands for it."""
    connect(redis_url).flushall()
    settings = ServingSettings(
        kafka_bootstrap_servers=kafka, redis_url=redis_url, state=tmp_path / "state", shop="hm", clock="stream",
        topic_prefix=f"batch-{uuid.uuid4().hex[:8]}-",
    )  # fmt: skip
    create_topics(settings.topics.all(), settings.kafka_config())
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka, "REDIS_URL": redis_url, "HEADWATER_STATE": str(settings.state),
        "HEADWATER_CLOCK": "stream", "HEADWATER_TOPIC_PREFIX": settings.topic_prefix,
    }  # fmt: skip
    [block] = re.findall(r"^## H&M\n.*?```sh\n(.*?)```", (DOCS / "batch.md").read_text(), re.DOTALL | re.MULTILINE)
    ran = []
    for line in block.splitlines():
        word, *rest = shlex.split(line, comments=True)
        if word == "export":
            environment |= dict([rest[0].split("=")])
        elif rest[0] == "train":
            announce(settings)
        else:
            done = headwater(environment, tmp_path, *rest)
            assert done.returncode == 0, f"{line}: {done.stderr}"
            ran.append(rest[0])
    assert ran == ["backfill", "batch"]

    with (tmp_path / "submission/submission.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["customer_id", "prediction"]
    assert [customer for customer, _ in rows] == [COLD[1], *BUYERS, COLD[0]]
    lists = {customer: prediction.split(" ") for customer, prediction in rows}
    for items in lists.values():
        assert len(set(items)) == len(items) == 12
        assert set(items) <= set(ITEMS)
    assert lists[COLD[0]] == lists[COLD[1]]
    assert len({tuple(lists[each]) for each in BUYERS}) > 1


def announce(settings: ServingSettings) -> None:
    shop = load_shop(settings.shop)
    spec = encoder_spec(ITEMS, shop)
    bundle = write_bundle(settings.bundles, 1, ITEMS, widths(Encoder(spec)), spec.to_json(), shop.name)
    announced = BundleAnnouncement(
        version=1, path=str(bundle.path), manifest_sha256=bundle.manifest_sha256, created_at=0
    )
    producer = Producer(settings.producer_config())
    producer.produce(settings.topics.models.name, encode(announced), b"default")
    assert producer.flush(10) == 0
