"""Documents drawn at random: whatever is valid comes back as it was read."""

from __future__ import annotations

import json
from typing import Any, get_args

from hypothesis import given
from hypothesis import strategies as st

from postproc.schema import (
    Detection,
    DetectionOutput,
    Preprocessing,
    RecognitionSpec,
    RecognitionVersion,
    Yolov8SegOutput,
    check_pair,
)

Documents = st.SearchStrategy[dict[str, Any]]

names = st.text(min_size=1, max_size=8)
unit_numbers = st.floats(0, 1) | st.sampled_from([0, 1])
positive_numbers = st.floats(0, 1e6, exclude_min=True) | st.integers(1, 10**6)
identifiers = st.none() | st.integers() | names
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
formats = st.sampled_from(["xyxy", "xywh", "cxcywh", "yxyx"])
activations = st.sampled_from(["none", "sigmoid", "softmax"])
layouts = st.sampled_from(["auto", "channels_first", "channels_last"])


def documents(required: dict[str, Any], optional: dict[str, Any]) -> Documents:
    return st.fixed_dictionaries(required, optional=optional)


def has_own_names(output: dict[str, Any]) -> bool:
    """Say whether each tensor of an output has a name of its own."""
    given = [name for field, name in output.items() if field.endswith("_tensor")]
    return len({*given}) == len(given)


def tensors(*fields: str) -> dict[str, Any]:
    return dict.fromkeys(fields, names)


skeletons = st.sampled_from([[], None])
numbers_of_anchors = st.lists(st.tuples(positive_numbers, positive_numbers), min_size=1, max_size=5)
# What a field holds; those that are not listed name a tensor, or take one of a few texts.
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "anchors": numbers_of_anchors.map(lambda pairs: [side for pair in pairs for side in pair]),
    "confidence": st.just("product"),
    "dimensions": st.sampled_from([2, 3]),
    "keep_empty_masks": st.booleans(),
    "keypoints": st.integers(1, 133),
    "offsets_scale": st.lists(positive_numbers, min_size=4, max_size=4),
    "skeleton": skeletons,
    "strides": st.lists(st.integers(1, 128), min_size=1, max_size=4),
}


numbers = st.integers(1, 9) | st.floats(1e-38, 1e38)
zero_points = st.integers(-(2**15), 2**16 - 1)
quantizations = documents(
    {"scale": numbers | st.lists(numbers, min_size=3, max_size=3)},
    {"zero_point": zero_points | st.lists(zero_points, min_size=3, max_size=3)},
)


@st.composite
def quantized(draw: st.DrawFn, outputs: Documents) -> dict[str, Any]:
    """Draw an output with a quantization for each of its tensors, or for none."""
    output = draw(outputs)
    named = {name for field, name in output.items() if field.endswith("_tensor")}
    for field in output:
        if field.endswith("_tensors"):
            named |= {*output[field]}
    named -= {output.get("classes_tensor"), output.get("count_tensor"), None}
    described = st.fixed_dictionaries({}, optional=dict.fromkeys(sorted(named), quantizations))
    return output | draw(documents({}, {"quantization": described}))


def drawn(output: type[DetectionOutput]) -> Documents:
    """Draw any output of a kind whose fields have no rules together."""
    fields = output.model_fields
    strategies = {
        name: names if name.endswith("_tensor") else st.sampled_from(get_args(field.annotation))
        for name, field in fields.items()
        if name not in FIELDS and name != "quantization"
    }
    strategies |= {name: FIELDS[name] for name in fields if name in FIELDS}
    required = {name: strategies[name] for name, field in fields.items() if field.is_required()}
    others = {name: strategies[name] for name in strategies if name not in required}
    return documents(required, others)


@st.composite
def yolov3(draw: st.DrawFn) -> dict[str, Any]:
    grids = draw(st.integers(1, 3))
    anchors = grids * draw(st.integers(1, 3))
    masks = st.lists(st.integers(0, anchors - 1), min_size=1, max_size=anchors, unique=True)
    required = {
        "output_tensors": st.lists(names, min_size=grids, max_size=grids, unique=True),
        "anchors": st.lists(positive_numbers, min_size=2 * anchors, max_size=2 * anchors),
    }
    optional = {
        "anchor_masks": st.lists(masks, min_size=grids, max_size=grids),
        "confidence": st.just("product"),
        "layout": layouts | st.just("anchors_first"),
    }
    scales = positive_numbers | st.lists(positive_numbers, min_size=grids, max_size=grids)
    coding = documents({}, {"scale_x_y": scales, "box_coding": st.just("yolov3")})
    of_v5 = st.just({"box_coding": "yolov5"})
    return draw(documents(required, optional)) | draw(coding | of_v5)


with_keypoints = documents({"keypoints": st.integers(1, 133)}, {"skeleton": skeletons})
yolov5 = st.tuples(
    documents(
        {"output_tensor": st.just("table")},
        {
            "box_format": formats,
            "coordinates": st.sampled_from(["pixels", "normalized"]),
            "confidence": st.just("product"),
            "layout": layouts,
        },
    ),
    st.just({})
    | documents(
        {"keypoints": st.integers(1, 133)},
        {"dimensions": st.sampled_from([2, 3]), "keypoints_first": st.booleans(), "skeleton": skeletons},
    )
    | documents({"prototypes_tensor": st.just("prototypes")}, {"keep_empty_masks": st.booleans()}),
).map(lambda parts: parts[0] | parts[1])


@st.composite
def yolox(draw: st.DrawFn) -> dict[str, Any]:
    optional = {
        "score_activation": st.sampled_from(["none", "sigmoid"]),
        "confidence": st.sampled_from(["product", "sqrt_product"]),
        "layout": layouts,
    }
    if draw(st.booleans()):
        return draw(documents(tensors("output_tensor"), {**optional, "strides": FIELDS["strides"]}))
    strides = draw(FIELDS["strides"])
    fields = ["scores_tensors", "objectness_tensors", "boxes_tensors"]
    described = draw(documents({}, optional)) | {"strides": strides}
    if draw(st.booleans()):
        fields.append("landmarks_tensors")
        described |= draw(with_keypoints)
    for field in fields:
        described[field] = [f"{field} {stride}" for stride in range(len(strides))]
    return described


rows = {"box_format": formats, "classes": st.sampled_from(["rows", "ids"])}
columns = st.permutations(["box", "score", "class"])
end_to_end = st.one_of(
    documents(tensors("output_tensor"), {**rows, "columns": columns, "count_tensor": names}),
    documents(
        {**tensors("output_tensor"), "columns": st.permutations(["image", "box", "score", "class"])}, rows
    ),
    documents(tensors("boxes_tensor", "scores_tensor", "classes_tensor"), {**rows, "count_tensor": names}),
    documents(
        {
            **tensors("output_tensor"),
            "columns": st.permutations(["box", "score", "class", "keypoints"]),
            "keypoints": st.integers(2, 1000),
        },
        {
            **rows,
            "dimensions": st.integers(2, 3),
            "skeleton": st.lists(st.permutations([1, 2]), max_size=3),
            "count_tensor": names,
        },
    ),
    documents(
        {
            **tensors("output_tensor", "classes_tensor"),
            "columns": st.permutations(["box", "score", "angle"]),
            "box_format": st.just("cxcywh"),
        },
        {"classes": rows["classes"]},
    ),
    documents(
        {"output_tensor": st.just("rows"), "masks_tensor": st.just("masks")},
        {**rows, "masks_cover": st.sampled_from(["box", "image"]), "keep_empty_masks": st.booleans()},
    ),
)
priors = st.lists(st.lists(st.floats(-1e3, 1e3), min_size=4, max_size=4), min_size=1, max_size=3)
ssd = st.tuples(
    st.fixed_dictionaries({"priors_tensor": names}) | st.fixed_dictionaries({"priors": priors}),
    documents(
        tensors("offsets_tensor", "scores_tensor"),
        {
            "priors_format": formats,
            "offsets_scale": st.lists(positive_numbers, min_size=4, max_size=4),
            "offsets_order": st.sampled_from(["xywh", "yxhw"]),
            "size_coding": st.sampled_from(["exp", "linear"]),
            "score_activation": activations,
            "background": st.sampled_from(["first", "last", "none"]),
            "layout": layouts,
        },
    ),
    st.just({}) | with_keypoints | st.builds(lambda more: {**more, "landmarks_tensor": "l"}, with_keypoints),
).map(lambda parts: parts[0] | parts[1] | parts[2])


@st.composite
def distance(draw: st.DrawFn) -> dict[str, Any]:
    strides = draw(st.lists(st.integers(1, 128), min_size=1, max_size=6))
    own, every = [f"{index}" for index in range(len(strides))], ["all"]
    fields = {"strides": strides}
    if draw(st.booleans()):
        columns = draw(st.permutations(["scores", "distances", "centerness", "landmarks"]))
        fields |= {"output_tensors": draw(st.sampled_from([own, every])), "columns": columns}
    else:
        for field in ("scores", "distances", "centerness", "landmarks", "score_sum"):
            fields[f"{field}_tensors"] = [f"{field} {name}" for name in draw(st.sampled_from([own, every]))]
    bins = draw(st.sampled_from([{}, {"bins": 17, "first_bin": -2}, {"distance_activation": "exp"}]))
    optional = {
        "anchors_per_cell": st.integers(1, 9),
        "cell_offset": unit_numbers,
        "distance_unit": st.sampled_from(["strides", "pixels"]),
        "score_activation": st.sampled_from(["none", "sigmoid"]),
        "background": st.sampled_from(["first", "last", "none"]),
        "confidence": st.sampled_from(["product", "sqrt_product"]),
        "skeleton": st.lists(st.permutations([1, 2]), max_size=3),
        "layout": layouts,
    }
    return fields | bins | draw(documents({"keypoints": st.integers(2, 1000)}, optional))


seg = st.builds(
    lambda table: {**table, "prototypes_tensor": "output1", "output_tensor": "output0"},
    drawn(Yolov8SegOutput),
)
TOGETHER: dict[str, Documents] = {  # kinds whose fields have rules together
    "yolov3_output": yolov3(),
    "yolov5_output": yolov5,
    "yolox_output": yolox(),
    "yolov8_seg_output": seg,
    "end_to_end_output": end_to_end.filter(has_own_names),
    "ssd_output": ssd.filter(has_own_names),
    "distance_output": distance(),
}
OUTPUTS: dict[str, Documents] = {
    **{kind: drawn(output) for kind, output in Detection.alternatives.items() if kind not in TOGETHER},
    **TOGETHER,
}
methods = st.one_of(
    documents({}, {"nms_threshold": unit_numbers, "nms_method": st.just("hard")}),
    documents(
        {"nms_method": st.just("soft")}, {"nms_threshold": unit_numbers, "soft_sigma": positive_numbers}
    ),
    documents({"nms_method": st.just("weighted"), "nms_threshold": st.floats(0, 1, exclude_max=True)}, {}),
)
sizes = st.fixed_dictionaries({"input_size": st.lists(st.integers(1, 4096), min_size=2, max_size=2)})
scaling: Documents = (
    st.just({}) | sizes | st.fixed_dictionaries({"normalize_wrt_tensor": st.just("") | names})
)


@st.composite
def detections(draw: st.DrawFn, thresholds: st.SearchStrategy[list[float]]) -> dict[str, Any]:
    kind = draw(st.sampled_from(list(OUTPUTS)))
    decision = documents(
        {},
        {
            "thresholds": thresholds,
            "discard_threshold": unit_numbers,
            "multi_label": st.booleans(),
            "class_agnostic": st.booleans(),
        },
    )
    output = draw(quantized(OUTPUTS[kind]))
    is_normalized = output.get("coordinates") == "normalized"
    described = Detection.alternatives[kind]
    in_cells = described.boxes_are_normalized is True  # a property where a document decides
    scaled = {} if in_cells else draw(st.just({}) | sizes if is_normalized else scaling)
    method = methods if "soft" in described.load(output).nms_methods else st.just({})
    return {kind: output, **draw(decision), **draw(method), **scaled}


@st.composite
def pairs(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """A spec and a version that fits it."""
    outputs, post_processings = [], []
    for _ in range(draw(st.integers(1, 3))):
        ids = draw(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=4, unique=True))
        roi = draw(st.sampled_from(["NONE", "BBOX"]))
        labels = [{"id": label_id, "name": draw(st.text(max_size=5))} for label_id in ids]
        outputs.append({"labels": {"labels": labels, "exclusive": draw(st.booleans()), "roi": roi}})
        thresholds = st.lists(unit_numbers, min_size=len(ids), max_size=len(ids))
        if roi == "BBOX":
            post_processings.append({"detection": draw(detections(thresholds))})
        else:
            optional = {"thresholds": thresholds, "score_activation": activations}
            classification = quantized(documents(tensors("output_tensor"), optional))
            post_processings.append({"classification": draw(classification)})
    spec_id = draw(identifiers)
    unknown = st.dictionaries(st.text().map("x{}".format), json_values, max_size=2)
    spec = {
        **draw(unknown),
        **draw(documents({}, {"name": st.text(), "metadata": st.dictionaries(st.text(), json_values)})),
        "id": spec_id,
        "outputs": outputs,
    }
    version = {
        **draw(unknown),
        **draw(documents({}, {"network_id": identifiers, "update_date": st.none() | st.text()})),
        "spec_id": spec_id,
        "post_processings": post_processings,
    }
    return spec, version


@st.composite
def preprocessings(draw: st.DrawFn) -> dict[str, Any]:
    channels = draw(st.sampled_from(["RGB", "BGR", "L"]))
    count = 1 if channels == "L" else 3
    pixel_values = st.floats(0, 255) | st.integers(0, 255)
    image = draw(
        documents(
            {
                "target_size": st.integers(1, 9999).map(str)
                | st.tuples(st.integers(1, 9999), st.integers(1, 9999)).map("{0[0]}x{0[1]}".format),
                "color_channels": st.just(channels),
            },
            {
                "dimension_order": st.sampled_from(["NCHW", "NCWH", "NHWC", "NWHC"]),
                "pixel_scaling": positive_numbers,
                "std": st.lists(positive_numbers, min_size=count, max_size=count),
                "data_type": st.sampled_from(["FLOAT32", "FLOAT16", "UINT8"]),
            },
        )
    )
    means = st.lists(st.floats(-1e3, 1e3) | st.integers(-255, 255), min_size=count, max_size=count)
    image |= draw(documents({}, {"mean": means}) | documents({}, {"mean_file": st.just("m.npy")}))
    image["resize_type"] = draw(st.sampled_from(["SQUASH", "CROP", "FILL", "NETWORK"]))
    if image["resize_type"] == "FILL":
        padding = {
            "pad_value": pixel_values | st.lists(pixel_values, min_size=count, max_size=count),
            "pad_align": st.sampled_from(["center", "top_left"]),
            "rounding": st.sampled_from(["half_up", "half_even"]),
        }
        image |= draw(documents({}, padding))
    tensor_names = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    inputs: list[dict[str, Any]] = [{"tensor_name": tensor_names[0], "image": image}]
    references = st.integers(0, 2).map(lambda axis: f"{tensor_names[0]}.{axis}")
    for name in tensor_names[1:]:
        data = draw(st.lists(st.floats(-1e9, 1e9) | st.integers() | references, min_size=1, max_size=4))
        inputs.append({"tensor_name": name, "constant": {"shape": [len(data), 1], "data": data}})
    flags = {"batched_input": st.booleans(), "batched_output": st.booleans()}
    return {"inputs": inputs, **draw(documents({}, flags))}


def check_round_trip(kind: type[Any], document: dict[str, Any]) -> None:
    text = json.dumps(document, sort_keys=True)
    loaded = kind.load(document)
    assert json.dumps(loaded.dump(), sort_keys=True) == text
    assert kind.load(text) == kind.load(loaded.dump_json()) == kind.load(loaded.dump()) == loaded
    filled = loaded.dump(defaults=True)
    assert json.dumps(kind.load(filled).dump(), sort_keys=True) == json.dumps(filled, sort_keys=True)


@given(pairs())
def test_valid_pair_is_accepted_and_comes_back_as_read(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    spec, version = pair
    check_round_trip(RecognitionSpec, spec)
    check_round_trip(RecognitionVersion, version)
    check_pair(RecognitionSpec.load(spec), RecognitionVersion.load(version))


@given(preprocessings())
def test_valid_preprocessing_comes_back_as_read(document: dict[str, Any]) -> None:
    check_round_trip(Preprocessing, document)
