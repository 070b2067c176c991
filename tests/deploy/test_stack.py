"""The local stack: real parts start, answer, are found again and go."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import redis
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from deploy.stack.site import Site, read_environment
from deploy.stack.stack import Stack, StackError
from deploy.stack.steps import Feast
from tests.conftest import KEPT


def site(state: Path, **settings: str) -> Site:
    foreign = ("HEADWATER_", "KAFKA_", "REDIS_")
    kept = {name: value for name, value in os.environ.items() if name in KEPT or not name.startswith(foreign)}
    return Site.of({**kept, "HEADWATER_STATE": str(state), **settings})


@pytest.mark.stack
def test_kafka_answers_and_refuses_unknown_topics(kafka: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka})
    before = set(admin.list_topics(timeout=10).topics)
    admin.list_topics("never-created", timeout=10)
    assert "never-created" not in set(admin.list_topics(timeout=10).topics) | before


@pytest.mark.stack
def test_redis_keeps_what_it_was_given_over_a_restart(tmp_path: Path) -> None:
    stack = Stack(site(tmp_path))
    try:
        stack.up(["redis"])
        first = stack.site.redis_url
        with redis.Redis.from_url(first) as client:
            client.set("held", "water")
        stack.down()
        stack.up(["redis"])
        assert stack.site.redis_url == first
        with redis.Redis.from_url(first) as client:
            assert client.get("held") == b"water"
    finally:
        stack.down()


@pytest.mark.stack
def test_kafka_keeps_address_topics_and_records_over_a_restart(tmp_path: Path) -> None:
    stack = Stack(site(tmp_path, HEADWATER_KAFKA_HEAP="256m"))
    try:
        stack.up(["kafka"])
        servers = {"bootstrap.servers": stack.site.kafka_bootstrap_servers}
        admin = AdminClient(servers)
        [made] = admin.create_topics([NewTopic("kept", 1)]).values()
        made.result(30)
        producer = Producer(servers)
        producer.produce("kept", b"water")
        assert producer.flush(30) == 0
        stack.down()
        stack.up(["kafka"])
        assert stack.site.kafka_bootstrap_servers == servers["bootstrap.servers"]
        reader = Consumer({**servers, "group.id": "reader"})
        reader.assign([TopicPartition("kept", 0, 0)])
        message = reader.poll(30)
        assert message is not None
        assert message.value() == b"water"
        reader.close()
    finally:
        stack.down()


@pytest.mark.stack
def test_second_up_starts_only_what_is_missing(tmp_path: Path) -> None:
    said: list[str] = []
    stack = Stack(site(tmp_path), said.append)
    try:
        assert stack.up(["redis", "triton"]) == ["redis", "triton"]
        pids = {c.name: c.pid for c in stack.status() if c.pid}
        stack.down(["triton"])
        said.clear()
        assert stack.up(["redis", "triton"]) == ["triton"]
        assert "redis is running already" in said
        now = {c.name: c for c in stack.status()}
        assert now["redis"].pid == pids["redis"]
        assert now["triton"].ready
        assert not now["kafka"].wanted
    finally:
        stack.down()
    assert not any(psutil.pid_exists(pid) for pid in pids.values())
    assert not stack.site.environment_file.exists()


@pytest.mark.stack
def test_a_killed_part_is_noticed_and_started_again(tmp_path: Path) -> None:
    stack = Stack(site(tmp_path))
    try:
        stack.up(["redis"])
        [redis_before] = [c for c in stack.status() if c.name == "redis"]
        assert redis_before.pid is not None
        psutil.Process(redis_before.pid).kill()
        psutil.Process(redis_before.pid).wait(10)
        [gone] = [c for c in stack.status() if c.name == "redis"]
        assert gone.wanted
        assert gone.pid is None
        assert not gone.ready
        assert stack.up(["redis"]) == ["redis"]
    finally:
        stack.down()


@pytest.mark.stack
def test_a_part_that_dies_at_its_start_shows_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "redis" / "appendonlydir").mkdir(parents=True)
    (tmp_path / "redis" / "appendonlydir" / "appendonly.aof.manifest").write_text("heap-of-hay\n")
    broken = Stack(site(tmp_path))
    with pytest.raises(StackError, match=r"(?s)redis died at its start.*heap-of-hay"):
        broken.up(["redis"])
    assert broken.status()[1].pid is None


@pytest.mark.stack
def test_redis_of_somebody_else_is_used_and_left_alone(tmp_path: Path, redis_url: str) -> None:
    stack = Stack(site(tmp_path, REDIS_URL=redis_url))
    assert stack.up(["redis"]) == []
    assert [c.name for c in stack.status() if c.name == "redis"] == []
    assert read_environment(stack.site.environment_file)["REDIS_URL"] == redis_url
    stack.down()
    with redis.Redis.from_url(redis_url) as client:
        assert client.ping()


@pytest.mark.stack
def test_nothing_outlives_a_process_that_was_killed(tmp_path: Path) -> None:
    program = (
        "import os, time; from deploy.stack.guard import guarded; from deploy.stack.site import Site;"
        "from deploy.stack.stack import Stack\n"
        "with guarded(Stack(Site.of(os.environ))) as stack:\n"
        "    stack.up(['redis']); print(stack.status()[1].pid, flush=True); time.sleep(600)"
    )
    environment = {**site(tmp_path).given, "HEADWATER_STATE": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE) as started:
        assert started.stdout is not None
        server = psutil.Process(int(started.stdout.readline()))
        started.kill()
    server.wait(timeout=60)


def test_own_addresses_in_the_environment_are_not_somebody_else_s(tmp_path: Path) -> None:
    first = site(tmp_path)
    again = site(tmp_path, **first.environment())
    assert again.external("REDIS_URL") is None
    assert again.external("KAFKA_BOOTSTRAP_SERVERS") is None
    assert again.environment() == first.environment()


def test_a_shop_profile_by_relative_path_reaches_processes_that_run_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my.toml").write_text('name = "my"\n')
    monkeypatch.chdir(tmp_path)
    given = site(tmp_path / "state", HEADWATER_SHOP="my.toml")
    assert given.environment()["HEADWATER_SHOP"] == str(tmp_path / "my.toml")
    assert site(tmp_path / "state", HEADWATER_SHOP="hm").environment()["HEADWATER_SHOP"] == "hm"


def test_feast_is_applied_again_when_the_shop_profile_changes(tmp_path: Path) -> None:
    profile = tmp_path / "my.toml"
    profile.write_text('name = "my"\n')
    step = Feast(site(tmp_path, HEADWATER_SHOP=str(profile)))
    assert not step.done()
    (tmp_path / "feast").mkdir()
    (tmp_path / "feast" / "registry.db").touch()
    step.finished()
    assert step.done()
    profile.write_text('name = "my"\nitem_attributes = ["brand"]\n')
    assert not step.done()


def test_a_configured_port_that_is_taken_is_an_error(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(RuntimeError, match=f"port {port} \\(HEADWATER_REDIS_PORT\\) is taken"):
            site(tmp_path, HEADWATER_REDIS_PORT=str(port)).ports.renew("redis")


def test_an_unknown_part_is_named(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="no part 'rabbitmq'; there are kafka, redis"):
        Stack(site(tmp_path)).up(["rabbitmq"])
