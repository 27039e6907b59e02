from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.examples.examples import SEEDS, load, page

sv = pytest.importorskip("supervision")
pytestmark = pytest.mark.filterwarnings("ignore")  # of others' packages
PICTURES, STEP = 6, 3  # so many pixels further to the right in each


def test_supervision_follows_each_digit(tmp_path: Path) -> None:
    source, target = str(tmp_path / "in.mp4"), str(tmp_path / "out.mp4")
    wide = np.pad(page(SEEDS[0]).image, ((0, 0), (PICTURES * STEP, 0), (0, 0)), "edge")
    with sv.VideoSink(source, sv.VideoInfo(width=640, height=480, fps=10)) as sink:
        for number in range(PICTURES):
            start = (PICTURES - number) * STEP
            sink.write_frame(np.ascontiguousarray(wide[:, start : start + 640, ::-1]))
    seen = load("supervision/track.py", "trackers").track(source, target)
    digits = sorted(str(digit) for digit in page(SEEDS[0]).labels)
    assert sorted(label for (_, label), times in seen.items() if times >= PICTURES - 2) == digits
    assert sv.VideoInfo.from_video_path(target).total_frames == PICTURES
