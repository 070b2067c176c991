from streams.contracts.partitioner import murmur2, partition_of


def test_agrees_with_published_values_of_kafkas_own_client() -> None:
    # Values of org.apache.kafka.common.utils.UtilsTest#testMurmur2, as unsigned integers.
    known = {
        b"21": -973932308,
        b"foobar": -790332482,
        b"a-little-bit-long-string": -985981536,
        b"a-little-bit-longer-string": -1486304829,
        b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
        b"abc": 479470107,
    }
    assert {key: murmur2(key) for key in known} == {key: value & 0xFFFFFFFF for key, value in known.items()}


def test_partitions_are_all_used() -> None:
    assert {partition_of(str(key).encode(), 4) for key in range(50)} == {0, 1, 2, 3}
