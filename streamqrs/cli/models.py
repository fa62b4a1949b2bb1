"""streamqrs models."""


def command() -> None:
    """Not written yet."""
    raise NotImplementedError
