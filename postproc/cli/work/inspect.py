"""How ``postproc inspect`` shows what it found to people."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from postproc.inspection import Certainty, Fused, Inspection, Proposal
from postproc.inspection.evidence import Evidence, Source
from postproc.inspection.proposal import written

_COLOURS = {Certainty.CERTAIN: "green", Certainty.LIKELY: "cyan", Certainty.POSSIBLE: "yellow"}
_WIDEST = max(len(source.value) for source in Source)
_MOST_READINGS = 4
_MOST_REFUTED = 6
_LONGEST_LIST = 18  # the anchors of YOLOv3 are shown whole
_SHOWN_METADATA = ("description", "task", "head", "imgsz", "stride", "end2end")


def show_fused(inspection: Inspection, fused: Fused, console: Console) -> None:
    """Print what a file that `postproc fuse` wrote puts out, with its documents."""
    console.print(_tensors(inspection))
    names = ", ".join(name for output in fused.outputs for name in output.values())
    said = [
        f"{name} {value}" for name, value in fused.options.items() if name != "outputs" and value is not None
    ]
    console.print(_item("fused     ", "green", f"postproc fuse wrote it: {names} are finished detections"))
    console.print(_item("          ", "dim", ", ".join(said)))
    for output in fused.spec.outputs:
        labels = [label.name for label in output.labels.labels]
        console.print(_item("spec      ", "dim", f"{len(labels)} labels: {_few(labels)}"))
    console.print(_item("version   ", "dim", written(_cut(fused.version.dump())).strip()))


def show_inspection(
    inspection: Inspection, command: Sequence[str], console: Console, folder: Path | None = None
) -> None:
    """Print what a network has, and the readings that are left with what speaks for them.

    `command` is what was asked for, to be repeated with ``--save``, and `folder` where that was to save.
    """
    console.print(_found(inspection))
    proposals = inspection.proposals
    if proposals and inspection.decided is None:
        console.print(f"{why_undecided(inspection)}\n")
    for number, proposal in enumerate(proposals[:_MOST_READINGS], 1):
        console.print(
            _proposal(proposal, proposals[0], number if len(proposals) > 1 else None),
        )
    if len(proposals) > _MOST_READINGS:
        console.print(f"and {len(proposals) - _MOST_READINGS} more readings; --json prints all.\n")
    for reading in inspection.named:
        head = "or not supported: " if proposals else "not supported: "
        lines = [_item(head, "bold yellow", reading.advice), *_evidence(reading.evidence)]
        console.print(Padding(Group(*lines), (0, 0, 1, 0)))
    if not proposals:
        if not inspection.named:
            console.print(
                "Nothing that postproc knows has these outputs. If you know what they hold, describe them by "
                "hand: docs/own-network.md."
            )
        _show_refuted(inspection, console)
        return
    if out := len(inspection.refuted) + len(inspection.beaten):
        console.print(f"{_counted(out, 'other reading')} came to mind; --json tells what is against each.\n")
    _show_next(inspection, command, console, folder)


def why_undecided(inspection: Inspection) -> str:
    """Say why none of the readings that are left can be saved unasked."""
    several = len(inspection.proposals) + len(inspection.named)
    if several > 1:
        return (
            f"{several} readings fit, and nothing decides between them; the first is the one that the most "
            "speaks for."
        )
    reading = inspection.proposals[0].reading
    parts = [part.value for part in reading.values if reading.is_unfounded(part)]
    return f"One reading fits, but nothing speaks for its {', '.join(parts)}."


def _show_next(inspection: Inspection, command: Sequence[str], console: Console, folder: Path | None) -> None:
    """Print the command that saves a reading, and, where it is decided, the one that runs it."""
    model = Path(command[0])
    folder = folder or Path(model.stem)  # where the user is: the lines can be pasted as they are
    decided = inspection.decided
    save = shlex.join(["postproc", "inspect", *command, "--save", str(folder)])
    if decided is None:
        console.print(Text("Save the one that is meant:", "bold"))
        number = 1 if len(inspection.proposals) == 1 else "N"
        console.print(Text(f"  {save} --take {number}"), soft_wrap=True)
        return
    console.print(Text("Save it:", "bold"))
    console.print(Text(f"  {save}"), soft_wrap=True)
    _show_run(inspection, decided, model, folder, console)


def _show_refuted(inspection: Inspection, console: Console) -> None:
    """Print why the readings that came to mind are not right, one line for each network."""
    said = {reading.network: reading.contradictions[0].text for reading in inspection.refuted}
    for network, text in list(said.items())[:_MOST_REFUTED]:
        console.print(_item("no  ", "dim", f"{network}: {text}"))
    if len(said) > _MOST_REFUTED:
        console.print(_item("no  ", "dim", f"{len(said) - _MOST_REFUTED} others, which --json tells about"))


def show_saved(
    inspection: Inspection, proposal: Proposal, paths: list[Path], model: Path, console: Console
) -> None:
    """Print what was saved, what of it has to be checked, and how to go on."""
    console.print(_title(proposal, None))
    for text in inspection.faults:
        console.print(_item("  fault  ", "bold yellow", text))
    for text in proposal.checks:
        console.print(_item("  check  ", "yellow", text))
    console.print(f"Saved {', '.join(path.name for path in paths)} in {paths[0].parent}.")
    _show_run(inspection, proposal, model, paths[0].parent, console)


def _show_run(
    inspection: Inspection, proposal: Proposal, model: Path, directory: Path, console: Console
) -> None:
    """Print the command that runs a network with saved documents, if they do."""
    prepared = 0 if proposal.preprocessing is None else len(proposal.preprocessing.inputs)
    if prepared < len(inspection.graph.inputs) or inspection.faults:
        return
    names = [name.removesuffix(".json") for name in proposal.documents]
    options = " ".join(f"--{name} {_quoted(directory / f'{name}.json')}" for name in names)
    console.print(Text("Run it:", "bold"))
    console.print(Text(f"  postproc run {_quoted(model)} {options} image.jpg"), soft_wrap=True)


def _tensors(inspection: Inspection) -> RenderableType:
    """Show the inputs and outputs of the file."""
    graph = inspection.graph
    table = Table.grid(padding=(0, 2))
    for name, tensors in (("input", graph.inputs), ("output", graph.outputs)):
        for tensor in tensors:
            declared = Text(f"{tensor.type} {tensor.declared_text}")
            if tensor.text != tensor.declared_text:
                size = graph.input_size or (0, 0)
                declared.append(f", {tensor.text} at {size[1]}x{size[0]}", "dim")
            table.add_row(Text(f"{name:8}", "dim"), Text(tensor.name, "bold"), declared)
    return table


def _found(inspection: Inspection) -> RenderableType:
    graph, table = inspection.graph, _tensors(inspection)
    facts = [
        f"{key} {graph.metadata[key].strip()}"
        for key in _SHOWN_METADATA
        if graph.metadata.get(key, "").strip()
    ]
    lines = [_item("metadata  ", "dim", ", ".join(facts))] if facts else []
    if graph.labels is not None:
        text = f"{len(graph.labels)} from {graph.labels.source}: {_few(graph.labels.names)}"
        lines.append(_item("labels    ", "dim", text))
    if inspection.was_run:
        height, width = graph.input_size or (0, 0)
        lines.append(_item("run       ", "dim", f"once, on a generated image of {width}x{height}"))
    else:
        lines.append(_item("run       ", "yellow", "none: what follows is from the file alone"))
    lines += [_item("fault     ", "bold yellow", text) for text in inspection.faults]
    lines += [_item("note      ", "yellow", text) for text in graph.notes]
    return Padding(Group(table, *lines), (0, 0, 1, 0))


def _proposal(proposal: Proposal, first: Proposal, number: int | None) -> RenderableType:
    """Show a reading whole if it is the first, else what tells it from the first."""
    reading, is_first = proposal.reading, proposal is first
    parts = [
        part for part, value in reading.values.items() if is_first or value != first.reading.values.get(part)
    ]
    table = Table.grid(padding=(0, 2))
    for part in parts:
        sources = ", ".join(sorted(source.value for source in reading.sources(part)))
        colour = _COLOURS[reading.certainty_of(part)]
        table.add_row(
            Text(f"  {part.value}", "dim"), Text(reading.values[part]), Text(sources or "guessed", colour)
        )
    if is_first and reading.meaning is not None:
        table.add_row(Text("  decision", "dim"), Text(reading.meaning.thresholds_reason))
    lines: list[RenderableType] = [_title(proposal, number), table]
    shown = () if is_first else first.reading.evidence
    lines += _evidence([item for item in reading.evidence if item not in shown and item.parts & {*parts}])
    checks = [text for text in proposal.checks if is_first or text not in first.checks]
    lines += [_item(f"  {'check':{_WIDEST}}  ", "yellow", text) for text in checks]
    if is_first:
        lines.append(Padding(Text(_documents(proposal), "dim"), (1, 0, 0, 2)))
    return Padding(Group(*lines), (0, 0, 1, 0))


def _evidence(items: Iterable[Evidence]) -> Iterable[RenderableType]:
    """Lay evidence out by its sources, each text once."""
    for source in Source:
        texts = [item.text for item in items if item.source is source and not item.is_against]
        for row, text in enumerate(dict.fromkeys(texts)):
            yield _item(f"  {'' if row else source.value:{_WIDEST}}  - ", "green", text)


def _title(proposal: Proposal, number: int | None) -> Text:
    colour = _COLOURS[proposal.certainty]
    return Text.assemble(
        ("" if number is None else f"{number}. ", "bold"),
        (proposal.kind, f"bold {colour}"),
        f": {proposal.network} (",
        (proposal.certainty.name.lower(), colour),
        ")",
    )


def _documents(proposal: Proposal) -> str:
    """Write down what the documents say of the network, long lists cut short."""
    version, preprocessing = proposal.version.dump(), proposal.preprocessing
    items = {f"post_processings[{row}]": item for row, item in enumerate(version["post_processings"])}
    if preprocessing is not None:
        items |= {f"inputs[{row}]": item for row, item in enumerate(preprocessing.dump()["inputs"])}
    return "\n".join(f"{name}: {written(_cut(item)).strip()}" for name, item in items.items())


def _cut(value: Any) -> Any:
    """Cut the lists of numbers in a document short."""
    if isinstance(value, dict):
        return {key: _cut(item) for key, item in value.items()}
    if isinstance(value, list) and len(value) > _LONGEST_LIST and not isinstance(value[0], dict):
        return [*value[:3], f"... {len(value)} in all"]
    return [_cut(item) for item in value] if isinstance(value, list) else value


def _item(head: str, style: str, text: str) -> RenderableType:
    """Lay a text out beside its head, so that its further lines are indented."""
    table = Table.grid()
    table.add_column(no_wrap=True)
    table.add_column()
    table.add_row(Text(head, style), Text(text))
    return table


def _few(names: Iterable[str]) -> str:
    """Write the first names of some."""
    names = list(names)
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def _counted(count: int, name: str) -> str:
    return f"{count} {name}" + ("" if count == 1 else "s")
