"""The command line: one file a command. A command parses and prints; the work is done by plain functions."""
