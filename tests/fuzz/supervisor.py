"""Watches processes that run cases: starts another where one dies, and adds up what they tell."""

from __future__ import annotations

import json
import queue
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

Key = tuple[str, str, bool, str]  # kind, mutation, large, result
Show = Callable[[str], None]

# What a process started by `supervise` is called with: where it notes its case, and the row to begin with.
Command = Callable[[Path, int], list[str]]


class Report(NamedTuple):
    """What came of a run."""

    counts: Counter[Key]
    findings: list[str]  # names of cases
    seconds: float
    cpu_seconds: float  # of the processes


class _Child:
    """One process, its notes, and threads that read what it tells."""

    def __init__(self, command: Command, first: int, folder: Path, inbox: queue.Queue[Any]) -> None:
        self.row = first
        self.note = folder / f"case_{first}.txt"
        self.log = folder / f"stderr_{first}.txt"
        self._command = command
        self._inbox = inbox
        self.start()

    def start(self) -> None:
        self.note.write_text("")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self._command(self.note, self.row), stdout=subprocess.PIPE, stderr=log, text=True
            )
        self._reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self._reader.start()

    def stop(self) -> None:
        self.process.kill()
        self._reader.join()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as told:
            for line in told:
                self._inbox.put((self, json.loads(line)))
        process.wait()
        self._inbox.put((self, None))

    def death(self) -> tuple[str, str]:
        """Return the case that it died of, and what it left behind."""
        text = self.log.read_text(errors="replace").strip()
        code = self.process.returncode
        how = "took too long" if "Timeout" in text else f"ended the process with {code}"
        return self.note.read_text(), f"{how}\n{text[-4000:]}"


def supervise(command: Command, seconds: float, jobs: int, first: int, show: Show, most: int) -> Report:
    """Let ``jobs`` processes run cases for some seconds; show each finding, and stop after ``most``."""
    counts: Counter[Key] = Counter()
    findings: list[str] = []
    inbox: queue.Queue[Any] = queue.Queue()
    started = time.monotonic()

    def found(name: str, text: str) -> None:
        findings.append(name)
        show(f"FINDING {name}\n{text.rstrip()}\nrepeat: {sys.executable} -m tests.fuzz --case {name}\n")

    with tempfile.TemporaryDirectory() as folder:
        children = [_Child(command, first + job, Path(folder), inbox) for job in range(jobs)]
        try:
            while (left := started + seconds - time.monotonic()) > 0 and len(findings) < most:
                try:
                    child, message = inbox.get(timeout=left)
                except queue.Empty:
                    break
                if message is None:
                    name, text = child.death()
                    if not name:
                        raise RuntimeError(f"a process ended before its first case: {text}")
                    found(name, text)
                    counts[_key(name, "crash")] += 1
                    child.row = int(name.split(":")[1]) + jobs
                    child.start()
                elif "finding" in message:
                    found(message["finding"]["name"], message["finding"]["finding"])
                else:
                    for key, count in message["counts"].items():
                        counts[tuple(json.loads(key))] += count
        except KeyboardInterrupt:
            show("interrupted")
        finally:
            for child in children:
                child.stop()
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Report(counts, findings, time.monotonic() - started, spent.ru_utime + spent.ru_stime)


def _key(name: str, result: str) -> Key:
    kind, _, *mutation = name.split(":")
    return kind, mutation[0] if mutation else "", False, result
