"""Checks of the guesses that come before a result: one of several choices, or a number."""

from collections.abc import Sequence

from checks.verdict import Verdict, as_number, quote

KEY = object()  # the guess that the answer key makes: the result itself
NONE_YET, WRONG = "No guess yet", "A surprise"


def check_guess(guess, result, choices: Sequence[str] = (), *, within: float = 0.0) -> Verdict:
    """Compare a guess with the result.

    Args:
        guess: One of the choices, or a number; None if there is no guess yet.
        result: What it is: one of the choices, or a number.
        choices: The choices; none if the guess is a number.
        within: Largest difference from a number at which the guess is correct.

    Returns:
        The verdict; its message states the result only if there is a guess.
    """
    if guess is None:
        listed = ", ".join(map(quote, choices)) or "a number"
        return Verdict(False, f"write one in the cell above ({listed}), run that cell, then this one.", NONE_YET)
    if choices:
        return _check_choice(result if guess is KEY else guess, result, choices)
    return _check_number(result if guess is KEY else guess, float(result), within)


def _check_choice(guess, result: str, choices: Sequence[str]) -> Verdict:
    words = str(guess).strip().lower() if type(guess) in (str, int, float) else None
    given = next((choice for choice in choices if choice.lower() == words), None)
    if given is None:
        return Verdict(False, f"{quote(guess)} is not one of {', '.join(map(quote, choices))}.", NONE_YET)
    if given == result:
        return Verdict(True, f"it is {quote(result)}.")
    return Verdict(False, f"you guessed {quote(given)}, and it is {quote(result)}. Why?", WRONG)


def _check_number(guess, result: float, within: float) -> Verdict:
    try:
        number = as_number(float(guess) if isinstance(guess, str) else guess)
    except ValueError:
        number = None
    if number is None:
        return Verdict(False, f"{quote(guess)} is not a number, such as 0.5.", NONE_YET)
    if abs(number - result) <= within:
        return Verdict(True, f"it is {_number(result)}.")
    return Verdict(False, f"you guessed {_number(number)}, and it is {_number(result)}. Why?", WRONG)


def _number(value: float) -> str:
    """A number with two decimals at most, without zeros at its end."""
    return f"{round(value, 2) + 0.0:,.2f}".rstrip("0").rstrip(".")
