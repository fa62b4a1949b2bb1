"""``python -m streamqrs``: the command line, where its script is not on the path."""

from streamqrs.cli.app import main

if __name__ == "__main__":
    main()
