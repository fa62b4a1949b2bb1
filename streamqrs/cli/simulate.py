"""streamqrs simulate."""


def command() -> None:
    """Not written yet."""
    raise NotImplementedError
