"""What a run did, as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tests.fuzz.checks import EQUAL, NEAR_TIE, NOT_APPLICABLE, REFUSED, VALID
from tests.fuzz.mutations import MUTATIONS
from tests.fuzz.supervisor import Key, Report


def summary(report: Report) -> str:
    """Return tables of the cases per kind, the broken cases per error, and the findings."""
    return "\n".join([*_kinds(report.counts), "", *_errors(report.counts), "", *_totals(report)])


def _kinds(counts: Counter[Key]) -> Iterator[str]:
    yield f"{'kind':16}{'equal':>9}{'large':>7}{'near ties':>11}{'broken':>9}{'valid yet':>11}"
    kinds = dict.fromkeys(kind for kind, *_ in counts)
    for kind in sorted(kinds):
        of_kind = Counter({key[1:]: count for key, count in counts.items() if key[0] == kind})
        equal = sum(count for (name, _, result), count in of_kind.items() if not name and result == EQUAL)
        yield (
            f"{kind:16}{equal:9}{of_kind['', True, EQUAL]:7}"
            f"{of_kind['', True, NEAR_TIE] + of_kind['', False, NEAR_TIE]:11}"
            f"{_sum(of_kind, REFUSED):9}{_sum(of_kind, VALID):11}"
        )


def _sum(of_kind: Counter[tuple[str, bool, str]], wanted: str) -> int:
    return sum(count for (name, _, result), count in of_kind.items() if name and result == wanted)


def _errors(counts: Counter[Key]) -> Iterator[str]:
    yield f"{'mutation':38}{'error':>12}{'refused':>9}{'valid yet':>11}{'not applicable':>16}"
    for name, mutation in sorted(MUTATIONS.items(), key=lambda item: item[1].error.__name__):
        of_name: Counter[str] = Counter()
        for (_, other, _, result), count in counts.items():
            if other == name:
                of_name[result] += count
        yield (
            f"{name:38}{mutation.error.__name__:>12}{of_name[REFUSED]:9}{of_name[VALID]:11}"
            f"{of_name[NOT_APPLICABLE]:16}"
        )


def _totals(report: Report) -> Iterator[str]:
    of_error: Counter[str] = Counter()
    for (_, name, _, result), count in report.counts.items():
        if name and result == REFUSED:
            of_error[MUTATIONS[name].error.__name__] += count
    refused = ", ".join(f"{count} {name}" for name, count in sorted(of_error.items()))
    whole = sum(
        count for (_, name, _, result), count in report.counts.items() if not name and result == EQUAL
    )
    ties = sum(count for (_, _, _, result), count in report.counts.items() if result == NEAR_TIE)
    large = sum(
        count
        for (_, name, is_large, result), count in report.counts.items()
        if is_large and not name and result == EQUAL
    )
    ran = sum(count for (*_, result), count in report.counts.items() if result != NOT_APPLICABLE)
    yield f"{whole} cases equal the reference, {large} of them large; {ties} left out because of near ties"
    yield f"broken cases refused: {refused or 'none'}"
    spent = f"{report.seconds:.0f} s, {report.cpu_seconds:.0f} s of CPU"
    yield f"{ran} cases, {ran / report.seconds:.1f} a second, in {spent}"
    yield f"{len(report.findings)} findings" + "".join(f"\n  {name}" for name in report.findings)
