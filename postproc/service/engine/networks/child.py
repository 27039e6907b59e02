"""The process in which networks run: orders come from its parent, and answers go back."""

from __future__ import annotations

import dataclasses
import os
import pickle
import threading
from multiprocessing.connection import Connection

from postproc.service.engine.freed_memory import give_back_large_blocks
from postproc.service.engine.networks.buffer import Layout, SharedBuffer
from postproc.service.engine.networks.calls import NetworkCall, Stage
from postproc.service.engine.networks.host import NetworkHost
from postproc.service.engine.networks.messages import Results, packed, stop_byte

_MOST_BYTES = 1 << 20  # of results that wait for those behind them


def main() -> None:
    """Do one order after the other, as long as there is somebody to give any."""
    give_back_large_blocks()
    os.dup2(2, 1)  # nobody reads what libraries print
    connection = Connection(int(os.read(0, 32)))
    settings, place = pickle.loads(connection.recv_bytes())
    child = _Child(NetworkHost(settings), SharedBuffer(place), connection)
    threading.Thread(target=child.listen, name="postproc-stop", daemon=True).start()
    child.tell_stage("network")  # it is ready
    while True:
        try:
            kind, *rest = pickle.loads(connection.recv_bytes())
        except EOFError:
            return
        if kind == "run":
            child.run(*rest)
        else:
            child.forget(*rest)


class _Child:
    """A host, and the connection to its parent."""

    def __init__(self, host: NetworkHost, buffer: SharedBuffer, connection: Connection) -> None:
        self._host = host
        self._buffer = buffer
        self._connection = connection
        self._waiting: Results = []
        self._size = 0
        self._lock = threading.Lock()
        self._calls = 0  # that came, the one that runs included

    def listen(self) -> None:
        """Have the call end whose number comes, and this process where none can come any more."""
        while number := os.read(0, 1):
            with self._lock:
                if number == stop_byte(self._calls):  # else it has just ended, and another one runs
                    self._host.stop()
        os._exit(0)  # also from the midst of a run

    def run(self, call: NetworkCall, layout: Layout) -> None:
        """Run a network, and tell what comes of it."""
        with self._lock:
            self._calls += 1
        call = dataclasses.replace(call, tensors=self._buffer.arrays(layout))
        answer = self._host.run(call, self._give, self.tell_stage)
        self._flush({"end": dataclasses.asdict(answer)})

    def forget(self, network_id: int | str) -> None:
        """Unload a network."""
        self._flush({"end": dataclasses.asdict(self._host.forget(network_id))})

    def tell_stage(self, stage: Stage) -> None:
        """Tell what the call is at."""
        self._flush({"stage": stage})

    def _give(self, row: int, text: str | None, error: str | None) -> None:
        self._waiting.append((row, text, error))
        self._size += len(text or "")
        if self._size > _MOST_BYTES:
            self._flush({})

    def _flush(self, head: dict[str, object]) -> None:
        self._connection.send_bytes(packed(head, self._waiting))
        self._waiting = []
        self._size = 0


if __name__ == "__main__":
    main()
