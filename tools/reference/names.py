"""Pages of the public names, whose docstrings mkdocstrings puts in. Sources are read, nothing is imported."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe

ROOT = Path(__file__).resolve().parents[2]
# In the order of the navigation; what each exports is its `__all__`. A name that two export is shown once,
# where the package lies that defines it.
MODULES = (
    "postproc",
    "postproc.schema",
    "postproc.ops",
    "postproc.transforms",
    "postproc.images",
    "postproc.onnx_runner",
    "postproc.exports",
    "postproc.evaluation",
    "postproc.inspection",
    "postproc.fusing",
    "postproc.doctor",
)


def pages() -> dict[str, str]:
    """Return the Markdown of each page, by its path below the reference."""
    tree = griffe.load("postproc", search_paths=[ROOT], resolve_aliases=True)
    modules = {path: tree[path.partition(".")[2]] if path != "postproc" else tree for path in MODULES}
    homes = {path: {name: _home(modules, path, name) for name in exported(modules[path])} for path in modules}
    shown = {
        modules[path][name].canonical_path
        for path, names in homes.items()
        for name, home in names.items()
        if home == path
    }
    return {_page_of(path): _page(modules[path], homes[path], shown) for path in MODULES}


def exported(module: Any) -> list[str]:
    """Return the names of a module's `__all__`, in its order."""
    return [getattr(name, "name", name) for name in module.exports or ()]


def _home(modules: dict[str, Any], path: str, name: str) -> str:
    """Return the module on whose page a name of the module `path` is shown."""
    defined = modules[path][name].canonical_path
    homes = [
        other for other in modules if defined.startswith(f"{other}.") and name in exported(modules[other])
    ]
    return max(homes, key=len, default=path)


def _page_of(path: str) -> str:
    return f"python/{path.removeprefix('postproc.')}.md"


def _page(module: Any, homes: dict[str, str], shown: set[str]) -> str:
    summary = module.docstring.value.partition("\n\n")[0]
    parts = [f"# {module.path}\n\n{summary}\n"]
    parts += [
        _directive(module[name], module.path, shown) for name, home in homes.items() if home == module.path
    ]
    for home in MODULES:
        names = [f"[`{name}`][{home}.{name}]" for name in homes if homes[name] == home != module.path]
        if names:
            link = f"[`{home}`]({_page_of(home).rpartition('/')[2]})"
            parts.append(f"---\n\nExported here as well, and shown with {link}: {', '.join(names)}.\n")
    return "\n".join(parts)


def _directive(shown_object: Any, path: str, shown: set[str]) -> str:
    """Return what mkdocstrings replaces by a docstring; what a document holds is told by its fields."""
    text = f"::: {path}.{shown_object.name}\n"
    bases = {base.name for base in shown_object.mro()} if shown_object.is_class else set()
    inherited = [] if "Configuration" in bases else list(_inherited(shown_object, shown))
    if "Document" in bases:
        text += f"    options:\n      members: {inherited}\n      inherited_members: {inherited}\n"
        if shown_object.name != "DetectionOutput":  # what all kinds have in common, and no document holds
            text += f"\nIts [fields](../documents.md#{shown_object.name.lower()}).\n"
    elif inherited:
        text += f"    options:\n      inherited_members: {inherited}\n"
    return text


def _inherited(shown_class: Any, shown: set[str]) -> Iterator[str]:
    """Yield the members that a class has from bases that are shown nowhere."""
    for name, member in shown_class.inherited_members.items() if shown_class.is_class else ():
        owner = member.canonical_path.rpartition(".")[0]
        is_ours = owner.startswith("postproc.") and (member.is_function or "property" in member.labels)
        if is_ours and owner not in shown and not name.startswith("_") and name != "rules":
            yield name
