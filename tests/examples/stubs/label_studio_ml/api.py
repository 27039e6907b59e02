from __future__ import annotations


def init_app(model_class: type) -> None: ...
