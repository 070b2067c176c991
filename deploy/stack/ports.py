"""Ports of the local stack: free ones, remembered, or configured."""

import json
import random
import socket
from collections.abc import Mapping
from pathlib import Path

# Below Linux's ephemeral range (32768…): an outgoing connection can't take a port between choice and use.
FIRST, LAST = 20_000, 32_000


def is_free(port: int) -> bool:
    """Whether a server could bind `port` on 127.0.0.1 now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Ports:
    """Port by name, kept in a JSON file, so that a part comes back on the port that others know.

    ``HEADWATER_<NAME>_PORT`` fixes one: ``HEADWATER_KAFKA_CONTROLLER_PORT`` that of ``kafka-controller``.
    """

    def __init__(self, path: Path, settings: Mapping[str, str]) -> None:
        self._path = path
        self._settings = settings
        self._ports: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}

    def recorded(self, name: str) -> int | None:
        """The port `name` has had so far, None if it never had one."""
        return self._ports.get(name)

    def port(self, name: str) -> int:
        """The port of `name`, chosen now if it never had one."""
        if name not in self._ports:
            self.renew(name)
        return self._ports[name]

    def renew(self, name: str) -> None:
        """Keep the port of `name` if it is configured or still free, else choose another.

        Call it only while the part that owns `name` does not run.

        Raises
        ------
        RuntimeError
            A configured port is taken.
        """
        setting = f"HEADWATER_{name.upper().replace('-', '_')}_PORT"
        configured = self._settings.get(setting)
        if configured:
            port = int(configured)
            if not is_free(port):
                raise RuntimeError(f"port {port} ({setting}) is taken; free it or set another")
        elif (known := self._ports.get(name)) is not None and is_free(known):
            return
        else:
            port = self._choose()
        self._ports[name] = port
        self._save()

    def _choose(self) -> int:
        taken = set(self._ports.values())
        for port in random.sample(range(FIRST, LAST), k=1_000):
            if port not in taken and is_free(port):
                return port
        raise RuntimeError(f"no free port between {FIRST} and {LAST} on 127.0.0.1 in 1,000 tries")

    def _save(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(self._ports, indent=2, sort_keys=True) + "\n")
