"""Make the pictures of the site and the README, all or some: ``python -m tools.pictures [NAME...]``.

Screenshots need Chromium with its driver; ``pip install -e ".[test]"`` brings the rest.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from tools.pictures import digits, screens, shapes
from tools.pictures.files import ASSETS, DOCS


def _looks(name: str) -> list[Path]:
    return [ASSETS / f"{name}-{look}.png" for look in ("light", "dark", "narrow")]


PICTURES: dict[str, tuple[Callable[..., None], list[Path]]] = {
    "digits": (digits.demo, [DOCS / "digits.jpg"]),
    "calibration": (digits.calibration, [DOCS / "calibration.jpg"]),
    "way": (digits.way, [ASSETS / "way-of-a-tensor.svg"]),
    "masks": (shapes.masks, [ASSETS / "masks.jpg"]),
    "poses": (shapes.poses, [ASSETS / "poses.jpg"]),
    "oriented-boxes": (shapes.oriented_boxes, [ASSETS / "oriented-boxes.jpg"]),
    "page": (screens.service_page, [*_looks("page"), DOCS / "page.png"]),
    "report": (screens.report, _looks("report")),
}


def main(names: list[str]) -> None:
    """Make the pictures of these names; of none, all."""
    if unknown := set(names) - set(PICTURES):
        sys.exit(f"no pictures {', '.join(sorted(unknown))}: there are {', '.join(PICTURES)}")
    for name in names or PICTURES:
        make, targets = PICTURES[name]
        make(*targets)
        for target in targets:
            print(f"{target.relative_to(DOCS.parent)}: {target.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
