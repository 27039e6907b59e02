"""Gradio's interface as far as the example uses it; of gradio 6.31, https://www.gradio.app/docs/gradio/blocks
and the pages of its components beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Error(Exception): ...


class Dependency:
    def then(self, fn: Callable[..., Any], inputs: Any, outputs: Any) -> Dependency:
        return self


class Component:
    def __init__(self, value: Any = None, **_: Any) -> None:
        self.value = value

    def __enter__(self) -> Component:
        return self

    def __exit__(self, *_: object) -> None: ...

    def change(self, fn: Callable[..., Any], inputs: Any, outputs: Any) -> Dependency:
        return Dependency()


class Blocks(Component):
    def launch(self) -> None: ...


class Slider(Component):
    def __init__(self, minimum: float, maximum: float, value: float, *, label: str) -> None:
        super().__init__(value)


def on(triggers: Any, fn: Callable[..., Any], inputs: Any, outputs: Any, *, trigger_mode: str) -> Dependency:
    return Dependency()


Column = Dataframe = Image = Row = State = Component
