"""On which partition a key belongs: Kafka's murmur2, as Java's, aiokafka's and Faust's producers compute it.

librdkafka agrees only with `partitioner=murmur2_random`; its default (consistent_random) puts keys elsewhere.
State is kept with positions of one partition a customer, so a record on another partition can't be applied.
"""

_MASK = 0xFFFFFFFF
_M = 0x5BD1E995


def murmur2(key: bytes) -> int:
    """32-bit MurmurHash2 of `key` with Kafka's seed, as an unsigned integer."""
    h = (0x9747B28C ^ len(key)) & _MASK
    whole = len(key) & ~3
    for at in range(0, whole, 4):
        k = int.from_bytes(key[at : at + 4], "little") * _M & _MASK
        k = (k ^ (k >> 24)) * _M & _MASK
        h = (h * _M & _MASK) ^ k
    if whole < len(key):
        h = (h ^ int.from_bytes(key[whole:], "little")) * _M & _MASK
    h = (h ^ (h >> 13)) * _M & _MASK
    return h ^ (h >> 15)


def partition_of(key: bytes, partitions: int) -> int:
    """Partition of a non-empty `key` on a topic with so many partitions."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
