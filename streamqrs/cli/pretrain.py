"""streamqrs pretrain."""


def command() -> None:
    """Not written yet."""
    raise NotImplementedError
