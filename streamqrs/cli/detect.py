"""streamqrs detect."""


def command() -> None:
    """Not written yet."""
    raise NotImplementedError
