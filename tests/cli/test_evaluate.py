"""``postproc evaluate`` on pages of digits, and on images whose content a test makes up."""

from __future__ import annotations

import html
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from postproc.cli.app import app
from postproc.installing import install
from tests.models import answering

PAGES = 20


def invoke(*arguments: str | Path, columns: int = 80) -> Result:
    return CliRunner().invoke(app, [str(item) for item in arguments], env={"COLUMNS": str(columns)})


def evaluate(folder: Path, *arguments: str | Path) -> Result:
    documents = [f"--{name}={folder / name}.json" for name in ("spec", "version", "truth")]
    return invoke("evaluate", *documents, folder / "model.onnx", *arguments)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    result = invoke("demo", "--dataset", folder, "--pages", PAGES)  # type: ignore[arg-type]
    assert result.exit_code == 0, result.output
    assert f"postproc evaluate --spec {folder}/spec.json" in result.stdout
    return folder


def test_evaluate_of_the_demo_finds_most_digits(digits: Path, tmp_path: Path) -> None:
    out, report = tmp_path / "new" / "eval.json", tmp_path / "new" / "report.html"
    preprocessing = digits / "preprocessing.json"
    result = evaluate(
        digits, digits / "pages", "--preprocessing", preprocessing, "--json", out, "--report", report
    )
    assert result.exit_code == 0, result.output
    document = json.loads(out.read_text())
    assert document["images"] == PAGES
    assert document["total"]["objects"] > 200
    assert document["total"]["recall"] > 0.9
    assert document["total"]["precision"] > 0.9
    assert document["coco"]["AP50"] > 0.95
    assert 0.7 < document["coco"]["AP"] < document["coco"]["AP50"]
    assert f"{document['coco']['AP']:.3f}" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "matched to labels by their ids" in result.stderr
    text = report.read_text(encoding="utf-8")
    assert text.count("<svg") == 21
    assert "data:image/jpeg;base64" in text
    assert "handwritten digits, detection: model.onnx on truth.json" in text


# --- a network that always answers the same

BOXES = np.array([[0.1, 0.2, 0.5, 0.6], [0.4, 0.4, 0.9, 0.9], [0.0, 0.0, 0.2, 0.2]], np.float32)
ANSWER = {
    "boxes": BOXES,
    "scores": np.array([0.9, 0.6, 0.01], np.float32),
    "classes": np.array([11, 12, 11], np.float32),
}
LABELS = [{"id": 11, "name": "cat"}, {"id": 12, "name": "dog"}]
DIRECT = {"boxes_tensor": "boxes", "scores_tensor": "scores", "classes_tensor": "classes"}
SIDE = 40


def write(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document))


def spec(roi: str, is_exclusive: bool = False) -> dict[str, Any]:
    return {"outputs": [{"labels": {"labels": LABELS, "exclusive": is_exclusive, "roi": roi}}]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make three images with a cat each; the dog that the network finds is never there."""
    write(tmp_path / "spec.json", spec("BBOX"))
    detection = {"detection": {"direct_output": DIRECT, "thresholds": [0.5, 0.7]}}
    write(tmp_path / "version.json", {"post_processings": [detection]})
    (tmp_path / "model.onnx").write_bytes(answering(ANSWER, ("N", 3, 8, 8)))
    (tmp_path / "images" / "deep").mkdir(parents=True)
    names = ["a.png", "b.png", "deep/c.png"]
    for name in names:
        Image.new("RGB", (SIDE, SIDE)).save(tmp_path / "images" / name)
    box = [4, 8, 16, 16]
    truth = {
        "images": [
            {"id": row, "file_name": name, "width": SIDE, "height": SIDE} for row, name in enumerate(names)
        ],
        "categories": LABELS,
        "annotations": [{"image_id": row, "category_id": 11, "bbox": box} for row in range(3)],
    }
    write(tmp_path / "truth.json", truth)
    return tmp_path


def numbers(result: Result, folder: Path) -> dict[str, Any]:
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    document: dict[str, Any] = json.loads((folder / "out.json").read_text())
    return document


def test_evaluate_of_a_folder_counts_all_images_of_the_ground_truth(folder: Path) -> None:
    result = evaluate(folder, folder / "images", "--json", folder / "out.json")
    assert result.exit_code == 0, result.output
    total = numbers(result, folder)["total"]
    assert (total["objects"], total["right"], total["wrong"]) == (3, 3, 0)
    (folder / "images" / "b.png").unlink()
    result = evaluate(folder, folder / "images", "--json", folder / "out.json")
    found = numbers(result, folder)
    assert (result.exit_code, found["images"], found["images_without_prediction"]) == (0, 3, 1)
    assert found["total"]["missed"] == 1
    assert "1 image without a prediction, so that all on them counts as missed: b.png" in result.stderr


def test_evaluate_takes_truth_of_yolo_whose_images_are_those_given(folder: Path) -> None:
    labels = folder / "yolo" / "labels"
    labels.mkdir(parents=True)
    (folder / "yolo" / "classes.txt").write_text("cat\ndog\n")
    for name in "abc":
        (labels / f"{name}.txt").write_text("0 0.3 0.4 0.4 0.4\n")
    found = []
    for truth in (["--truth", folder / "yolo"], ["--truth", folder / "yolo", "--truth-format", "yolo"], []):
        result = evaluate(folder, folder / "images", "--json", folder / "out.json", *truth)
        assert result.exit_code == 0, result.output
        found.append([numbers(result, folder)[key] for key in ("images", "total", "coco")])
    assert found[0] == found[1] == found[2]
    result = evaluate(folder, folder / "images", "--truth", folder / "yolo", "--truth-format", "voc")
    assert result.exit_code != 0
    assert "expected XML files, found none" in " ".join(result.output.split())


def test_evaluate_of_files_counts_only_these(folder: Path) -> None:
    Image.new("RGB", (SIDE, SIDE)).save(folder / "other.png")
    images = folder / "images"
    result = evaluate(
        folder,
        images / "b.png",
        images / "deep" / "c.png",
        folder / "other.png",
        "--json",
        folder / "out.json",
    )
    assert result.exit_code == 0, result.output
    found = numbers(result, folder)
    assert (found["images"], found["total"]["objects"], found["total"]["right"]) == (2, 2, 2)
    assert "left out, since the ground truth does not know them" in result.stderr
    assert "other.png" in result.stderr


def test_evaluate_of_an_unreadable_image_counts_it_as_missed_and_fails(folder: Path) -> None:
    (folder / "images" / "a.png").write_bytes(b"no image")
    result = evaluate(folder, folder / "images", "--json", folder / "out.json")
    assert result.exit_code == 1
    assert "a.png" in result.stderr
    assert numbers(result, folder)["total"]["missed"] == 1


def test_evaluate_measures_average_precision_below_the_thresholds(folder: Path) -> None:
    truth = json.loads((folder / "truth.json").read_text())
    truth["annotations"] = [{"image_id": 0, "category_id": 12, "bbox": [16, 16, 20, 20]}]
    write(folder / "truth.json", truth)
    found = numbers(evaluate(folder, folder / "images" / "a.png", "--json", folder / "out.json"), folder)
    dog = found["labels"][1]
    # It scores 0.6, below its threshold of 0.7; pycocotools' perfect precision is 1 of 1 and a little more.
    assert (dog["recall"], dog["AP"]) == (0, 1 / (1 + np.spacing(1)))


def test_evaluate_at_another_jaccard_index(folder: Path) -> None:
    truth = json.loads((folder / "truth.json").read_text())
    for annotation in truth["annotations"]:
        annotation["bbox"][3] = 10
    write(folder / "truth.json", truth)
    for iou, right in (("0.6", 3), ("0.7", 0)):
        result = evaluate(folder, folder / "images", "--iou", iou, "--json", folder / "out.json")
        assert numbers(result, folder)["total"]["right"] == right


def test_evaluate_of_a_folder_without_any_image_is_an_error(folder: Path) -> None:
    result = evaluate(folder, folder / "images" / "deep" / "..", folder / "images")
    assert result.exit_code == 1
    assert "give one folder of images, or files" in result.stderr
    (folder / "empty").mkdir()
    result = evaluate(folder, folder / "empty")
    assert result.exit_code == 1
    assert "holds none of the 3 images" in " ".join(result.stderr.split())


def test_evaluate_of_a_folder_with_two_files_for_an_image_is_an_error(folder: Path) -> None:
    images = folder / "images"
    found = sorted(path for path in images.rglob("*") if path.is_file())[0]
    for name in ("one", "two"):
        (images / name).mkdir()
        (images / name / found.name).write_bytes(found.read_bytes())
    assert evaluate(folder, images).exit_code == 0  # the one that lies where the ground truth says
    found.unlink()
    result = evaluate(folder, images)
    assert result.exit_code == 1
    said = " ".join(result.stderr.split())
    assert f"one/{found.name} and two/{found.name} may both be the image {found.name!r}" in said


def test_evaluate_of_unknown_categories_says_what_to_do(folder: Path) -> None:
    truth = json.loads((folder / "truth.json").read_text())
    truth["categories"].append({"id": 5, "name": "bird"})
    truth["annotations"].append({"image_id": 0, "category_id": 5, "bbox": [0, 0, 1, 1]})
    write(folder / "truth.json", truth)
    result = evaluate(folder, folder / "images")
    assert result.exit_code == 1
    assert "5 'bird'" in result.stderr
    assert "--skip-unknown" in result.stderr
    result = evaluate(folder, folder / "images", "--skip-unknown", "--json", folder / "out.json")
    assert numbers(result, folder)["total"]["objects"] == 3
    assert "objects of categories that are no labels of the spec, 5 'bird'\n" in result.stderr


@pytest.mark.parametrize("is_exclusive", [True, False])
def test_evaluate_of_a_classifier_takes_csv(folder: Path, is_exclusive: bool) -> None:
    write(folder / "spec.json", spec("NONE", is_exclusive))
    task = {"classification": {"output_tensor": "scores", "thresholds": [0.5, 0.3]}}
    write(folder / "version.json", {"post_processings": [task]})
    scores = {"scores": np.array([0.2, 0.8], np.float32)}
    (folder / "model.onnx").write_bytes(answering(scores, ("N", 3, 8, 8)))
    truth = folder / "truth.csv"
    truth.write_text("file,label\na.png,dog\nb.png,cat\ndeep/c.png,dog\n")
    documents = (f"--spec={folder}/spec.json", f"--version={folder}/version.json", f"--truth={truth}")
    report = folder / "report.html"
    result = invoke(
        "evaluate", *documents, folder / "model.onnx", folder / "images", "--json", folder / "out.json",
        "--report", report,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    found = numbers(result, folder)
    assert found["top1"] == (pytest.approx(2 / 3) if is_exclusive else None)
    assert found["labels"][1]["precision"] == pytest.approx(2 / 3)
    assert found["labels"][0]["recall"] == 0
    assert ("top1" in result.stdout) == is_exclusive
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "its score is 0.200, the threshold 0.5" in report.read_text()


def test_evaluate_without_the_extra_names_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    result = evaluate(folder, folder / "images", "--report", folder / "missing.html")
    assert result.exit_code == 2
    assert install("eval") in result.stderr


def test_evaluate_of_saved_tensors_gives_the_numbers_of_the_network(digits: Path, tmp_path: Path) -> None:
    preprocessing = ("--preprocessing", digits / "preprocessing.json")
    documents = [f"--{name}={digits / name}.json" for name in ("spec", "version")]
    arguments = (digits / "model.onnx", digits / "pages", *preprocessing)
    assert invoke("dump", *documents, *arguments, "--output", tmp_path / "tensors").exit_code == 0
    written = ("--json", tmp_path / "a.json", "--report", tmp_path / "a.html")
    assert evaluate(digits, digits / "pages", *preprocessing, *written).exit_code == 0
    documents.append(f"--truth={digits / 'truth.json'}")
    saved = ("evaluate", *documents, "--tensors", tmp_path / "tensors")
    result = invoke(*saved, "--json", tmp_path / "b.json", "--report", tmp_path / "b.html")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "a.json").read_text() == (tmp_path / "b.json").read_text()
    assert "--pictures DIR says where the images are" in result.stderr
    assert pictures(tmp_path / "b.html") == []
    result = invoke(*saved, "--report", tmp_path / "c.html", "--pictures", digits / "pages")
    assert result.exit_code == 0, result.output
    assert "--pictures" not in result.stderr
    assert pictures(tmp_path / "c.html") == pictures(tmp_path / "a.html")
    assert len(pictures(tmp_path / "c.html")) > 2


def pictures(report: Path) -> list[str]:
    return re.findall('src="(data:image/jpeg;base64,[^"]*)"', report.read_text(encoding="utf-8"))


def dumped(folder: Path) -> tuple[str | Path, ...]:
    """Save the tensors of the three images; gives what measures on them."""
    documents = [f"--{name}={folder / name}.json" for name in ("spec", "version")]
    result = invoke(
        "dump", *documents, folder / "model.onnx", folder / "images", "--output", folder / "saved"
    )
    assert result.exit_code == 0, result.output
    return ("evaluate", *documents, "--tensors", folder / "saved", "--report", folder / "report.html")


def test_evaluate_leaves_the_places_of_pictures_that_are_missing_or_broken(folder: Path) -> None:
    truth = json.loads((folder / "truth.json").read_text())
    for annotation in truth["annotations"]:
        annotation["bbox"] = [30, 30, 5, 5]  # where no cat is found
    write(folder / "truth.json", truth)
    saved = (*dumped(folder), f"--truth={folder / 'truth.json'}")
    (folder / "images" / "a.png").unlink()
    (folder / "images" / "b.png").write_bytes(b"no image")
    result = invoke(*saved, "--pictures", folder / "images")
    assert result.exit_code == 0, result.output
    assert len(pictures(folder / "report.html")) == 2  # a wrong cat and a missed one, on c.png
    report = html.unescape((folder / "report.html").read_text(encoding="utf-8"))
    assert report.count(f"No picture: not found in {folder / 'images'}<") == 2
    assert report.count("b.png': not an image") == 2


def test_evaluate_of_a_classifier_from_saved_tensors_shows_its_pictures(folder: Path) -> None:
    write(folder / "spec.json", spec("NONE"))
    task = {"classification": {"output_tensor": "scores", "thresholds": [0.5, 0.3]}}
    write(folder / "version.json", {"post_processings": [task]})
    scores = {"scores": np.array([0.2, 0.8], np.float32)}
    (folder / "model.onnx").write_bytes(answering(scores, ("N", 3, 8, 8)))
    truth = folder / "truth.csv"
    truth.write_text("file,label\na.png,dog\nb.png,cat\nc.png,dog\n")
    result = invoke(*dumped(folder), f"--truth={truth}", "--pictures", folder / "images")
    assert result.exit_code == 0, result.output
    assert len(pictures(folder / "report.html")) == 2  # the cat that is missed, and the dog that is not there
    assert "No picture" not in (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("model.onnx", "images", "--report", "r.html", "--pictures", "images"), "goes with --tensors"),
        (("--tensors", "t", "--report", "r.html", "--pictures", "empty"), "holds none of the 3 images"),
        (("--tensors", "t", "--report", "r.html", "--pictures", "images/a.png"), "is a file"),
        (("--tensors", "t", "--report", "r.html", "--pictures", "nowhere"), "does not exist"),
    ],
    ids=["no-tensors", "no-images", "a-file", "nowhere"],
)
def test_evaluate_refuses_pictures_that_are_of_no_use_before_the_work(
    folder: Path, arguments: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "empty").mkdir()
    monkeypatch.chdir(folder)
    documents = [f"--{name}={name}.json" for name in ("spec", "version", "truth")]
    result = invoke("evaluate", *documents, *arguments, columns=200)
    assert result.exit_code == (1 if "empty" in arguments else 2)
    assert message in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("model.onnx", "--tensors", "t"), "runs no network"),
        (("--ray", "local"), "give a network and images, or --tensors"),
        (("--tensors", "t", "--ray", "local", "--ray-gpus", "1"), "is for a network that --ray runs"),
        (("--detections", "truth.json", "--ray", "local"), "has nothing to do: detections are there"),
        ((), "give a network and images, or --tensors"),
        (("model.onnx",), "give a network and images, or --tensors"),
    ],
    ids=["both", "ray-alone", "gpus-without-network", "ray-of-detections", "nothing", "no-images"],
)
def test_evaluate_asks_for_a_network_or_tensors(
    digits: Path, arguments: tuple[str, ...], message: str
) -> None:
    documents = [f"--{name}={digits / name}.json" for name in ("spec", "version", "truth")]
    given = [digits / item if (digits / item).is_file() else item for item in arguments]
    result = invoke("evaluate", *documents, *given, columns=200)
    assert result.exit_code == 2
    assert message in result.stderr


def crowd(folder: Path, columns: int, rows: int) -> None:
    """Make a grid of cats, each of which the network finds, on each of the three images."""
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(columns), np.arange(rows)))
    corners = np.stack([x / columns, y / rows, (x + 0.75) / columns, (y + 0.75) / rows], axis=1)
    found = {
        "boxes": corners.astype(np.float32),
        "scores": np.linspace(0.95, 0.55, columns * rows, dtype=np.float32),
        "classes": np.full(columns * rows, 11, np.float32),
    }
    (folder / "model.onnx").write_bytes(answering(found, ("N", 3, 8, 8)))
    truth = json.loads((folder / "truth.json").read_text())
    for image in truth["images"]:
        image["width"] = 80  # other than those of the files: boxes are in pixels of what is said here
        image["height"] = 80
    sides = (corners[:, 2:] - corners[:, :2]) * 80
    boxes = np.hstack([corners[:, :2] * 80, sides]).tolist()
    truth["annotations"] = [
        {"image_id": row, "category_id": 11, "bbox": box} for row in range(3) for box in boxes
    ]
    write(folder / "truth.json", truth)


def test_evaluate_of_crowded_images_says_what_the_limit_cuts_and_takes_another(folder: Path) -> None:
    crowd(folder, columns=20, rows=20)
    saved = (*dumped(folder), f"--truth={folder / 'truth.json'}", "--json", folder / "out.json")
    for options, recall, name in (((), 0.25, "AR100"), (("--max-detections", "400"), 1, "AR400")):
        result = invoke(*saved, *options)
        assert result.exit_code == 0, result.output
        from_tensors = numbers(result, folder)
        result = evaluate(folder, folder / "images", *options, "--json", folder / "out.json")
        assert result.exit_code == 0, result.output
        assert numbers(result, folder) == from_tensors
        assert from_tensors["coco"][name] == pytest.approx(recall)
        assert from_tensors["coco"]["AP"] == pytest.approx(recall, abs=0.01)
        total = from_tensors["total"]
        assert (total["right"], total["wrong"], total["missed"]) == (1200, 0, 0)
        said = "up to 400 of 'cat' in a.png, so that AP and AR cannot reach 1; --max-detections 400 would"
        report = html.unescape((folder / "report.html").read_text(encoding="utf-8"))
        for text in (result.stdout, report):
            is_said = said in " ".join(text.split())
            assert (
                is_said == ("900 of the version's own detections" in " ".join(text.split())) == (not options)
            )
        assert f"of at most {name[2:]}\ndetections an image and label" in report
        assert f"<span>box {name}</span>" in report
        assert max(map(len, result.stdout.splitlines())) <= 80


def pose(folder: Path) -> None:
    """Make a network that finds two points of each cat, and write where they are."""
    table = np.zeros((1, 4 + 2 + 6, 3), np.float32)
    table[0, :, 0] = [12, 16, 16, 16, 0.9, 0.1, 10, 12, 0.8, 14, 18, 0.8]
    (folder / "model.onnx").write_bytes(answering({"table": table[0]}, ("N", 3, SIDE, SIDE)))
    pose = {"yolov8_pose_output": {"output_tensor": "table", "keypoints": 2}, "input_size": [SIDE, SIDE]}
    write(folder / "version.json", {"post_processings": [{"detection": {**pose, "thresholds": [0.5, 0.7]}}]})
    truth = json.loads((folder / "truth.json").read_text())
    for annotation in truth["annotations"]:
        annotation["keypoints"] = [10, 12, 2, 14, 18, 2]
    write(folder / "truth.json", truth)


def test_evaluate_of_a_pose_network_is_headed_by_its_keypoints(folder: Path) -> None:
    pose(folder)
    report = folder / "report.html"
    write(folder / "sigmas.json", [0.1, 0.1])
    for sigmas in ("0.1,0.1", str(folder / "sigmas.json")):
        options = ("--sigmas", sigmas, "--json", folder / "out.json", "--report", report)
        result = evaluate(folder, folder / "images", *options)
        assert result.exit_code == 0, result.output
        found = numbers(result, folder)
        assert (found["measured"], found["version_yields"]) == ("keypoints", "keypoints")
        assert list(found["metrics"]) == ["keypoints", "boxes"]
        assert found["metrics"]["keypoints"] == found["coco"]
        assert (found["total"]["right"], found["coco"]["AP75"]) == (3, pytest.approx(1))
        assert "COCO's keypoint AP and AR, 20 an image and label" in result.stdout
        assert "COCO's box AP and AR" in result.stdout
        for text in (" ".join(result.stdout.split()), html.unescape(report.read_text(encoding="utf-8"))):
            assert text.count("keypoint AP") > 1
            assert text.count("Keypoints are compared by the sigmas of COCO's people") == 0


def test_evaluate_of_a_pose_network_names_its_boxes_as_what_is_measured(folder: Path) -> None:
    pose(folder)
    result = evaluate(folder, folder / "images")
    assert result.exit_code == 1
    text = " ".join(result.output.split())
    assert "there are 2 keypoints, and COCO's sigmas are of the 17 of a person. Give 2 numbers (" in text
    assert "ultralytics takes 1 / 2 = 0.5 for all" in text
    report = folder / "report.html"
    result = evaluate(
        folder, folder / "images", "--measure", "boxes", "--json", folder / "out.json", "--report", report
    )
    assert result.exit_code == 0, result.output
    found = numbers(result, folder)
    assert (found["total"]["right"], found["measured"], found["version_yields"]) == (3, "boxes", "keypoints")
    assert "COCO's box AP and AR" in result.stdout
    for text in (" ".join(result.stdout.split()), html.unescape(report.read_text(encoding="utf-8"))):
        assert text.count("box AP") > 1
        said = "The version finds keypoints, and those of the ground truth need sigmas: boxes are measured"
        assert text.count(said) == 1


def test_evaluate_finds_files_whose_names_are_in_another_unicode_normalisation(folder: Path) -> None:
    truth = json.loads((folder / "truth.json").read_text())
    truth["images"][0]["file_name"] = "caf\u00e9.png"
    write(folder / "truth.json", truth)
    (folder / "images" / "a.png").rename(folder / "images" / "cafe\u0301.png")
    result = evaluate(folder, folder / "images", "--json", folder / "out.json")
    assert result.exit_code == 0, result.output
    assert numbers(result, folder)["total"]["right"] == 3
