"""A data set of demo pages, with all that it takes to measure a demo network on them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from PIL import Image

from postproc.demo import model_path, preprocessing_path, spec_path, version_path
from postproc.demo.pages import PAGE_HEIGHT, PAGE_WIDTH, make_page


def write_dataset(
    folder: str | os.PathLike[str], pages: int, *, model: str = "yolo", first_page: int = 0
) -> Path:
    """Write pages of digits as pictures, and their ground truth as COCO JSON.

    The folder then holds ``pages/``, ``truth.json``, and copies of the network and its documents:
    ``model.onnx``, ``spec.json``, ``version.json`` and ``preprocessing.json``.

    Parameters
    ----------
    folder : path
        Made if it is not there; files of these names in it are replaced.
    pages : int
        How many, at least one.
    model : {"yolo", "anchored", "direct"}
        Which demo network.
    first_page : int
        Seed of the first page: pages 0 to 9 and 10 to 19 are data sets that share no page.

    Returns
    -------
    Path
        The ground truth.

    Raises
    ------
    PostprocError
        If there is no such network.
    """
    target = Path(folder)
    sources = {
        "model.onnx": model_path(model),
        "spec.json": spec_path(model),
        "version.json": version_path(model),
        "preprocessing.json": preprocessing_path(model),
    }
    (target / "pages").mkdir(parents=True, exist_ok=True)
    for name, source in sources.items():
        shutil.copyfile(source, target / name)
    labels = json.loads(spec_path(model).read_text())["outputs"][0]["labels"]["labels"]
    ids = {label["name"]: label["id"] for label in labels}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for seed in range(first_page, first_page + pages):
        page = make_page(seed)
        name = f"page-{seed:05d}.png"
        Image.fromarray(page.image).save(target / "pages" / name)
        images.append({"id": seed + 1, "file_name": name, "width": PAGE_WIDTH, "height": PAGE_HEIGHT})
        for digit, (left, top, right, bottom) in zip(page.labels.tolist(), page.boxes.tolist(), strict=True):
            annotation = {
                "id": len(annotations) + 1,
                "image_id": seed + 1,
                "category_id": ids[str(digit)],
                "bbox": [left, top, right - left, bottom - top],
                "area": (right - left) * (bottom - top),
                "iscrowd": 0,
            }
            annotations.append(annotation)
    truth = target / "truth.json"
    categories = [{"id": label["id"], "name": label["name"]} for label in labels]
    truth.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return truth
