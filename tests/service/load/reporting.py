"""What a run of a mix came to, in some lines."""

from __future__ import annotations

from collections import Counter

from tests.service.load.mix import ALONE, ATTACKED, IDLE, KINDS, REST, Result, percentile
from tests.service.load.watching import MIB

_MOST_ERRORS = 5


def report(result: Result) -> str:
    """Say it in some lines; those of limits that were passed begin with "FAILS"."""
    watch = result.watch
    lines = [_row("seconds", *(f"{phase}: n  p50  p99  max" for phase in (ALONE, ATTACKED)), "times p99")]
    for kind in KINDS:
        times = result.times(kind)
        cells = (_times(result.seen[phase].seconds[kind]) for phase in (ALONE, ATTACKED))
        lines.append(_row(kind, *cells, "" if times is None else f"{times:.1f}"))
    health = ", ".join(
        f"{phase} {watch.health[phase]:.3f}"
        + (f" ({missed} failed)" if (missed := watch.unanswered[phase]) else "")
        for phase in (IDLE, ALONE, ATTACKED, REST)
    )
    memory = ", ".join(f"{phase} {watch.memory[phase] // MIB}" for phase in (IDLE, ALONE, ATTACKED, REST))
    parts = " + ".join(f"{name} {size // MIB}" for name, size in result.budget.items())
    lines += [
        f"longest /healthz, s: {health}",
        f"MiB at most: {memory}; afterwards {result.after // MIB}",
        f"MiB above idle: {result.peak // MIB} of {parts}",
        f"processor, s: {', '.join(_processor(result, phase) for phase in (ALONE, ATTACKED))}; "
        f"hostile clients {sum(damage.processor for damage in result.damage):.1f}",
    ]
    for damage in result.damage:
        lines += [f"{name}: {_answers(answers)}" for name, answers in damage.answers.items()]
        lines += damage.problems
    lines += [f"not prepared: {problem}" for problem in result.problems]
    lines.append(
        f"tasks: {len(result.tasks)} acknowledged, {len(result.lost)} lost; longest {result.longest:.1f} s"
    )
    errors = Counter(result.errors)
    lines += [f"{count} x {error}" for error, count in errors.most_common(_MOST_ERRORS)]
    return "\n".join([*lines, *(f"FAILS: {fault}" for fault in result.faults() or ())])


def _row(name: str, *cells: str) -> str:
    return f"{name:10}" + "".join(f"{cell:36}" for cell in cells)


def _times(values: list[float]) -> str:
    if not values:
        return "0"
    return f"{len(values):<4} {percentile(values, 50):.3f} {percentile(values, 99):.3f} {max(values):.3f}"


def _answers(answers: Counter[str]) -> str:
    return ", ".join(f"{count} x {answer}" for answer, count in sorted(answers.items())) or "no answer"


def _processor(result: Result, phase: str) -> str:
    service, clients = result.watch.processor.get(phase, 0), result.processor.get(phase, 0)
    return f"{phase} service {service:.1f}, good clients {clients:.1f} of {result.seconds.get(phase, 0):.1f}"
