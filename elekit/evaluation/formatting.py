"""Figures and counts in words."""


def percent(share: float) -> str:
    """ "97 %"; one digit more below 10 %, and never "100 %" of what is not all."""
    if 0.995 <= share < 1:
        return "over 99 %"
    return f"{100 * share:.0f} %" if share >= 0.0995 or share == 0 else f"{100 * share:.1f} %"


def figure(value: float) -> str:
    """A loss or a ratio in two to three digits."""
    return (
        f"{value:.0f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 0.1 or value == 0 else f"{value:.2g}"
    )


def joined(words: list[str], last: str = "and") -> str:
    """ "a, b and c"."""
    return f" {last} ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def counted(number: int, noun: str) -> str:
    """ "1 graph", "1,200 graphs"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def things(molecular: bool) -> dict[str, str]:
    """What the parts are called."""
    if molecular:
        return {"graph": "molecule", "node": "atom", "edge": "bond", "label": "element"}
    return {"graph": "graph", "node": "node", "edge": "edge", "label": "label"}
