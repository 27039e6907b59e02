"""How the page draws what is more than a box, and its own copies of what postproc defines."""

from __future__ import annotations

from typing import Any

from postproc.images.drawing import label_color
from tests.service.page.browser import Visitor

DRAW = """
    const [roi, size, points, done] = arguments;
    import("/page/picture.js").then(({ Picture }) => {
      const [stage, canvas] = ["div", "canvas"].map((tag) => document.createElement(tag));
      const picture = new Picture(stage, new Image(), canvas);
      picture.size = { width: size, height: size };
      picture.fit(size, size);
      picture.draw([{ label: { row: 1, name: "person" }, score: 0.9, document: { roi } }]);
      const { data } = picture.context.getImageData(0, 0, size, size);
      done(points.map(([x, y]) => [...data.slice(4 * (size * y + x), 4 * (size * y + x) + 4)]));
    });
"""
BLUE = [0, 110, 220]
BOX = {"region_id": 1, "bbox": {"xmin": 0.25, "ymin": 0.25, "xmax": 0.75, "ymax": 0.75}}


def drawn(modules: Visitor, roi: dict[str, Any], *points: tuple[int, int]) -> list[list[int]]:
    """Return the colour and opacity at points of a picture of 200 x 200 pixels with one detection."""
    return modules.driver.execute_async_script(DRAW, BOX | roi, 200, points)


def is_blue(pixel: list[int]) -> bool:
    """Whether a line goes through a pixel, at whose edges it is mixed with its halo."""
    return pixel[3] > 240 and all(abs(part - blue) < 40 for part, blue in zip(pixel[:3], BLUE, strict=True))


def test_picture_box_is_an_outline_with_a_halo(modules: Visitor) -> None:
    edge, inside, halo = drawn(modules, {}, (50, 100), (100, 100), (47, 100))
    assert is_blue(edge)
    assert inside == [0, 0, 0, 0]
    assert halo[3] == 0


def test_picture_keypoints_are_dots_and_unsure_ones_hollow(modules: Visitor) -> None:
    points = [{"x": 0.4, "y": 0.5, "score": 0.9}, {"x": 0.6, "y": 0.5, "score": 0.2}]
    sure, unsure, ring = drawn(modules, {"keypoints": points}, (80, 100), (120, 100), (123, 100))
    assert is_blue(sure)
    assert unsure[3] < 255
    assert is_blue(ring)


def test_picture_oriented_box_takes_the_place_of_its_box(modules: Visitor) -> None:
    corners = [{"x": x, "y": y} for x, y in ((0.5, 0.25), (0.75, 0.5), (0.5, 0.75), (0.25, 0.5))]
    side, box_corner, inside = drawn(modules, {"polygon": corners}, (75, 75), (51, 149), (100, 100))
    assert is_blue(side)
    assert box_corner[3] == 0
    assert inside[3] == 0


def test_picture_mask_tints_what_it_covers(modules: Visitor) -> None:
    ring = [{"x": x, "y": y} for x, y in ((0.3, 0.3), (0.5, 0.3), (0.5, 0.7), (0.3, 0.7))]
    covered, beside, edge = drawn(modules, {"polygons": [ring]}, (80, 100), (120, 100), (150, 100))
    assert covered[3] == 64
    assert beside[3] == 0
    assert is_blue(edge)


def test_labels_have_the_colours_of_postproc_drawing(modules: Visitor) -> None:
    script = """
        const done = arguments[0];
        import("/page/colors.js").then(({ labelColor }) => done([...Array(60).keys()].map(labelColor)));"""
    colors = modules.driver.execute_async_script(script)
    assert [tuple(color) for color in colors] == [label_color(row) for row in range(60)]


def test_result_above_its_threshold_only_is_gone_at_a_higher_one(modules: Visitor) -> None:
    # Its own threshold is below the discard threshold: at another one the service does not return the box.
    script = """
        const [spec, version, data, done] = arguments;
        import("/page/results.js").then(({ readOutputs, resultDocument }) => {
          const outputs = readOutputs(spec, version, data, 10);
          const own = resultDocument(outputs);
          outputs[0].labels[0].threshold = 0.5;
          done([own, resultDocument(outputs)].map(({ outputs: [{ labels }] }) => labels));
        });"""
    labels = [{"id": 5, "name": "cat"}]
    spec = {"outputs": [{"labels": {"labels": labels, "exclusive": True, "roi": "BBOX"}}]}
    version = {"post_processings": [{"detection": {"thresholds": [0.01], "discard_threshold": 0.025}}]}
    row = {"label_id": 5, "label_name": "cat", "score": 0.02, "threshold": 0.01, "roi": BOX}
    data = {"outputs": [{"labels": {"predicted": [row], "discarded": []}}]}
    own, higher = modules.driver.execute_async_script(script, spec, version, data)
    assert own == {"predicted": [row], "discarded": []}
    assert higher == {"predicted": [], "discarded": []}


def test_json_keeps_large_ids_and_writes_scores_as_floats(modules: Visitor) -> None:
    script = """
        const [text, done] = arguments;
        import("/page/results.js").then(({ parse, stringify }) => done(stringify(parse(text))));"""
    text = '{"label_id": 9007199254740993, "score": 1.0, "threshold": 0, "region_id": 1, "xmin": 1e-7}'
    written = modules.driver.execute_async_script(script, text)
    assert "".join(written.split()) == (
        '{"label_id":9007199254740993,"score":1.0,"threshold":0.0,"region_id":1,"xmin":1e-7}'
    )
