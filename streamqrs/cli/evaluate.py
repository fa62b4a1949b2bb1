"""streamqrs evaluate."""


def command() -> None:
    """Not written yet."""
    raise NotImplementedError
