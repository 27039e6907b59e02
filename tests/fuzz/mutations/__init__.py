"""The registry: each way to break a case, and the error that it must raise."""

from tests.fuzz.mutations import calls, documents, rules, shapes, tensors, texts
from tests.fuzz.mutations.registry import Broken, Mutation

MUTATIONS: dict[str, Mutation] = {
    mutation.name: mutation
    for module in (documents, rules, texts, tensors, shapes, calls)
    for mutation in module.REGISTRY
}

__all__ = ["MUTATIONS", "Broken", "Mutation"]
