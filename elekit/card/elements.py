"""HTML made of parts: whatever is no part is text and is escaped, so that no label can become markup."""

from html import escape


class Html(str):
    """Markup that is not escaped again."""

    __slots__ = ()


def joined_html(parts) -> Html:
    """Parts one after the other; texts among them are escaped, None is left out."""
    return Html("".join(part if isinstance(part, Html) else escape(str(part)) for part in parts if part is not None))


def element(name: str, *parts, **attributes) -> Html:
    """`element("p", "text", id="x")`; a trailing underscore and underscores within an attribute's name are as in Python:
    class_="a", aria_label="b". True gives an attribute without a value, None and False leave it out."""
    written = ""
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        written += f" {key.rstrip('_').replace('_', '-')}"
        written += "" if value is True else f'="{escape(str(value))}"'
    return Html(f"<{name}{written}>{joined_html(parts)}</{name}>")


def in_script(text: str) -> str:
    """JSON that cannot end the script element it stands in, nor be read as markup in any other way."""
    for letter, written in (
        ("<", "\\u003c"),
        (">", "\\u003e"),
        ("&", "\\u0026"),
        ("\u2028", "\\u2028"),
        ("\u2029", "\\u2029"),
    ):
        text = text.replace(letter, written)
    return text
