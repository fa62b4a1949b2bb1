"""streamqrs sources."""


def command() -> None:
    """Not written yet."""
    raise NotImplementedError
