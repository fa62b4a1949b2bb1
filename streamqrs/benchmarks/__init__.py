"""Benchmarks: what streamqrs costs and how well it does, measured on the machine that asks.

Each module measures one thing and returns plain records; ``streamqrs bench`` prints them, writes them as JSON and draws
them. Nothing here has a stage of its own: what is timed and scored is the `Detector` that runs, and the programs that a
user starts.
"""
