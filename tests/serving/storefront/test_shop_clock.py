import pytest

from serving.storefront.shop_clock import ShopClock

NOW_S = 1_800_000_000.0


class Wall:
    def __init__(self) -> None:
        self.seconds = NOW_S

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def wall() -> Wall:
    return Wall()


def test_where_answers_are_for_now_events_happen_now(wall: Wall) -> None:
    clock = ShopClock(wall)
    clock.heard(int(NOW_S * 1000) - 40)
    assert clock.event_time() == NOW_S * 1000


def test_in_a_recording_events_happen_where_it_is(wall: Wall) -> None:
    clock, recorded = ShopClock(wall), 1_500_000_000_000
    clock.heard(recorded)
    wall.seconds += 2.5
    assert clock.event_time() == recorded + 2500


def test_a_recording_that_has_reached_the_present_is_the_present(wall: Wall) -> None:
    clock = ShopClock(wall)
    clock.heard(1_500_000_000_000)
    clock.heard(int(NOW_S * 1000))
    assert clock.event_time() == NOW_S * 1000


def test_no_event_is_as_late_as_the_one_before(wall: Wall) -> None:
    clock = ShopClock(wall)
    first = clock.event_time()
    wall.seconds -= 60
    assert [clock.event_time() for _ in range(3)] == [first + 1, first + 2, first + 3]
