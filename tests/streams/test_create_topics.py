import dataclasses

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from streams.contracts.topics import Topic, Topics
from streams.create_topics import TopicMismatchError, create_topics


def test_creates_what_is_missing_and_only_that(kafka: str) -> None:
    config = {"bootstrap.servers": kafka}
    topics = Topics.named("made-").all()
    assert create_topics(topics[:3], config) == [topic.name for topic in topics[:3]]
    assert create_topics(topics, config) == [topic.name for topic in topics[3:]]
    assert create_topics(topics, config) == []
    admin = AdminClient(config)
    found = admin.list_topics(timeout=10).topics
    assert {topic.name: len(found[topic.name].partitions) for topic in topics} == {
        topic.name: topic.partitions for topic in topics
    }
    resource = ConfigResource(ResourceType.TOPIC, "made-interactions")
    settings = admin.describe_configs([resource])[resource].result()
    assert settings["message.timestamp.type"].value == "LogAppendTime"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"partitions": 3}, "'odd-0-items' has 3 partitions, 2 are needed"),
        ({"config": {"cleanup.policy": "delete"}}, "cleanup.policy=delete, compact is needed"),
    ],
)
def test_refuses_a_topic_that_is_not_as_needed(
    kafka: str, changes: dict[str, object], told: str, request: pytest.FixtureRequest
) -> None:
    prefix = "odd-0-" if "partitions" in changes else "odd-1-"
    wanted = Topics.named(prefix)
    wrong: Topic = dataclasses.replace(wanted.items, **changes)  # type: ignore[arg-type]
    config = {"bootstrap.servers": kafka}
    create_topics([wrong], config)
    with pytest.raises(TopicMismatchError, match=told):
        create_topics(wanted.all(), config)
    assert f"{prefix}models" not in AdminClient(config).list_topics(timeout=10).topics


def test_the_interactions_may_have_got_more_partitions(kafka: str) -> None:
    wanted = Topics.named("more-")
    config = {"bootstrap.servers": kafka}
    create_topics([dataclasses.replace(wanted.interactions, partitions=8)], config)
    assert wanted.interactions.name not in create_topics(wanted.all(), config)
