"""What a mutation is."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from postproc import PostprocError
from tests.random_cases.builder import Case

if TYPE_CHECKING:
    from tests.fuzz.drawing import Drawn

Rng = np.random.Generator


@dataclass(eq=False)
class Broken:
    """What is passed in place of a case, and what the error must name: one of some texts or JSON paths."""

    drawn: Drawn
    spec: Any
    version: Any
    tensors: Any
    options: dict[str, Any]
    named: tuple[str, ...] = ()
    by_path: bool = True  # whether those of a `SchemaError` are paths
    compare: bool = True  # with the reference, if it is accepted

    @classmethod
    def of(cls, drawn: Drawn) -> Broken:
        """Return a copy to break, of the plain documents and arrays."""
        case = drawn.case
        documents = copy.deepcopy((case.spec, case.version))
        return cls(drawn, *documents, dict(case.tensors), dict(case.options))

    def as_case(self) -> Case:
        """Return what is passed as a case."""
        return Case(self.spec, self.version, self.tensors, self.options)

    def names(self, *named: str) -> Broken:
        """Say what the error must name."""
        self.named = named
        return self

    def says(self, *named: str) -> Broken:
        """Say what the error must say, where there is no path."""
        self.by_path = False
        return self.names(*named)


Function = Callable[[Broken, Rng], "Broken | None"]


@dataclass(frozen=True)
class Mutation:
    """A way to break a case.

    Where what comes of it may be valid after all (``must_fail`` is false), it may also be accepted, or raise
    one of ``or_else``.
    """

    name: str
    error: type[PostprocError]
    function: Function
    must_fail: bool = True
    or_else: tuple[type[PostprocError], ...] = ()

    def applied(self, drawn: Drawn, rng: Rng) -> Broken | None:
        """Return what is passed then; None where it does not apply."""
        return self.function(Broken.of(drawn), rng)


@dataclass
class Registry:
    """Collects the mutations that raise one error."""

    error: type[PostprocError]
    mutations: list[Mutation] = field(default_factory=list)

    def add(self, function: Function, name: str = "", must_fail: bool = True, or_else: Any = ()) -> Function:
        """Register a function, by its own name or another."""
        name = name or function.__name__
        self.mutations.append(Mutation(name, self.error, function, must_fail, or_else))
        return function

    def may_be_valid(self, *or_else: type[PostprocError]) -> Callable[[Function], Function]:
        """Register a function whose outcome may be valid after all."""
        return lambda function: self.add(function, must_fail=False, or_else=or_else)

    def __iter__(self) -> Iterator[Mutation]:
        return iter(self.mutations)
