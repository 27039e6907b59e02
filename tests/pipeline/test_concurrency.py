"""One post-processor in many threads, in forks and in other processes: always the result of a serial run."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any

import numpy as np
import pytest

from postproc import Detections, ImageTransform, PostProcessor, TensorError
from tests import reference
from tests.pipelines import KINDS, assert_same, count, post_processor, tensors_of

TIMEOUT = 60.0  # a deadlock fails instead of hanging


@pytest.mark.parametrize("images", [1, 2, 3, 7])
@pytest.mark.parametrize("kind", KINDS)
def test_call_with_threads_equals_the_call_without(kind: str, images: int) -> None:
    tensors = tensors_of(kind, images, seed=images)
    options: dict[str, Any] = {"show_discarded": True, "max_predictions": 9}
    expected = post_processor(kind)(tensors, **options)
    for num_threads in (2, 3):
        assert_same(post_processor(kind, num_threads)(tensors, **options), expected)


def test_call_with_threads_gives_each_image_its_own_transform_and_size() -> None:
    tensors = {**tensors_of("anchored", 5), "im_info": np.arange(1, 11).reshape(5, 2) / 10}
    transforms = [
        ImageTransform((1 + image, 2.0), (image, 0.0), (10, 10 + image), (30, 40)) for image in range(5)
    ]
    results = [
        post_processor("anchored", num_threads, normalize_wrt_tensor="im_info")(
            tensors, transforms=transforms
        )
        for num_threads in (1, 2, 5)
    ]
    assert count(results[0]) > 0
    assert_same(results[1], results[0])
    assert_same(results[2], results[0])


@pytest.mark.parametrize("num_threads", [1, 2])
def test_call_from_many_threads_at_once_equals_the_serial_call(num_threads: int) -> None:
    posts = [post_processor(kind, num_threads) for kind in KINDS]
    work = [
        (post, tensors_of(kind, 3, seed))
        for seed in range(6)
        for post, kind in zip(posts, KINDS, strict=True)
    ]
    expected = [post(tensors) for post, tensors in work]
    together = threading.Barrier(8)

    def run(offset: int) -> list[Any]:
        together.wait(TIMEOUT)
        return [post(tensors) for post, tensors in work[offset:] + work[:offset]]

    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(run, 3 * number) for number in range(8)]
        for number, future in enumerate(futures):
            results = future.result(TIMEOUT)
            for result, single in zip(results, expected[3 * number :] + expected[: 3 * number], strict=True):
                assert_same(result, single)


def test_call_that_fails_in_one_thread_leaves_the_others_alone() -> None:
    post, tensors = post_processor("direct", 2), tensors_of("direct")
    expected = post(tensors)
    with ThreadPoolExecutor(4) as pool:
        for number, future in enumerate([pool.submit(post, ({}, tensors)[row % 2]) for row in range(40)]):
            if number % 2:
                assert_same(future.result(TIMEOUT), expected)
            else:
                with pytest.raises(TensorError):
                    future.result(TIMEOUT)


@pytest.mark.parametrize("num_threads", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_post_processor_pickled_after_use_gives_the_same_result(kind: str, num_threads: int) -> None:
    post, tensors = post_processor(kind, num_threads), tensors_of(kind)
    expected = post(tensors)
    again: PostProcessor = pickle.loads(pickle.dumps(post))
    assert_same(again(tensors), expected)
    assert again.tensor_names == post.tensor_names
    assert again.version == post.version


PROCESSES = """
import multiprocessing, os, sys
from concurrent.futures import ThreadPoolExecutor
from tests.pipelines import KINDS, assert_same, post_processor, tensors_of

def main():
    kinds = ("direct", "yolo")
    posts = {kind: post_processor(kind, 2) for kind in kinds}
    expected = {kind: post(tensors_of(kind)) for kind, post in posts.items()}

    child = os.fork()
    if child == 0:  # the threads of the parent's pools are not here
        code = 1
        try:
            for kind, post in posts.items():
                assert_same(post(tensors_of(kind)), expected[kind])
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0, "fork"
    for kind, post in posts.items():
        assert_same(post(tensors_of(kind)), expected[kind])

    with multiprocessing.get_context("spawn").Pool(1) as pool:
        for kind, post in posts.items():
            assert_same(pool.apply_async(post, (tensors_of(kind),)).get(60), expected[kind])

if __name__ == "__main__":
    main()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_post_processor_after_fork_and_in_a_spawned_process_gives_the_same_result() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROCESSES], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("num_threads", [1, 2])
def test_call_with_a_crowd_in_one_image_equals_the_reference(num_threads: int) -> None:
    """The best candidates of the middle image, far more than are looked at first, are all one box."""
    rng = np.random.default_rng(5)
    crowd, apart = 2100, 30
    column, row = np.divmod(np.arange(apart), 6)
    far = np.stack([column / 8, row / 8, column / 8 + 0.1, row / 8 + 0.1], axis=1)
    boxes = np.zeros((3, crowd + apart, 4), np.float32)
    boxes[:] = np.concatenate([np.tile([0.8, 0.8, 1.0, 1.0], (crowd, 1)), far])
    scores = np.zeros((3, crowd + apart), np.float32)
    scores[1, :crowd] = rng.uniform(0.6, 1.0, crowd)
    scores[:, crowd:] = rng.uniform(0.45, 0.55, apart)
    tensors = {"boxes": boxes, "scores": scores, "classes": np.full(scores.shape, 7)}
    post = post_processor("direct", num_threads)
    found = post(tensors, max_predictions=20).outputs[0]
    images = reference.run(post.spec.dump(), post.version.dump(), tensors, max_predictions=20)[0]
    assert isinstance(found, Detections)
    np.testing.assert_array_equal(np.diff(found.offsets), [20, 20, 20])
    expected = list(chain.from_iterable(images))
    np.testing.assert_array_equal(found.regions, [one.region for one in expected])
    np.testing.assert_array_equal(found.scores, [one.score for one in expected])
