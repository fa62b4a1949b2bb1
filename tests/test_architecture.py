"""Who may import whom (design: one-way arrows), and what loading the package costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import streamqrs

ROOT = Path(streamqrs.__file__).parent
ADAPTERS = Path(__import__("streamqrs.adapters", fromlist=["_"]).__file__).parent

STAGES = {
    "resample",
    "clock",
    "window",
    "merge",
    "peaks",
    "gate",
    "quality",
    "model",
    "life",
    "settings",
    "rhythm",
    "lock",
    "templates",
    "followers",
    "confirm",
}
ALLOWED = {
    "types": set(),
    "errors": set(),
    **{stage: {"types", "errors", "resample"} for stage in STAGES},
    "intervals": set(),
    "odds": set(),
    "rhythm": {"types", "intervals", "odds"},
    "lock": {"types"},
    "shapes": {"types"},
    "innovations": {"types", "shapes"},
    "templates": {"types", "shapes", "innovations", "odds"},
    "likeness": {"types", "shapes", "innovations"},
    "expectation": {"types", "intervals"},
    "gate": {"types", "settings", "lock", "expectation", "likeness", "followers"},
    "followers": {"types", "odds"},
    "confirm": {"types", "settings", "peaks", "templates", "followers", "rhythm"},
    "inference": {"types", "model", "window", "quality"},
    "ports": {"types", "errors"},
    "latency": {"types"},
    "metrics": {"types", "errors"},
    "marks": {"types", "errors"},
    "events": {"types"},
    "detector": STAGES | {"types", "errors", "inference"},
    "offline": {"types", "errors", "detector", "model"},
    "budget": {"types", "resample", "settings"},
    "triggers": {"types"},
    "cadence": set(),
    "alarm": set(),
    "realtime": set(),
    "summary": {"latency"},
    "queues": {"types", "errors", "ports", "cadence", "triggers"},
    "post": {"types", "errors", "ports", "queues", "alarm", "summary", "triggers"},
    "worker": {"types", "detector", "queues", "post", "summary", "triggers"},
    "engine": {
        "types",
        "errors",
        "ports",
        "budget",
        "detector",
        "queues",
        "summary",
        "triggers",
        "worker",
        "post",
    },
}
ONLY_IN = {
    "torch": ("training/",),
    "onnxruntime": ("model.py", "training/export.py"),
    "asyncio": ("engine.py", "queues.py", "ports.py", "adapters/", "benchmarks/", "cli/"),
    "typer": ("cli/",),
    "rich": ("cli/", "adapters/console.py", "adapters/screen.py"),
    "time": (
        "benchmarks/",
        "alarm.py",
        "queues.py",
        "post.py",
        "worker.py",
        "latency.py",
        "adapters/",
        "cli/",
        "training/",
    ),
}


def modules():
    for path in sorted(ROOT.rglob("*.py")):
        yield path.relative_to(ROOT).as_posix(), path
    for path in sorted(ADAPTERS.glob("*.py")):
        yield f"adapters/{path.name}", path


def imports(path):
    """Every module that a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module == "streamqrs")


@pytest.mark.parametrize(("name", "path"), [*modules()], ids=lambda v: v if isinstance(v, str) else "")
def test_imports_follow_the_arrows(name, path):
    found = set(imports(path))
    for library, homes in ONLY_IN.items():
        if any(module.split(".")[0] == library for module in found):
            assert name.startswith(homes), f"{name} imports {library}: allowed in {', '.join(homes)}"
    ours = {m.split(".")[1] for m in found if m.startswith("streamqrs.") and (ROOT / f"{m.split('.')[1]}.py").exists()}
    ours |= {
        m.split(".")[1]
        for m in found
        if m.startswith(("streamqrs.training", "streamqrs.cli", "streamqrs.adapters", "streamqrs.benchmarks"))
    }
    key = name.removesuffix(".py")
    if key in ALLOWED:
        assert ours <= ALLOWED[key] | {key}, f"{name} imports {sorted(ours - ALLOWED[key])}"
    if not name.startswith(("adapters/", "cli/")):
        assert "adapters" not in ours, f"{name} imports an adapter by name"
    if not name.startswith(("cli/", "training/")):
        assert "training" not in ours
        assert name == "__main__.py" or "cli" not in ours
    if not name.startswith(("cli/", "benchmarks/")):
        assert "benchmarks" not in ours


def test_loading_the_package_and_asking_for_help_loads_nothing_heavy():
    code = (
        "import sys, streamqrs, streamqrs.cli.app\n"
        "heavy = {'torch', 'onnxruntime', 'scipy', 'pylsl', 'aiomqtt', 'wfdb', 'matplotlib'} & sys.modules.keys()\n"
        "sys.exit(' '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_python_m_is_the_command_line():
    code = [sys.executable, "-m", "streamqrs"]
    done = [
        subprocess.run([*code, *given], capture_output=True, text=True, check=False)
        for given in (["--version"], ["rnu"])
    ]
    assert (done[0].returncode, done[0].stdout) == (0, f"streamqrs {streamqrs.__version__}\n")
    assert done[1].returncode == 2
    assert "No such command 'rnu'. Did you mean 'run'?" in done[1].stderr


def test_modules_are_of_a_readable_size():
    too_long = {name: n for name, path in modules() if (n := len(path.read_text().splitlines())) > 320}
    assert not too_long
