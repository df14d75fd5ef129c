"""The one error a user can cause: entries print it as a single line and exit with 2."""


class InputError(Exception):
    """What is wrong, where, and what to do, in one line meant for the person at the terminal."""
