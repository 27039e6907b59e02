"""``postproc run``: what it prints, where, and with which exit code."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from PIL import Image

from postproc import PostProcessor
from postproc.images.loading import EncodedImage, Picture
from postproc.onnx_runner import image_network
from postproc.onnx_runner.image_network import open_network
from tests.cli.commands import ANSWER, DIRECT, IMAGE_SIZES, SPEC, VERSION, invoke, lines, run, save, write
from tests.models import answering, network, passthrough, torchvision_detector


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_run_writes_a_line_of_json_an_image_in_order(batch_size: int, folder: Path) -> None:
    result = run("--batch-size", str(batch_size), "model.onnx", *IMAGE_SIZES)
    assert (result.exit_code, result.stderr) == (0, "")
    found = lines(result)
    assert [line["location"] for line in found] == list(IMAGE_SIZES)
    labels = {"predicted": found[0]["outputs"][0]["labels"]["predicted"], "discarded": []}
    assert all(line["outputs"] == [{"labels": labels}] for line in found)
    (cat,) = labels["predicted"]
    assert (cat["label_id"], cat["label_name"], cat["threshold"]) == (11, "cat", 0.5)
    assert cat["score"] == pytest.approx(0.9)
    assert cat["roi"]["bbox"]["xmax"] == pytest.approx(0.5)


def test_run_reduced_jpeg_gives_boxes_of_the_whole_image(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (301, 199), "red").save("7.jpg")
    Image.new("RGB", (301, 199), "red").save("8.png")
    sizes = []
    decode = EncodedImage.decode

    def watched(image: EncodedImage, reduction: int = 1) -> Picture:
        picture = decode(image, reduction)
        sizes.append(picture.image.size)
        return picture

    monkeypatch.setattr(EncodedImage, "decode", watched)
    files = "7.jpg", "8.png"
    plain = run("model.onnx", *files, "--format", "coco", "--output", "plain.json")
    reduced = run("model.onnx", *files, "--format", "coco", "--output", "reduced.json", "--reduced-jpeg")
    assert plain.exit_code == reduced.exit_code == 0, reduced.output
    found = json.loads(Path("reduced.json").read_text())
    assert found == json.loads(Path("plain.json").read_text())
    assert max(item["bbox"][0] + item["bbox"][2] for item in found) == pytest.approx(0.5 * 301, abs=0.01)
    assert [sorted(sizes[:2]), sorted(sizes[2:])] == [[(301, 199), (301, 199)], [(38, 25), (301, 199)]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["model.onnx", "a.png", "--draw", "drawn"], "leave --reduced-jpeg out"),
        (["--tensors", "a.npz"], "--reduced-jpeg has no use"),
    ],
    ids=["draw", "tensors"],
)
def test_run_reduced_jpeg_where_it_has_no_use_is_a_usage_error(
    options: list[str], message: str, folder: Path
) -> None:
    save("a.npz", {"boxes": np.zeros((1, 1, 4), np.float32)})
    result = run(*options, "--reduced-jpeg")
    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.parametrize("given", [None, 1, 3])
def test_intra_op_threads_reach_the_session(given: int | None, folder: Path) -> None:
    post = PostProcessor(SPEC, VERSION)
    runner, _ = open_network(Path("model.onnx"), post, None, given)
    session: Any = runner.session
    assert session.get_session_options().intra_op_num_threads == (given or 0)


@pytest.mark.parametrize(
    "command", [["run"], ["dump", "--output", "saved"]], ids=lambda arguments: arguments[0]
)
def test_commands_take_intra_op_threads(
    command: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int | None] = []
    monkeypatch.setattr(image_network, "options_for", lambda threads: asked.append(threads))
    files = ["--spec", "spec.json", "--version", "version.json", "model.onnx", "a.png"]
    result = invoke(*command, "--intra-op-threads", "2", *files)
    assert result.exit_code == 0, result.output
    assert asked == [2]


def test_run_with_show_discarded_and_max_predictions_passes_them_on(folder: Path) -> None:
    (line,) = lines(run("--show-discarded", "model.onnx", "a.png"))
    assert [row["label_name"] for row in line["outputs"][0]["labels"]["discarded"]] == ["dog"]
    (line,) = lines(run("--show-discarded", "--max-predictions", "1", "model.onnx", "a.png"))
    assert line["outputs"][0]["labels"]["discarded"] == []


@pytest.mark.parametrize("batch_size", ["1", "2"])
def test_run_says_at_the_end_how_many_images_were_cut(batch_size: str, folder: Path) -> None:
    write(
        "version.json",
        {"post_processings": [{"detection": {"direct_output": DIRECT, "thresholds": [0.5, 0.5]}}]},
    )
    arguments = ["--batch-size", batch_size, "model.onnx", *IMAGE_SIZES]
    result = run("--max-predictions", "1", *arguments)
    assert (result.exit_code, len(lines(result))) == (0, 3)
    assert result.stderr == (
        "3 of 3 images have more results than --max-predictions 1: a higher one gives them\n"
    )
    assert run("--max-predictions", "2", *arguments).stderr == ""


def test_run_tensors_says_how_many_images_were_cut(folder: Path) -> None:
    tensors = {name: np.stack([value] * 3) for name, value in ANSWER.items()}
    tensors["scores"][1:, 2] = 0.8
    save("t.npz", tensors)
    assert run("--tensors", "t.npz", "--max-predictions", "1").stderr.startswith(
        "2 of 3 images have more results"
    )
    with_discarded = run("--tensors", "t.npz", "--max-predictions", "1", "--show-discarded")
    assert with_discarded.stderr.startswith("3 of 3 images")
    assert run("--tensors", "t.npz").stderr == ""


def test_run_reports_unreadable_images_and_goes_on(folder: Path) -> None:
    Path("broken.png").write_bytes(b"not an image")
    Path("folder").mkdir()
    result = run("model.onnx", "a.png", "broken.png", "none.png", "folder", "c.png")
    assert result.exit_code == 1
    assert [line["location"] for line in lines(result)] == ["a.png", "c.png"]
    errors = result.stderr.splitlines()
    assert len(errors) == 3
    assert errors[0].startswith("error: image 'broken.png': not an image")
    assert errors[1].startswith("error: image 'none.png': No such file")
    assert errors[2].startswith("error: image 'folder': ")


def test_run_with_no_readable_image_exits_1(folder: Path) -> None:
    result = run("model.onnx", "none.png")
    assert (result.exit_code, result.stdout) == (1, "")


def test_run_with_preprocessing_maps_boxes_back_to_the_image(folder: Path) -> None:
    # The 40 x 30 image lies in rows 1 to 6 of the 8 x 8 input, so y = 0.2 of the input is 0.1 of the image.
    image = {"resize_type": "FILL", "target_size": "8x8"}
    write("preprocessing.json", {"inputs": [{"tensor_name": "data", "image": image}]})
    result = run("--preprocessing", "preprocessing.json", "model.onnx", "a.png")
    (line,) = lines(result)
    box = line["outputs"][0]["labels"]["predicted"][0]["roi"]["bbox"]
    assert [box[side] for side in ("xmin", "ymin", "xmax", "ymax")] == pytest.approx(
        [0.1, (0.2 * 8 - 1) / 6, 0.5, (0.6 * 8 - 1) / 6], abs=1e-6
    )


def test_run_feeds_what_the_preprocessing_makes(folder: Path) -> None:
    # A network whose scores are the image's own pixels, so that they show what it was fed.
    Path("model.onnx").write_bytes(passthrough({"data": ("N", 3, 1, 1)}, {"scores": "data"}))
    labels = [{"id": row, "name": name} for row, name in enumerate(("red", "green", "blue"))]
    write("spec.json", {"outputs": [{"labels": {"labels": labels, "exclusive": False, "roi": "NONE"}}]})
    classification = {"output_tensor": "scores", "thresholds": [0, 0, 0]}
    write("version.json", {"post_processings": [{"classification": classification}]})
    Image.new("RGB", (4, 4), (51, 102, 204)).save("plain.png")
    (line,) = lines(run("model.onnx", "plain.png"))
    scores = {row["label_name"]: row["score"] for row in line["outputs"][0]["labels"]["predicted"]}
    assert scores == pytest.approx({"red": 0.2, "green": 0.4, "blue": 0.8})


def test_run_feeds_constants_as_the_integers_that_an_input_takes(folder: Path) -> None:
    # As RT-DETR's orig_target_sizes: int64, where a preprocessing holds float32.
    nodes = [
        helper.make_node("Cast", ["sizes"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["numbers", "ten"], ["scores"]),
    ]
    inputs: dict[str, Any] = {"data": (np.float32, ("N", 3, 4, 8)), "sizes": (np.int64, ("N", 2))}
    outputs: dict[str, Any] = {"scores": (np.float32, ("N", 2))}
    Path("model.onnx").write_bytes(network(nodes, inputs, outputs, {"ten": np.array(10, np.float32)}))
    labels = [{"id": row, "name": name} for row, name in enumerate(("width", "height"))]
    write("spec.json", {"outputs": [{"labels": {"labels": labels, "exclusive": False, "roi": "NONE"}}]})
    classification = {"output_tensor": "scores", "thresholds": [0, 0]}
    write("version.json", {"post_processings": [{"classification": classification}]})
    sizes = {"tensor_name": "sizes", "constant": {"shape": [2], "data": ["data.2", "data.1"]}}
    image = {"tensor_name": "data", "image": {"target_size": "8x4"}}
    write("preprocessing.json", {"inputs": [image, sizes]})
    (line,) = lines(run("--preprocessing", "preprocessing.json", "model.onnx", "a.png"))
    scores = {row["label_name"]: row["score"] for row in line["outputs"][0]["labels"]["predicted"]}
    assert scores == pytest.approx({"width": 0.8, "height": 0.4})


def test_run_of_a_network_without_a_batch_axis_takes_one_image_at_a_time(folder: Path) -> None:
    # Boxes, scores and classes of one image, whatever the length of the batch that goes in.
    nodes = [helper.make_node("Identity", [f"{name}_answer"], [name]) for name in ANSWER]
    outputs = {name: (answer.dtype, answer.shape) for name, answer in ANSWER.items()}
    constants = {f"{name}_answer": answer for name, answer in ANSWER.items()}
    Path("model.onnx").write_bytes(network(nodes, {"data": (np.float32, ["N", 3, 8, 8])}, outputs, constants))
    image = {"resize_type": "SQUASH", "target_size": "8x8"}
    document = {"inputs": [{"tensor_name": "data", "image": image}]}
    write("preprocessing.json", {**document, "batched_output": False})
    result = run("--preprocessing", "preprocessing.json", "model.onnx", *IMAGE_SIZES)
    assert (result.exit_code, len(lines(result))) == (0, 3)
    write("preprocessing.json", document)  # a batch of 3, of which one comes out
    assert run("--preprocessing", "preprocessing.json", "model.onnx", *IMAGE_SIZES).exit_code == 1


@pytest.mark.parametrize("document", [True, False], ids=["document", "default"])
def test_run_of_a_network_whose_input_has_no_batch_axis(document: bool, folder: Path) -> None:
    detector = torchvision_detector(
        np.array([[0, 0, 4, 8], [0, 0, 2, 8], [2, 0, 8, 8]], np.float32),
        np.array([11, 12, 11]),
        np.array([0.9, 0.8, 0.7], np.float32),
        (3, 8, 8),
    )
    Path("model.onnx").write_bytes(detector)
    direct = {"boxes_tensor": "boxes", "scores_tensor": "scores", "classes_tensor": "labels"}
    detection = {"direct_output": direct, "thresholds": 0.5, "nms_threshold": 1, "input_size": [8, 8]}
    write("version.json", {"post_processings": [{"detection": detection}]})
    image = {"resize_type": "FILL", "pad_align": "top_left", "pad_value": 0, "target_size": "8x8"}
    image["pixel_scaling"] = 3  # so that white gives 3 boxes, and black none
    write(
        "preprocessing.json",
        {"inputs": [{"tensor_name": "image", "image": image}], "batched_input": False},
    )
    Image.new("RGB", (20, 40), "white").save("white.png")
    Image.new("RGB", (30, 30), "black").save("black.png")
    arguments = ["--preprocessing", "preprocessing.json"] if document else []
    paths = ["white.png", "black.png", "white.png"]
    result = run(*arguments, "--draw", "drawn", "model.onnx", *paths)
    assert result.exit_code == 0, result.stderr
    found = [line["outputs"][0]["labels"]["predicted"] for line in lines(result)]
    # The default scales white to 1, which gives one box.
    assert [len(rows) for rows in found] == ([3, 0, 3] if document else [1, 0, 1])
    box = found[0][0]["roi"]["bbox"]
    assert box == {"xmin": 0, "ymin": 0, "xmax": 1 if document else 0.5, "ymax": 1}
    assert len(list(Path("drawn").iterdir())) == 3


def test_run_says_where_batched_input_is_missing_or_wrong(folder: Path) -> None:
    detector = torchvision_detector(ANSWER["boxes"], np.array([11, 12, 11]), ANSWER["scores"], (3, 8, 8))
    direct = {"boxes_tensor": "boxes", "scores_tensor": "scores", "classes_tensor": "labels"}
    image = {"image": {"target_size": "8x8"}}
    write("version.json", {"post_processings": [{"detection": {"direct_output": direct}}]})
    Path("model.onnx").write_bytes(detector)
    write("preprocessing.json", {"inputs": [{"tensor_name": "image", **image}]})
    result = run("--preprocessing", "preprocessing.json", "model.onnx", "a.png")
    assert result.exit_code == 1
    assert 'say so: "batched_input": false in the preprocessing' in result.stderr
    write("version.json", VERSION)
    Path("model.onnx").write_bytes(answering(ANSWER, ("N", 3, 8, 8)))
    write("preprocessing.json", {"inputs": [{"tensor_name": "data", **image}], "batched_input": False})
    result = run("--preprocessing", "preprocessing.json", "model.onnx", "a.png")
    assert result.exit_code == 1
    assert "leave batched_input out" in result.stderr


def test_run_of_a_network_with_two_inputs_asks_for_preprocessing(folder: Path) -> None:
    shapes = {"data": ("N", 3, 8, 8), "boxes_in": ("N", 3, 4), "scores_in": ("N", 3)}
    outputs = {"boxes": "boxes_in", "scores": "scores_in", "classes": "scores_in"}
    Path("model.onnx").write_bytes(passthrough(shapes, outputs))
    result = run("model.onnx", "a.png")
    assert result.exit_code == 1
    assert "'data', 'boxes_in', 'scores_in'; say how images become them with --preprocessing" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param([], "give a network and images, or --tensors", id="nothing"),
        pytest.param(["model.onnx"], "give at least one image after the network", id="no image"),
        pytest.param(["none.onnx", "a.png"], "'none.onnx' does not exist", id="no network"),
        pytest.param(["--tensors", "t.npz", "model.onnx"], "so MODEL.onnx has no use", id="both"),
        pytest.param(["--tensors", "t.npz", "--draw", "d"], "so --draw has no use", id="nothing to draw on"),
        pytest.param(
            ["--batch-size", "0", "model.onnx", "a.png"], "Invalid value for '--batch-size'", id="batch of 0"
        ),
    ],
)
def test_run_with_arguments_that_do_not_go_together_is_a_usage_error(
    arguments: list[str], message: str, folder: Path
) -> None:
    save("t.npz", ANSWER)
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_run_with_an_invalid_document_names_its_file(folder: Path) -> None:
    write("version.json", {"post_processings": [{}]})
    result = run("model.onnx", "a.png")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: version.json: post_processings[0]: expected exactly one of")


def test_run_with_a_network_that_lacks_a_tensor_exits_1(folder: Path) -> None:
    Path("model.onnx").write_bytes(answering({"boxes": ANSWER["boxes"]}, ("N", 3, 8, 8)))
    result = run("model.onnx", "a.png")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: the post-processing needs the tensor 'scores'")


# --- run --draw


def test_run_draw_writes_each_image_and_overwrites_none(folder: Path) -> None:
    Path("other").mkdir()
    Image.new("RGB", (10, 10), "white").save("other/a.png")
    Image.new("RGB", (10, 10), "white").save("odd.gif")
    before = Path("a.png").read_bytes()
    result = run("--draw", "drawn", "model.onnx", "a.png", "other/a.png", "b.jpg", "odd.gif")
    assert result.exit_code == 0
    assert sorted(path.name for path in Path("drawn").iterdir()) == ["a-2.png", "a.png", "b.jpg", "odd.png"]
    assert result.stderr == "4 of 4 images drawn into drawn\n"
    # Boxes in the second label's colour are only there where discarded ones are shown.
    assert len(Image.open("drawn/a.png").getcolors(100_000) or []) > 1
    assert Path("a.png").read_bytes() == before


def test_run_draw_into_the_folder_of_the_images_leaves_them_alone(folder: Path) -> None:
    before = {name: Path(name).read_bytes() for name in IMAGE_SIZES}
    assert run("--draw", ".", "model.onnx", *IMAGE_SIZES).exit_code == 0
    assert {name: Path(name).read_bytes() for name in IMAGE_SIZES} == before
    assert Path("a-2.png").exists()


def test_run_draw_again_replaces_what_it_drew(folder: Path) -> None:
    for _ in range(2):
        run("--draw", "drawn", "model.onnx", "a.png")
    assert [path.name for path in Path("drawn").iterdir()] == ["a.png"]


# --- run --tensors


def test_run_tensors_of_integers_are_what_the_version_says(folder: Path) -> None:
    quantization = {"boxes": {"scale": 0.005, "zero_point": -100}, "scores": {"scale": 1 / 255}}
    version = copy.deepcopy(VERSION)
    version["post_processings"][0]["detection"]["direct_output"]["quantization"] = quantization
    write("version.json", version)
    boxes = np.round(ANSWER["boxes"] * 200 - 100).astype(np.int8)
    scores = np.round(ANSWER["scores"] * 255).astype(np.uint8)
    save("t.npz", {"boxes": boxes[None], "scores": scores[None], "classes": ANSWER["classes"][None]})
    (found,) = lines(run("--tensors", "t.npz"))
    floats = {
        "boxes": (boxes.astype(np.float32) + 100) * np.float32(0.005),
        "scores": scores * np.float32(1 / 255),
        "classes": ANSWER["classes"],
    }
    (expected,) = PostProcessor(SPEC, VERSION)(floats).to_dicts()
    assert found == {"location": "t.npz#0", **expected}
    assert invoke("validate", "version.json", "--spec", "spec.json").exit_code == 0
    quantization["classes"] = {"scale": 1}
    write("version.json", version)
    result = run("--tensors", "t.npz")
    assert result.exit_code != 0
    assert "direct_output.quantization.classes: classes_tensor holds integers" in " ".join(
        result.stderr.split()
    )


def test_run_tensors_post_processes_each_image_of_the_file(folder: Path) -> None:
    tensors = {name: np.stack([value, value * np.float32(0.8)]) for name, value in ANSWER.items()}
    tensors["classes"] = np.stack([ANSWER["classes"]] * 2)
    save("t.npz", {"unused": np.zeros(3), **tensors})
    result = run("--tensors", "t.npz")
    expected = PostProcessor(SPEC, VERSION)(tensors).to_dicts()
    assert lines(result) == [{"location": f"t.npz#{row}", **expected[row]} for row in range(2)]
    assert expected[0] != expected[1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"no archive", "t.npz: expected an .npz file of arrays", id="no archive"),
        pytest.param(np.zeros(3), "found: a single array", id="npy"),
        pytest.param({"boxes": np.array([{}])}, "allow_pickle", id="objects"),
        pytest.param(
            {"boxes": ANSWER["boxes"][None]}, "'scores' is missing; the tensors given are 'boxes'", id="few"
        ),
    ],
)
def test_run_tensors_of_a_file_that_does_not_fit_exits_1(content: Any, message: str, folder: Path) -> None:
    if isinstance(content, bytes):
        Path("t.npz").write_bytes(content)
    elif isinstance(content, dict):
        save("t.npz", content)
    else:
        with open("t.npz", "wb") as file:
            np.save(file, content)
    result = run("--tensors", "t.npz")
    assert (result.exit_code, result.stdout) == (1, "")
    assert message in result.stderr
