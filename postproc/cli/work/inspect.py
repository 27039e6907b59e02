"""How ``postproc inspect`` shows what it found: for people, or as JSON."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from postproc.errors import InspectionError
from postproc.inspection import Certainty, Inspection, Proposal, Tensor
from postproc.inspection.proposal import written

_COLOURS = {Certainty.CERTAIN: "green", Certainty.LIKELY: "cyan", Certainty.POSSIBLE: "yellow"}
_LONGEST_LIST = 18  # the anchors of YOLOv3 are shown whole
_SHOWN_METADATA = ("description", "task", "head", "imgsz", "stride", "end2end")


def show_inspection(inspection: Inspection, model: Path, console: Console) -> None:
    """Print what a network has, and the proposals with their reasons."""
    console.print(_tensors(inspection), soft_wrap=False)
    for text in inspection.unsupported:
        console.print(_item("not supported: ", "bold yellow", text))
    if not inspection.proposals and not inspection.unsupported:
        console.print(
            "Nothing that postproc knows has these outputs. If you know what they hold, describe them by "
            "hand: "
            "README, The documents."
        )
    several = len(inspection.proposals) > 1
    if several:
        console.print(
            f"{len(inspection.proposals)} readings fit, the best first; their reasons and checks tell them "
            "apart."
        )
    for number, proposal in enumerate(inspection.proposals, 1):
        console.print(_proposal(proposal, number if several else None, is_long=number == 1))
    if inspection.proposals:
        choice = " (--take 2 saves the second)" if several else ""
        folder = Path(model.stem)  # where the user is: the lines can be pasted as they are
        console.print(Text.assemble(("Save it", "bold"), f"{choice}:"))
        console.print(Text(f"  postproc inspect {_quoted(model)} --save {_quoted(folder)}"), soft_wrap=True)
        _show_run(inspection.proposals[0], model, folder, console)


def show_saved(proposal: Proposal, paths: list[Path], model: Path, console: Console) -> None:
    """Print what was saved, what of it has to be checked, and how to go on."""
    console.print(_title(proposal, None))
    for text in proposal.checks:
        console.print(_item("  check  ", "yellow", text))
    console.print(f"Saved {', '.join(path.name for path in paths)} in {paths[0].parent}.")
    _show_run(proposal, model, paths[0].parent, console)


def _show_run(proposal: Proposal, model: Path, directory: Path, console: Console) -> None:
    """Print the command that runs a network with saved documents, if there is one."""
    if proposal.preprocessing is None:
        return
    names = [name.removesuffix(".json") for name in proposal.documents]
    options = " ".join(f"--{name} {_quoted(directory / f'{name}.json')}" for name in names)
    console.print(Text("Run it:", "bold"))
    console.print(Text(f"  postproc run {_quoted(model)} {options} image.jpg"), soft_wrap=True)


def choose(inspection: Inspection, number: int) -> Proposal:
    """Give a proposal by its number.

    Raises
    ------
    InspectionError
        If there is none of that number.
    """
    if number > len(inspection.proposals):
        raise InspectionError(
            f"--take {number}: expected the number of a proposal, 1 to {len(inspection.proposals)}"
        )
    return inspection.proposals[number - 1]


def inspection_json(inspection: Inspection) -> dict[str, Any]:
    """Give all that was found as a JSON-ready dict."""
    graph = inspection.graph
    return {
        "name": graph.name,
        "producer": graph.producer,
        "inputs": [_tensor_json(tensor) for tensor in graph.inputs],
        "outputs": [_tensor_json(tensor) for tensor in graph.outputs],
        "metadata": dict(graph.metadata),
        "input_size": None if graph.input_size is None else list(graph.input_size),
        "input_size_source": graph.size_source,
        "unsupported": list(inspection.unsupported),
        "proposals": [
            {
                "kind": proposal.kind,
                "network": proposal.network,
                "certainty": proposal.certainty.name.lower(),
                "reasons": list(proposal.reasons),
                "checks": list(proposal.checks),
                **{
                    name.removesuffix(".json"): document.dump()
                    for name, document in proposal.documents.items()
                },
            }
            for proposal in inspection.proposals
        ],
    }


def _tensor_json(tensor: Tensor) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "type": tensor.type,
        "shape": None if tensor.declared is None else list(tensor.declared),
        "inferred_shape": None if tensor.shape is None else list(tensor.shape),
    }


def _tensors(inspection: Inspection) -> RenderableType:
    graph = inspection.graph
    table = Table.grid(padding=(0, 2))
    for name, tensors in (("input", graph.inputs), ("output", graph.outputs)):
        for tensor in tensors:
            declared = Text(f"{tensor.type} {tensor.declared_text}")
            if tensor.text != tensor.declared_text:
                size = graph.input_size or (0, 0)
                declared.append(f", {tensor.text} at {size[1]}x{size[0]}", "dim")
            table.add_row(Text(f"{name:8}", "dim"), Text(tensor.name, "bold"), declared)
    facts = [
        f"{key} {graph.metadata[key].strip()}"
        for key in _SHOWN_METADATA
        if graph.metadata.get(key, "").strip()
    ]
    lines = [_item("metadata  ", "dim", ", ".join(facts))] if facts else []
    if graph.labels is not None:
        text = f"{len(graph.labels)} from {graph.labels.source}: {_few(graph.labels.names)}"
        lines.append(_item("labels    ", "dim", text))
    return Padding(Group(table, *lines), (0, 0, 1, 0))


def _proposal(proposal: Proposal, number: int | None, is_long: bool) -> RenderableType:
    parts: list[RenderableType] = [_title(proposal, number)]
    parts += [_item("  why    ", "green", text) for text in proposal.reasons]
    parts += [_item("  check  ", "yellow", text) for text in proposal.checks]
    if is_long:
        parts.append(Padding(Text(_documents(proposal), "dim"), (1, 0, 0, 2)))
    return Padding(Group(*parts), (0, 0, 1, 0))


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
