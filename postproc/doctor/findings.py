"""What an examination finds: one `Finding` a line, in sections."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any


class Status(str, Enum):
    """How a finding is to be taken."""

    NOTE = "note"
    """Only tells something."""
    OK = "ok"
    """A check that passed."""
    WARNING = "warning"
    """Works, but otherwise than it should."""
    FAILED = "failed"
    """Does not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a report.

    Parameters
    ----------
    name : str
        What was looked at.
    text : str
        What was found.
    status : Status
        How that is to be taken.
    advice : str
        What to do about it; of every warning and failure.
    """

    name: str
    text: str
    status: Status = Status.NOTE
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """Findings about one thing."""

    title: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """All that an examination found.

    Parameters
    ----------
    sections : tuple of Section
        In the order of the examination.
    seconds : float
        How long it took.
    """

    sections: tuple[Section, ...]
    seconds: float

    def count(self, status: Status) -> int:
        """Count the findings of a status."""
        return sum(finding.status is status for section in self.sections for finding in section.findings)

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return self.count(Status.FAILED) == 0

    def to_dict(self) -> dict[str, Any]:
        """Give a dictionary that is ready for JSON."""
        return {
            "ok": self.ok,
            "failed": self.count(Status.FAILED),
            "warnings": self.count(Status.WARNING),
            "seconds": round(self.seconds, 3),
            "sections": [
                {
                    "title": section.title,
                    "findings": [
                        {**asdict(finding), "status": finding.status.value} for finding in section.findings
                    ],
                }
                for section in self.sections
            ],
        }


Probe = Callable[[], Finding | Iterable[Finding]]


def guarded(name: str, probe: Probe) -> list[Finding]:
    """Run a probe; one that raises is itself a finding, so that an examination goes on."""
    found: list[Finding] = []
    try:
        result = probe()
        for finding in [result] if isinstance(result, Finding) else result:
            found.append(finding)
    except Exception as error:  # whatever it is, it belongs in the report
        advice = "report this, with the output of `postproc doctor --json`"
        found.append(Finding(name, f"{type(error).__name__}: {error}", Status.FAILED, advice))
    return found


def megabytes(size: int) -> str:
    """Write a number of bytes down for a reader."""
    return f"{size / 1e6:.1f} MB"
