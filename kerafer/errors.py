"""The error that a user can act on."""


class UserError(ValueError):
    """A mistake in what the user gave, told in the user's words.

    The message states the rule and then what came. The command line prints it
    without a traceback and exits with code 2; in Python it is a `ValueError`.
    """


def first_line(error: BaseException, most: int = 200) -> str:
    """What an error of another package says, cut to a line."""
    return (str(error).strip().splitlines() or [""])[0][:most]
