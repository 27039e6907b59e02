"""Models are built when they are first used: all of them can be, by any thread, and no others are."""

from __future__ import annotations

import inspect
import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema

import postproc.service.http.request_models as _of_the_service  # noqa: F401 - its models are documents too
from postproc.schema import Detection, Yolov8Output
from postproc.schema.base import Document

# The models of this package that are built, by the class itself: others inherit what pydantic sets.
BUILT = """
from postproc.schema.base import Document
def built(cls=Document):
    for one in cls.__subclasses__():
        yield from built(one)
        if one.__pydantic_complete__:
            yield one.__name__
"""
FIRST_RESULT = """
import json, pickle, sys
import numpy as np
from postproc import PostProcessor, Yolov8Output
at_import = sorted({*built()})
post = PostProcessor.for_detection(["cat", "dog"], Yolov8Output(output_tensor="o"), input_size=(640, 640))
post({"o": np.zeros((1, 6, 100), np.float32)})
print(json.dumps([at_import, sorted({*built()})]))
"""
MANY_THREADS = """
import sys, threading
from postproc import RecognitionVersion, SchemaError
sys.setswitchinterval(1e-6)
outputs = [
    {"yolov8_output": {"output_tensor": "o"}}, {"yolo_output": {"output_tensor": "o", "anchors": [1, 1]}},
    {"yolov5_output": {"output_tensor": "o"}}, {"end_to_end_output": {"output_tensor": "o"}},
]
start, wrong = threading.Barrier(16), []
def load(output):
    start.wait()
    try:
        document = {"post_processings": [{"detection": {**output, "thresholds": 0.5}}]}
        if RecognitionVersion.load(document).dump() != document:
            wrong.append(document)
        try:
            RecognitionVersion.load({"post_processings": [{"detection": {next(iter(output)): {"x": 1}}}]})
            wrong.append("no error")
        except SchemaError as error:
            if "unknown field" not in str(error):
                wrong.append(error)
    except BaseException as error:
        wrong.append(error)
threads = [threading.Thread(target=load, args=(outputs[row % 4],)) for row in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert not wrong, wrong
"""
FORK = """
import os, signal, threading, time
from postproc.schema import Yolov8Output
from postproc.schema.deferring import BUILDING
held = threading.Event()
def build():
    with BUILDING:
        held.set()
        time.sleep(0.3)
threading.Thread(target=build).start()
held.wait()
child = os.fork()
if child == 0:
    signal.alarm(10)
    Yolov8Output(output_tensor="o")
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""


def output_of(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def documents(cls: type[Document] = Document) -> Iterator[type[Document]]:
    for one in cls.__subclasses__():
        if one.__module__.startswith("postproc."):
            yield one
            yield from documents(one)


def test_every_model_can_be_built() -> None:
    """What is wrong with a definition would only show where a document has such an object."""
    for model in documents():
        model.model_rebuild(force=True)
        assert model.__pydantic_complete__, model


def test_import_builds_nothing_and_a_first_result_only_what_its_documents_have() -> None:
    at_import, at_end = json.loads(output_of(BUILT + FIRST_RESULT))
    assert at_import == []
    assert at_end == ["Detection", "RecognitionSpec", "RecognitionVersion", "Yolov8Output"]


def test_a_model_is_built_once_however_many_threads_wait_for_it() -> None:
    builds = []

    class Slow(Yolov8Output):
        @classmethod
        def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
            builds.append(cls)
            time.sleep(0.05)
            return handler(source)

    with ThreadPoolExecutor(8) as pool:
        made = [*pool.map(lambda _: Slow(output_tensor="o"), range(8))]
    assert made == made[:1] * 8
    assert builds == [Slow]


def test_models_are_built_by_threads_that_use_them_first_at_once() -> None:
    output_of(MANY_THREADS)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
def test_a_child_of_a_fork_builds_models_though_a_thread_was_building() -> None:
    output_of(FORK)


def test_a_model_within_another_is_dumped_before_anything_has_used_its_class() -> None:
    state = pickle.dumps(Detection(yolov8_output=Yolov8Output(output_tensor="o")))
    printed = output_of(f"import pickle; print(pickle.loads({state!r}).model_dump_json(exclude_unset=True))")
    assert json.loads(printed) == {"yolov8_output": {"output_tensor": "o"}}


def test_a_model_has_its_signature_before_it_is_built() -> None:
    class Wide(Yolov8Output):
        width: float

    assert not Wide.__pydantic_complete__
    assert [*inspect.signature(Wide).parameters] == [*Wide.model_fields]
    assert [*inspect.signature(Detection).parameters] == [*Detection.model_fields]
