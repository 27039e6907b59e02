"""What stands for S3 has in its folder all that it was given, so that a kill takes nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote

import pytest

pytest.importorskip("moto", reason="the extra test is not installed")

from werkzeug.test import Client

from tests.service.cluster.s3 import BUCKET, SIGNED, Kept


def test_objects_that_are_written_at_once_are_all_kept(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    kept = Kept(folder)
    objects = {f"files/{row}": bytes([row]) * 3_000_000 for row in range(12)}

    def put(key: str) -> int:
        return Client(kept).put(f"/{BUCKET}/{key}", data=objects[key], headers=SIGNED).status_code

    with ThreadPoolExecutor(len(objects)) as threads:
        assert list(threads.map(put, objects)) == [200] * len(objects)
    assert {unquote(path.name): path.read_bytes() for path in folder.iterdir()} == objects
