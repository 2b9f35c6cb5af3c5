"""HTML pages of this package: templates in which all text is escaped."""

from collections.abc import Mapping
from typing import Any

from elekit.graphs._optional import extra


def render(name: str, *, charts: Mapping[str, str] | None = None, **values: Any) -> str:
    """A page.

    Args:
        name: Of the template.
        charts: SVG of this package by title.
        **values: What the template shows.

    Returns:
        HTML.
    """
    with extra("serve"):
        import jinja2
        from markupsafe import Markup

    loader, strict = jinja2.PackageLoader("elekit.operation"), jinja2.StrictUndefined
    template = jinja2.Environment(loader=loader, autoescape=True, undefined=strict).get_template(name)
    drawn = {title: Markup(svg) for title, svg in (charts or {}).items()}  # chart_svg escapes
    return template.render(charts=drawn, **values)
