"""Write the page of who deviates where, from the results and from what was found out about them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.conformance.cases import Case, load_rules
from tests.conformance.running import AGREES, NOT_OFFERED, Result, digest

FINDINGS = Path(__file__).parent / "findings.json"
PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"
FAULT, DEFINITION, OUTSIDE, OPEN = "fault", "definition", "outside", "open"
KINDS = {
    FAULT: (
        "Faults",
        "another answer than the library's own documentation, or any reading of it, would give",
    ),
    DEFINITION: ("Matters of definition", "the library chooses otherwise, as others do, and may"),
    OUTSIDE: ("Outside of what is documented", "input that the library's documentation leaves out"),
    OPEN: ("Not looked at yet", "new results that nobody has explained"),
}
OURS = "postproc"
_MOST_NUMBERS = 48
_LONGEST = 80
_ANSWER = re.compile(r"(\w+): expected .*?, got (.*?)(?: \(shapes [^;]*\))?(?:; |$)")  # of Case.differences

Deviation = tuple[str, str]  # library and id of the case


@dataclass(frozen=True)
class Finding:
    """A reason to deviate: whose, and in which cases; the first is the one to show.

    Parameters
    ----------
    kind : str
        `FAULT`, `DEFINITION` or `OUTSIDE`.
    title, why : str
        What happens, and what is right and why.
    cases : list of str
        Ids; a library need not deviate in all of them.
    libraries : dict
        What each calls, and where it says or does so.
    """

    kind: str
    title: str
    why: str
    cases: list[str]
    libraries: dict[str, str]

    def covers(self, deviation: Deviation) -> bool:
        library, case = deviation
        return library in self.libraries and case in self.cases


def load_findings() -> list[Finding]:
    """Read the findings, as they stand on the page."""
    return [Finding(**fields) for fields in json.loads(FINDINGS.read_text("utf-8"))]


def fresh(results: dict[str, Result], cases: Sequence[Case]) -> dict[str, Result]:
    """Return the answers to cases as they are; one that has changed since then was not asked."""
    digests = {case.id: digest(case) for case in cases}
    return {
        library: {
            **result,
            "cases": {
                case: answer
                for case, answer in result["cases"].items()
                if answer["digest"] == digests.get(case)
            },
        }
        for library, result in results.items()
    }


def deviations(results: dict[str, Result]) -> list[Deviation]:
    """Return who deviates in which case, crashes and errors too."""
    return [
        (library, case)
        for library, result in results.items()
        for case, answer in result["cases"].items()
        if answer["outcome"] not in (AGREES, NOT_OFFERED)
    ]


def page(results: dict[str, Result], findings: Sequence[Finding], cases: Sequence[Case]) -> str:
    """Return the page as text."""
    by_id = {case.id: case for case in cases}
    results = fresh(results, cases)
    known = [finding for finding in findings if any(map(finding.covers, deviations(results)))]
    known += _open(results, findings)
    parts = [_head(len(cases), results), _summary(results, known), _operations(results, by_id)]
    for kind, (heading, meaning) in KINDS.items():
        shown = [finding for finding in known if finding.kind == kind]
        if shown:
            parts.append(f"## {heading}\n\nThat is, {meaning}.")
            parts += [_section(finding, results, by_id) for finding in shown]
    return "\n\n".join(parts) + "\n"


def _open(results: dict[str, Result], findings: Sequence[Finding]) -> list[Finding]:
    """What no finding explains, one a case."""
    left: dict[str, dict[str, str]] = {}
    for library, case in deviations(results):
        if not any(finding.covers((library, case)) for finding in findings):
            left.setdefault(case, {})[library] = ""
    return [Finding(OPEN, case, "", [case], libraries) for case, libraries in left.items()]


def _head(count: int, results: dict[str, Result]) -> str:
    behind = {name: count - len(result["cases"]) for name, result in results.items()}
    told = ", ".join(f"{number} to {name}" for name, number in behind.items() if number)
    newer = f" Cases that are newer than the answers were not put: {told}." if told else ""
    return f"""# What other libraries answer

The {count} cases of `tests/conformance/` (its README tells of them), asked of other libraries as their
documentation says that they are called. Each case is small, and made to show one rule at its edge; what
these libraries are given in daily use mostly lies far from there. An operation that a library lacks, and
input that cannot be put to it, is not counted. Whoever finds that we call one wrongly is asked to say so.

```sh
python -m tests.conformance torchvision   # asks it anew, in a process of its own, and writes this page
```

The calls are in `tests/conformance/adapters/`, a module a library, with a function of a few lines for each
operation, and another library is one more such module. The answers are in `tests/conformance/results/`, what
was found out about them in `tests/conformance/findings.json`; this page is made of these. What depends on the
processor, such as the order of equal scores, is of an x86-64 with Linux.{newer}"""


def _summary(results: dict[str, Result], findings: Sequence[Finding]) -> str:
    kinds = [kind for kind in KINDS if kind != OPEN or any(finding.kind == OPEN for finding in findings)]
    names = {FAULT: "faults", DEFINITION: "definition", OUTSIDE: "outside", OPEN: "not looked at"}
    rows = [["library", "version", "asked", "agrees", *(names[kind] for kind in kinds)]]
    for library, result in results.items():
        counts = Counter(
            finding.kind
            for pair in deviations({library: result})
            for finding in findings
            if finding.covers(pair)
        )
        outcomes = Counter(answer["outcome"] for answer in result["cases"].values())
        asked = len(result["cases"]) - outcomes[NOT_OFFERED]
        version = ", with ".join(_versions(result))
        numbers = [asked, outcomes[AGREES], *(counts[kind] for kind in kinds)]
        rows.append([library, version, *map(str, numbers)])
    return "Cases asked of each, and how many of them fall under each heading below:\n\n" + _table(
        rows, left=2
    )


def _versions(result: Result) -> Iterator[str]:
    (_, own), *others = result["versions"].items()
    yield own
    if others:
        yield ", ".join(f"{name} {version}" for name, version in others)


def _operations(results: dict[str, Result], cases: dict[str, Case]) -> str:
    operations = list(dict.fromkeys(case.operation for case in cases.values()))
    rows = [["operation", "cases", "offered by, and agrees in"]]
    for operation in operations:
        ids = [case.id for case in cases.values() if case.operation == operation]
        told = []
        for library, result in results.items():
            outcomes = [result["cases"][case]["outcome"] for case in ids if case in result["cases"]]
            asked = [outcome for outcome in outcomes if outcome != NOT_OFFERED]
            if asked and library != OURS:
                told.append(f"{library} {asked.count(AGREES)}/{len(asked)}")
        rows.append([f"`{operation}`", str(len(ids)), ", ".join(told) or "nobody here"])
    return "By operation, cases that agree of those that a library can be asked:\n\n" + _table(rows, left=3)


def _section(finding: Finding, results: dict[str, Result], cases: dict[str, Case]) -> str:
    covered = [pair for pair in deviations(results) if finding.covers(pair)]
    ids = [case for case in finding.cases if any(pair[1] == case for pair in covered)]
    shown = next((case for case in ids if case in cases), None)
    parts = [f"### {finding.title}", finding.why]
    if shown is not None:
        parts.append(_shown(cases[shown]))
    rows = [["library", "call", "gives", "cases"]]
    for library in finding.libraries:
        own = [case for case in ids if (library, case) in covered]
        if own:
            answer = results[library]["cases"][own[0]]
            given = _given(answer, "" if own[0] == shown else own[0])
            rows.append([library, finding.libraries[library], given, str(len(own))])
    parts.append(_table(rows, left=3))
    if len(ids) > 1:
        parts.append("Cases: " + ", ".join(f"`{case}`" for case in ids) + ".")
    return "\n\n".join(part for part in parts if part)


def _given(answer: Result, case: str) -> str:
    """What a library gave, shortly; `case` where it is another than the one that is shown."""
    said = answer["said"].replace("|", "\\|").replace("`", "")
    if answer["outcome"] == "deviates":
        told = ", ".join(f"{name}: `{_short(got)}`" for name, got in _ANSWER.findall(said))
    else:
        told = f"{answer['outcome']}: `{_short(said)}`"
    return f"{told} in `{case}`" if case else told


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def _shown(case: Case) -> str:
    """A case as code, if its numbers are few."""
    lines = [f"# {case.title}"]
    for name, array in case.inputs.items():
        lines.append(f"{name} = {_numbers(array)}")
    lines += [f"{name} = {json.dumps(value)}" for name, value in case.parameters.items()]
    for name, value in case.expected.items():
        lines.append(f"# right: {name} = {value if isinstance(value, str) else _numbers(value)}")
    rule = f"Rule {case.rule}: {load_rules()[case.rule]['rule']} {case.why}"
    return f"`{case.id}`. {rule}\n\n```text\n" + "\n".join(lines) + "\n```"


def _numbers(array: NDArray[Any]) -> str:
    if array.size > _MOST_NUMBERS:
        return f"{array.dtype} of shape {array.shape}"
    if not array.size:
        return f"none, of shape {array.shape}"
    text = np.array2string(array, separator=", ", threshold=_MOST_NUMBERS, max_line_width=10**6)
    return " ".join(text.split()).replace("[ ", "[")


def _table(rows: Sequence[Sequence[str]], left: int) -> str:
    """A table of Markdown, whose first columns are text and the others numbers."""
    head, *body = rows
    line = ["---" if place < left else "---:" for place in range(len(head))]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, line, *body))
