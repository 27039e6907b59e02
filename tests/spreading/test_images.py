"""Where predictions come from: saved tensors, and images that a network runs on."""

from __future__ import annotations

import threading
from pathlib import Path

from PIL import Image

from postproc import ImageError
from postproc.images import Preprocessor
from postproc.images.batches import ImagePlace, consecutive
from postproc.onnx_runner import OnnxRunner
from postproc.spreading.images import Recognise, map_images
from tests.models import passthrough
from tests.saved_tensors.test_predictions import POST, documents, tensors_of


def test_images_give_what_the_runner_gives_in_batches(tmp_path: Path) -> None:
    model = passthrough({"data": ("N", 3, 64, 64), "raw": ("N", 6, 40)}, {"out": "raw"})
    raw = tensors_of(1)[0]
    preprocessor = Preprocessor(
        {
            "inputs": [
                {"tensor_name": "data", "image": {"resize_type": "FILL", "target_size": "64x64"}},
                {
                    "tensor_name": "raw",
                    "constant": {"shape": list(raw.shape[1:]), "data": raw.ravel().tolist()},
                },
            ],
            "batched_output": True,
        }
    )
    runner = OnnxRunner(model, POST)
    paths = [tmp_path / f"{row}.png" for row in range(5)]
    for row, path in enumerate(paths):
        Image.new("RGB", (40 + row, 30)).save(path)
    broken = tmp_path / "broken.png"
    broken.write_text("")
    failures: list[tuple[ImagePlace, ImageError]] = []
    threads = set()

    def on_unreadable(path: ImagePlace, error: ImageError) -> None:
        failures.append((path, error))
        threads.add(threading.current_thread())

    given = [*paths[:3], broken, *paths[3:]]
    parts = consecutive(given, 2)
    predicted = list(map_images(Recognise(), runner, preprocessor, parts, on_unreadable))
    assert [len(one.names) for one in predicted] == [2, 1, 2]
    assert [path for path, _ in failures] == [broken]
    assert threads == {threading.current_thread()}
    prepared = preprocessor([Image.open(path) for path in paths])
    expected = runner(prepared.tensors, transforms=prepared.transforms).to_dicts()
    assert any(document["outputs"][0]["labels"]["predicted"] for document in expected)
    rows = zip(
        [path.as_posix() for path in paths], [[30, 40 + row] for row in range(5)], expected, strict=True
    )
    assert documents(predicted) == list(rows)
