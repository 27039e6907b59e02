"""BentoML's interface as far as the example uses it; of bentoml 1.4.40, its source and
https://docs.bentoml.com/en/latest/reference/bentoml/sdk.html.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any


class Service:
    """A class of APIs; a call makes an instance, whose methods `to_async` has as coroutines."""

    def __init__(self, inner: type[Any]) -> None:
        self.inner = inner

    def __call__(self) -> Any:
        instance = self.inner()
        names = [name for name, method in vars(self.inner).items() if hasattr(method, "is_api")]
        instance.to_async = SimpleNamespace(**{name: _awaited(getattr(instance, name)) for name in names})
        return instance


def _awaited(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    async def call(*arguments: Any) -> Any:
        return method(*arguments)

    return call


def service(inner: type[Any] | None = None, **options: Any) -> Any:
    assert options.keys() <= {"workers", "threads", "traffic", "resources"}
    return Service if inner is None else Service(inner)


def api(
    func: Any = None, *, batchable: bool = False, max_batch_size: int = 100, max_latency_ms: int = 60000
) -> Any:
    def mark(method: Any) -> Any:
        method.is_api = True
        return method

    return mark if func is None else mark(func)


class depends:  # noqa: N801 (BentoML's name)
    def __init__(self, on: Service) -> None:
        self.on, self.made = on, None

    def __get__(self, instance: Any, owner: type[Any]) -> Any:
        self.made = self.made or self.on()
        return self.made
