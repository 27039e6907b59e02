"""The page of errors: every class, exit code and status is there, and every message is one that is met."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from pydantic import ValidationError

from postproc import PostprocError, PostProcessor, RecognitionSpec, RecognitionVersion, Yolov8Output
from postproc.images import load_image
from postproc.onnx_runner import OnnxRunner
from tests.documents.pages import ROOT, blocks, run
from tests.models import answering
from tools.markers import part

PAGE = ROOT / "docs" / "errors.md"
TEXT = PAGE.read_text("utf-8")
LABELS = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
SPEC = {"outputs": [{"labels": {"labels": LABELS, "exclusive": True, "roi": "BBOX"}}]}
TABLE = np.zeros((1, 6, 8400), np.float32)


def version(**fields: Any) -> dict[str, Any]:
    """A version of a YOLOv8 table with other fields of its detection; None leaves one out."""
    all_fields = {
        "yolov8_output": {"output_tensor": "output0"},
        "thresholds": [0.4, 0.6],
        "input_size": [640, 640],
        **fields,
    }
    detection = {name: value for name, value in all_fields.items() if value is not None}
    return {"post_processings": [{"detection": detection}]}


def post(**fields: Any) -> PostProcessor:
    return PostProcessor(SPEC, version(**fields))


class OnTheGpu:
    """Like a tensor of a framework that refuses to leave its device."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise RuntimeError("can't convert cuda:0 device type tensor to numpy")


def on_images(**inputs: Any) -> Any:
    return OnnxRunner("good.onnx", post())(inputs)


DIRECT = {"boxes_tensor": "b", "scores_tensor": "s", "classes_tensor": "c"}
CLASSIFIED = {"post_processings": [{"classification": {"output_tensor": "a"}}]}
TWINS = {"outputs": [{"labels": {**SPEC["outputs"][0]["labels"], "labels": [LABELS[0], LABELS[0]]}}]}
# In the order of the page; one that breaks several rules shows several messages.
FAULTS: dict[str, list[Callable[[], Any]]] = {
    "Documents": [
        lambda: post(yolov8_output={"output_tensr": "output0"}, thresholds=[0.4, 1.6]),
        lambda: post(thresholds=[0.4]),
        lambda: post(direct_output=DIRECT),
        lambda: post(yolov8_output=None),
        lambda: PostProcessor(SPEC, CLASSIFIED),
        lambda: PostProcessor(SPEC, {"post_processings": []}),
        lambda: post(normalize_wrt_tensor="im_info"),
        lambda: RecognitionSpec.load(TWINS),
        lambda: PostProcessor.for_detection(
            ["cat"], Yolov8Output(output_tensor="a"), thresholds={"cta": 0.5}
        ),
        lambda: PostProcessor(version(), SPEC),
        lambda: RecognitionVersion.load(Path("version.json")),
        lambda: RecognitionVersion.load('{"id": 1, "a": 1, "a": 2}'),
        lambda: RecognitionVersion.load(Path("gone.json")),
        lambda: RecognitionVersion.load("verson.json"),
    ],
    "Tensors": [
        lambda: post()({"output": TABLE}),
        lambda: post()(TABLE),
        lambda: post()({"output0": np.zeros((1, 84, 8400), np.float32)}),
        lambda: post()({"output0": np.zeros((1, 6, 6), np.float32)}),
        lambda: post()({"output0": TABLE.astype(np.uint8)}),
        lambda: post()({"output0": OnTheGpu()}),
        lambda: post()({"output0": TABLE}, max_predictions=-1),
        lambda: post()({"output0": TABLE}, transforms=[]),
    ],
    "Images and networks": [
        lambda: load_image("gone.jpg"),
        lambda: load_image("street.jpg"),
        lambda: load_image("large.png"),
        lambda: OnnxRunner("gone.onnx", post()),
        lambda: OnnxRunner("model.onnx", post()),
        lambda: OnnxRunner("good.onnx", post(), providers=["CUDAExecutionProvider"]),
        lambda: OnnxRunner("good.onnx", post(yolov8_output={"output_tensor": "output1"})),
        lambda: on_images(image=np.zeros((1, 3, 640, 640), np.float32)),
        lambda: on_images(images=np.zeros((1, 640, 640, 3), np.float32)),
        lambda: on_images(images=np.zeros((1, 3, 640, 640), np.uint8)),
    ],
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the messages are of."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "version.json").write_text('{"post_processings": [')
    (folder / "street.jpg").write_bytes(b"no image")
    (folder / "model.onnx").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    network = answering({"output0": TABLE[0]}, ("N", 3, 640, 640), "images")
    (folder / "good.onnx").write_bytes(network)
    PIL.Image.new("RGB", (40, 30)).save(folder / "large.png")
    return folder


def section(title: str) -> str:
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def messages(title: str) -> list[str]:
    return re.findall(r"^\| `(.+?)` \|", section(title), re.MULTILINE)


def is_shown(message: str, text: str) -> bool:
    """Whether a text is what a message of the page shows, in which "..." stands for anything."""
    return re.fullmatch(".*?".join(map(re.escape, message.split("..."))), text, re.DOTALL) is not None


def raised(fault: Callable[[], Any]) -> list[str]:
    with pytest.raises(PostprocError) as caught:
        fault()
    return [str(problem) for problem in getattr(caught.value, "errors", ())] or [str(caught.value)]


@pytest.mark.parametrize("title", FAULTS)
def test_messages_are_those_that_are_met(title: str, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files)
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 100)
    listed = messages(title)
    met = [text for fault in FAULTS[title] for text in raised(fault)]
    assert [text for text in met if not any(is_shown(message, text) for message in listed)] == []
    assert [message for message in listed if not any(is_shown(message, text) for text in met)] == []


def test_errors_that_are_not_postprocs_own() -> None:
    with pytest.raises(IndexError) as beyond:
        post()({"output0": TABLE}).outputs[0][1]
    with pytest.raises(ValidationError, match="did you mean 'output_tensor'") as misspelt:
        Yolov8Output(output_tensr="output0")  # type: ignore[call-arg]
    assert not isinstance(beyond.value, PostprocError)
    assert not isinstance(misspelt.value, PostprocError)
    assert isinstance(misspelt.value, ValueError)
    assert "`IndexError`" in TEXT
    assert "`pydantic.ValidationError`" in TEXT


@functools.cache
def nodes(folder: str) -> list[ast.AST]:
    """Return all that the sources of a folder consist of."""
    paths = (ROOT / "postproc" / folder).rglob("*.py")
    return [node for path in paths for node in ast.walk(ast.parse(path.read_text("utf-8")))]


def texts_of_service() -> Iterator[str]:
    """Yield the texts in the service's sources, with "..." for what is put into them."""
    for node in nodes("service"):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "..." for part in node.values]
            yield "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_errors_of_tasks_are_texts_of_the_service() -> None:
    listed = [message for message in messages("The HTTP service") if not message.isdigit()]
    texts = {text.replace("{path}", "...").replace("{...}", "...") for text in texts_of_service()}
    assert len(listed) >= 9
    assert [message for message in listed if message not in texts] == []


def test_page_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = blocks(PAGE)
    assert block.output is not None
    run(PAGE, block, {}, capsys)


def test_parts_that_are_made_are_what_is_made_today() -> None:
    errors_page = pytest.importorskip("tools.errors_page", exc_type=ImportError)
    for name, made in errors_page.parts().items():
        assert part(TEXT, name) == made, "python -m tools.errors_page writes them"


def test_every_class_of_errors_is_on_the_page() -> None:
    bases = {
        name: set(re.findall(r"\w+", listed))
        for path in (ROOT / "postproc").rglob("*.py")
        for name, listed in re.findall(r"^class (\w+)\(([^)]*)\):", path.read_text("utf-8"), re.MULTILINE)
    }
    kinds = {"PostprocError"}
    while more := {name for name, found in bases.items() if found & kinds} - kinds:
        kinds |= more
    told = set(re.findall(r"^\| `(\w+)` \| `\w+` \|", section("In Python"), re.MULTILINE))
    # The service says the text of its own in its log, or as a task's; of tensors, only the base is caught.
    inside = {"InUseError", "TooLargeError", "OpenAxisError", "DamagedError"}
    assert kinds - inside == told


def literals(folder: str, called: set[str]) -> Iterator[ast.expr]:
    """Yield the first argument of each call of some names in the sources of a folder."""
    for node in nodes(folder):
        if isinstance(node, ast.Call) and node.args and ast.unparse(node.func) in called:
            yield node.args[0]


def test_commands_end_with_codes_of_the_table_only() -> None:
    ends = list(literals("cli", {"typer.Exit", "sys.exit"}))
    assert len(ends) > 10
    assert {ast.unparse(end) for end in ends} <= {"FAILED", "MISUSED", "DECLINED"}


def test_service_answers_with_statuses_of_the_table_only() -> None:
    statuses = pytest.importorskip("postproc.service.errors", exc_type=ImportError).STATUSES
    numbers = [end for end in literals("service", {"ApiError"}) if isinstance(end, ast.Constant)]
    assert len(numbers) > 20
    assert {number.value for number in numbers} <= statuses.keys()
