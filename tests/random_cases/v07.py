"""Random outputs of the three kinds of v0.7."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.random_cases.numbers import Made, Numbers, optional


class V07Outputs(Numbers):
    """Makes an output and its tensors, for images of the given heights and widths."""

    def anchored(self, sizes: NDArray[Any]) -> Made:
        n, background = self.rows, self.pick("first", "last", "none")
        columns = self.labels + (background != "none")
        activation = self.activation()
        scores = self.scores((self.batch, n, columns), activation)

        anchor_batch = self.pick(self.batch, 1)
        anchors_format = self.box_format()
        anchors = self.boxes(
            (anchor_batch, n), (sizes if self.batch else np.ones((1, 2)))[:anchor_batch], anchors_format
        )
        if self.pick(False, True):
            anchors = np.concatenate([np.full((anchor_batch, n, 1), 0.5, anchors.dtype), anchors], axis=2)

        groups = self.pick(columns, self.labels, 1)
        offsets = self.rng.normal(0, 0.3, (self.batch, n, groups, 4))
        if self.style == "grid":
            offsets = np.round(offsets * 4) / 4
        offsets[..., 2:][self.rng.random((self.batch, n, groups, 2)) < 0.03] = 90  # beyond the clamp
        offsets = self.spoiled(offsets.reshape(self.batch, n, groups * 4))
        scale = self.pick([1.0, 1.0, 1.0, 1.0], [0.1, 0.1, 0.2, 0.2])

        first, layout = self.layout(scores)
        output = {
            "anchors_tensor": self.keep("anchors", anchors),
            "offsets_tensor": self.keep("offsets", offsets),
            "scores_tensor": self.keep("scores", scores.transpose(0, 2, 1) if first else scores),
            **optional(
                background=(background, "first"),
                anchors_format=(anchors_format, "xyxy"),
                score_activation=(activation, "none"),
                offsets_scale=(scale, [1.0, 1.0, 1.0, 1.0]),
                layout=(layout, "auto"),
            ),
        }
        return output, self.values(scores, activation)

    def direct(self, sizes: NDArray[Any]) -> Made:
        n, columns = self.rows, self.pick(0, self.labels, 2)  # 0: one score a box, without a column axis
        shape = (self.batch, n) if columns == 0 else (self.batch, n, columns)
        activation = self.activation() if columns else self.pick("none", "sigmoid")
        scores = self.scores(shape, activation)
        classes, meaning = self.classes(shape)
        box_format = self.box_format()
        boxes = self.boxes(shape if columns and self.pick(False, True) else shape[:2], sizes, box_format)

        first, layout = self.layout(scores) if columns else (False, "auto")
        tensors = {
            "boxes": boxes,
            "scores": scores.transpose(0, 2, 1) if first else scores,
            "classes": classes.transpose(0, 2, 1) if first else classes,
        }
        without_batch = self.batch == 1 and boxes.ndim == 3 and self.pick(False, True)
        for name, tensor in tensors.items():
            self.tensors[self.prefix + name] = tensor[0] if without_batch else tensor
        output = {f"{name}_tensor": self.prefix + name for name in tensors}
        output |= optional(
            box_format=(box_format, "xyxy"),
            classes=(meaning, "ids"),
            score_activation=(activation, "none"),
            layout=(layout, "auto"),
        )
        return output, self.values(scores, activation)

    def classes(self, shape: tuple[int, ...]) -> tuple[NDArray[Any], str]:
        """Return class ids or rows, some of them unknown."""
        meaning = self.pick("ids", "rows")
        names = self.ids if meaning == "ids" else list(range(self.labels))
        small = max(names) < 2**24
        dtype = self.pick(np.int64, np.int32, np.float32, np.float64) if small else np.int64
        return self.named(names, shape, dtype), meaning

    def named(self, names: list[int], shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Return the names of random labels, some of them unknown."""
        classes = np.array(names)[self.rng.integers(0, self.labels, shape)].astype(dtype)
        unknown = self.rng.random(shape) < 0.1
        strange = [-1, 1000, 2**31 - 1] if np.issubdtype(dtype, np.integer) else [-1, 0.5, np.nan]
        classes[unknown] = self.rng.choice(strange, unknown.sum()).astype(dtype)
        return classes

    def yolo(self, _: NDArray[Any]) -> Made:
        height, width, anchors = self.pick(1, 2, 3), self.pick(2, 1, 3), self.pick(1, 2, 3)
        if self.labels == 40:
            height, width = 1, 1
        name, layout, _ = self.grid("grid", height, width, anchors)
        output = {
            "output_tensor": name,
            "anchors": self.rng.uniform(0.5, 3, 2 * anchors).round(3).tolist(),
            **optional(layout=(layout, "auto")),
        }
        return output, None

    def grid(
        self, name: str, height: int, width: int, anchors: int, layouts: tuple[str, ...] = ()
    ) -> tuple[str, str, NDArray[Any]]:
        """Keep a grid; return its name, the layout to declare, and its cells (B, H, W, A, 5+L)."""
        cells = self.rng.normal(0, 1, (self.batch, height, width, anchors, 5 + self.labels))
        cells[..., 2:4] *= 0.5
        cells[..., 4] += 1.5
        cells[..., 5:] *= 2
        if self.style == "grid":
            cells[..., :4] = np.round(cells[..., :4])
        cells[..., 2:4][self.rng.random((*cells.shape[:-1], 2)) < 0.03] = 200  # exp beyond float32
        if self.pick(False, True):  # ties of equal logits
            cells[..., -1, 4:] = cells[..., 0, 4:]
        cells = self.spoiled(cells)
        flat = cells.reshape(self.batch, height, width, anchors * (5 + self.labels))
        forms = [
            ("BHWC", "auto"),
            ("BHWAK", "auto"),
            ("BCHW", "auto"),
            ("BHWC", "channels_last"),
            ("BCHW", "channels_first"),
        ]
        if layouts:  # of a kind whose anchors may come first
            if height == anchors:
                forms.remove(("BHWAK", "auto"))
            forms += [("BHWAK", "channels_last"), ("BAHWK", "anchors_first")]
            forms += [("BAHWK", "auto")] if width != anchors else []
        axes, layout = self.pick(*(form for form in forms if not layouts or form[1] in layouts))
        tensor = {
            "BHWC": flat,
            "BHWAK": cells,
            "BCHW": flat.transpose(0, 3, 1, 2),
            "BAHWK": cells.transpose(0, 3, 1, 2, 4),
        }[axes]
        without_batch = tensor.ndim == 4 and self.batch == 1 and self.pick(False, True)
        self.tensors[self.prefix + name] = tensor[0] if without_batch else tensor
        return self.prefix + name, layout, cells
