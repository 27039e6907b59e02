"""Imports point one way: from a part of the package to those below it, and never in a circle."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = {"postproc": ROOT / "postproc", "postproc.kernels": ROOT / "kernels"}
# From the lowest on. Parts of one line may import each other, as long as that makes no circle.
LAYERS = (
    "kernels",
    "errors",
    "call_options disk file_kinds graph_shapes installing isolation lazy quantization tensors transforms",
    "stores",
    "schema",
    "results",
    "decoding",
    "fusing",
    "ops pipeline",
    "exports images onnx_runner saved_tensors",
    "spreading",
    "demo doctor evaluation inspection",
    "service",
    "cli",
)
LEVELS = {part: level for level, line in enumerate(LAYERS) for part in line.split()}

Imports = Mapping[str, set[str]]  # of each module, the modules that it imports


def modules_of(sources: Mapping[str, Path]) -> dict[str, Path]:
    found = {}
    for package, folder in sources.items():
        for path in folder.rglob("*.py"):
            parts = path.relative_to(folder).with_suffix("").parts
            found[".".join([package, *parts]).removesuffix(".__init__")] = path
    return found


def statements(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports of a module, those in functions too; not those for type checkers alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for other in node.orelse:
                yield from statements(other)
        else:
            yield from statements(node)


def imports_of(modules: Mapping[str, Path]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {module: set() for module in modules}
    for module, path in modules.items():
        for node in statements(ast.parse(path.read_text(encoding="utf-8"))):
            base = ""
            if isinstance(node, ast.ImportFrom):
                above = module.split(".")[: -node.level + (path.name == "__init__.py") or None]
                base = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            for alias in node.names:
                names = [f"{base}.{alias.name}".strip("."), base]
                found[module].update([name for name in names if name in modules and name != module][:1])
    return found


def circles(imports: Imports) -> list[list[str]]:
    """Return the groups of names each of which leads to every other of its group."""
    reached: dict[str, set[str]] = {}
    for start in imports:
        seen, waiting = set[str](), [start]
        while waiting:
            new = imports[waiting.pop()] - seen
            seen |= new
            waiting.extend(new)
        reached[start] = seen
    groups = {frozenset(b for b in reached[a] if a in reached[b]) for a in imports if a in reached[a]}
    return sorted(sorted(group) for group in groups)


def circles_of_folders(imports: Imports) -> list[list[str]]:
    """Return the circles among what lies side by side in one folder, each with all that is in it."""
    found = []
    for folder in {module.rpartition(".")[0] for module in imports} - {""}:
        inside = {module: others for module, others in imports.items() if module.startswith(f"{folder}.")}
        end = folder.count(".") + 2
        beside: dict[str, set[str]] = {".".join(module.split(".")[:end]): set() for module in inside}
        for module, others in inside.items():
            child = ".".join(module.split(".")[:end])
            beside[child] |= {".".join(other.split(".")[:end]) for other in others & inside.keys()} - {child}
        found += circles(beside)
    return sorted(found)


def against_the_layers(imports: Imports) -> list[str]:
    """Return the imports of parts that lie above the importing one; the package itself stands on all."""
    level = {module: LEVELS[module.split(".")[1]] for module in imports if module != "postproc"}
    return sorted(
        f"{module} imports {other}"
        for module in level
        for other in imports[module] & level.keys()
        if level[other] > level[module]
    )


def told(groups: list[list[str]], imports: Imports) -> str:
    """Return the imports that lead from one name of a circle to another, circle by circle."""

    def name_in(group: list[str], module: str) -> str | None:
        return next((name for name in group if f"{module}.".startswith(f"{name}.")), None)

    lines = []
    for group in groups:
        lines.append(f"\n{' - '.join(group)}:")
        for module, others in sorted(imports.items()):
            for other in sorted(others):
                names = {name_in(group, module), name_in(group, other)}
                lines += [f"    {module} imports {other}"] * (len(names) == 2 and None not in names)
    return "\n".join(lines)


@pytest.fixture(scope="module")
def tree() -> dict[str, set[str]]:
    """The imports of every module of the tree."""
    return imports_of(modules_of(SOURCES))


def test_layers_have_every_part_of_the_package(tree: dict[str, set[str]]) -> None:
    assert {name.split(".")[1] for name in tree if name != "postproc"} == set(LEVELS)


def test_no_part_imports_one_above_it(tree: dict[str, set[str]]) -> None:
    found = against_the_layers(tree)
    assert not found, "\n".join(found)


def test_no_modules_import_each_other_in_a_circle(tree: dict[str, set[str]]) -> None:
    found = circles(tree)
    assert not found, told(found, tree)


def test_no_folders_import_each_other_in_a_circle(tree: dict[str, set[str]]) -> None:
    found = circles_of_folders(tree)
    assert not found, told(found, tree)


@pytest.fixture
def planted(tmp_path: Path) -> dict[str, set[str]]:
    """The imports of a package whose parts break every rule above, each in another way."""
    files = {
        "errors.py": "from postproc.schema import fields",
        "schema/__init__.py": "def late():\n    import postproc.errors",
        "schema/fields.py": "from .. import disk\nfrom . import limits",
        "schema/limits.py": "if TYPE_CHECKING:\n    from postproc.schema import fields",
        "cli/work/__init__.py": "",
        "cli/work/run.py": "from ..commands.run import name",
        "cli/work/dump.py": "",
        "cli/__init__.py": "",
        "cli/commands/run.py": "import postproc.cli.work.dump",
        "disk.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(textwrap.dedent(text))
    return imports_of(modules_of({"postproc": tmp_path}))


def test_imports_are_read_in_functions_and_relative_ones_but_not_those_of_types(
    planted: dict[str, set[str]],
) -> None:
    assert planted["postproc.schema"] == {"postproc.errors"}
    assert planted["postproc.schema.fields"] == {"postproc.disk", "postproc.schema.limits"}
    assert planted["postproc.schema.limits"] == set()


def test_import_of_a_part_above_is_found(planted: dict[str, set[str]]) -> None:
    assert against_the_layers(planted) == ["postproc.errors imports postproc.schema.fields"]


def test_circle_of_folders_whose_modules_make_none_is_found(planted: dict[str, set[str]]) -> None:
    assert circles(planted) == []
    assert circles_of_folders(planted) == [
        ["postproc.cli.commands", "postproc.cli.work"],
        ["postproc.errors", "postproc.schema"],
    ]


def test_circle_of_modules_is_found(planted: dict[str, set[str]]) -> None:
    planted["postproc.schema.fields"].add("postproc.schema")
    assert circles(planted) == [["postproc.errors", "postproc.schema", "postproc.schema.fields"]]
