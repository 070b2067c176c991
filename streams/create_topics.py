"""Create the topics: `python -m streams.create_topics`. May be run again; changes nothing that exists."""

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exports without __all__
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from streams.contracts.events import Interaction
from streams.contracts.topics import Topic
from streams.settings import Settings


class TopicMismatchError(RuntimeError):
    """A topic exists, but not as it must be."""


def create_topics(
    topics: Iterable[Topic],
    config: Mapping[str, Any],
    replication: int = -1,
    timeout: float = 30.0,
) -> list[str]:
    """Create what is missing, check what exists, and return the names of the topics made.

    Parameters
    ----------
    config: librdkafka's connection settings.
    replication: replicas of new topics; -1 leaves it to the broker.
    timeout: seconds for each question to the broker.

    Raises
    ------
    TopicMismatchError: a topic has another number of partitions, clean-up policy or timestamp type; nothing
        is created then.
    KafkaException: the broker can't be reached or refuses.
    TimeoutError: it made topics but doesn't show them.
    """
    wanted = tuple(topics)
    admin = AdminClient(dict(config))
    existing = admin.list_topics(timeout=timeout).topics
    _check(admin, [topic for topic in wanted if topic.name in existing], timeout)
    missing = [topic for topic in wanted if topic.name not in existing]
    if not missing:
        return []
    answers = admin.create_topics(
        [NewTopic(t.name, t.partitions, replication, config=dict(t.config)) for t in missing],
        operation_timeout=timeout,
        request_timeout=timeout,
    )
    made = [topic.name for topic in missing if _was_made(answers[topic.name].result)]
    _wait_until_visible(admin, {topic.name for topic in missing}, timeout)
    _check(admin, [topic for topic in missing if topic.name not in made], timeout)
    return made


def _wait_until_visible(admin: AdminClient, names: set[str], timeout: float) -> None:
    """A broker learns of new topics a moment after the controller has made them; clients would find none."""
    deadline = time.monotonic() + timeout
    while unseen := names - set(admin.list_topics(timeout=timeout).topics):
        if time.monotonic() > deadline:
            raise TimeoutError(f"Kafka made topics {sorted(unseen)} but doesn't list them after {timeout:.0f} s")
        time.sleep(0.05)


def _check(admin: AdminClient, topics: list[Topic], timeout: float) -> None:
    existing = admin.list_topics(timeout=timeout).topics if topics else {}
    for topic in topics:
        _check_partitions(topic, len(existing[topic.name].partitions))
    _check_configs(admin, topics, timeout)


def _was_made(result: Callable[[], None]) -> bool:
    """Wait for a creation; False if another process was quicker."""
    try:
        result()
    except KafkaException as error:
        if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return False
        raise
    return True


def _check_partitions(topic: Topic, found: int) -> None:
    # Of the interactions the stores know the number: workers refuse another one, or a new epoch begins with it.
    if found != topic.partitions and topic.message is not Interaction:
        raise TopicMismatchError(
            f"topic {topic.name!r} has {found} partitions, {topic.partitions} are needed. A change would "
            f"part keys from their state: delete it (kafka-topics --delete --topic {topic.name}), run "
            f"this again, or choose other names with HEADWATER_TOPIC_PREFIX"
        )


# What changes the meaning of records; retention and sizes are the operator's business.
_CHECKED = ("cleanup.policy", "message.timestamp.type")


def _check_configs(admin: AdminClient, topics: list[Topic], timeout: float) -> None:
    if not topics:
        return
    resources = {ConfigResource(ResourceType.TOPIC, topic.name): topic for topic in topics}
    answers = admin.describe_configs(list(resources), request_timeout=timeout)
    for resource, answer in answers.items():
        topic, found = resources[resource], answer.result()
        for name in _CHECKED:
            needed = topic.config.get(name)
            if needed is not None and found[name].value != needed:
                raise TopicMismatchError(
                    f"topic {topic.name!r} has {name}={found[name].value}, {needed} is needed; set it with: "
                    f"kafka-configs --alter --entity-type topics --entity-name {topic.name} "
                    f"--add-config {name}={needed}"
                )


def main() -> int:
    """Create the topics of this installation and say what was made."""
    settings = Settings()
    topics = settings.topics.all()
    try:
        made = create_topics(topics, settings.kafka_config(), settings.topic_replication)
    except (TopicMismatchError, KafkaException, TimeoutError) as error:
        print(f"topics on {settings.kafka_bootstrap_servers}: {error}", file=sys.stderr)
        return 1
    for topic in topics:
        state = "created" if topic.name in made else "exists"
        print(f"{state:8} {topic.name} ({topic.partitions} partitions)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
