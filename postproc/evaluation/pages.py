"""Pages of HTML from the templates: each is one file that runs and loads nothing."""

from __future__ import annotations

from typing import Any

from postproc.installing import install


def render(template: str, **values: Any) -> str:
    """Fill in a template of `postproc.evaluation.templates`; what is not `Markup` is escaped.

    Raises
    ------
    ImportError
        If the extra ``eval`` is missing.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        raise ImportError(f"a report needs an extra: {install('eval')} ({error})") from error
    environment = Environment(
        loader=PackageLoader("postproc.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = lambda value: "-" if value is None else f"{value:.3f}"
    environment.filters["signed"] = signed
    return environment.get_template(template).render(**values)


def signed(value: float | None) -> str:
    """Write a difference with its sign, which tells how one that rounds to nothing is meant."""
    if not value:
        return "-" if value is None else "0.000"
    return f"{value:+.3f}"


def drawn(chart: str) -> Any:
    """Mark a chart, which holds numbers only, as not to be escaped."""
    try:
        from markupsafe import Markup
    except ImportError as error:
        raise ImportError(f"a report needs an extra: {install('eval')} ({error})") from error
    return Markup(chart)
