"""The import rule of the house: nothing points against the arrow."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BOT = ROOT / "bot"
PLANTED = ROOT / "tests" / "soak" / "planted"
LAYERS = ["errors", "domain", "ports", "services", "adapters"]
LAYERS += ["check", "storage", "zoho", "organisation", "loops", "connection", "doctor", "app"]
LAYERS += ["__main__"]
TOP = set(LAYERS[LAYERS.index("check") :])
AROUND = {
    "settings": TOP | {"sandbox"},
    "logs": TOP | {"services", "adapters", "sandbox"},
    "clock": TOP | {"adapters"},
}


def imports(file: Path) -> set[str]:
    """Every module of ours that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "bot":
            module = str(node.module)
            found |= {f"{module}.{name.name}" for name in node.names} | {module}
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names if name.name.split(".")[0] == "bot"}
    return {module for module in found if module != "bot"}


def layer(module: str) -> str:
    return module.split(".")[1]


MODULES = {
    ".".join(file.relative_to(ROOT).with_suffix("").parts): file
    for file in sorted(BOT.rglob("*.py"))
    if file.name != "__init__.py"
}
INNER = [m for m in MODULES if layer(m) in LAYERS[:-1]]
SANDBOX = [m for m in MODULES if layer(m) == "sandbox"]


@pytest.mark.parametrize("module", INNER)
def test_a_layer_imports_only_layers_below_it_or_itself(module: str):
    allowed = set(LAYERS[: LAYERS.index(layer(module)) + 1]) | {"__version__"}
    allowed |= {name for name, users in AROUND.items() if layer(module) in users}
    assert {layer(found) for found in imports(MODULES[module])} <= allowed


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith("bot.adapters.")])
def test_adapters_do_not_import_one_another(module: str):
    mine = module.split(".")[2]
    others = {m.split(".")[2] for m in imports(MODULES[module]) if m.startswith("bot.adapters.")}
    assert others <= {mine}


def test_nothing_is_put_together_from_more_than_seven_things():
    """More belong together, and have a name: an organisation, its services, how a call is tried."""
    made_of = {
        (module, made.name): [*found.args.args[1:], *found.args.kwonlyargs]
        for module, file in MODULES.items()
        for made in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(made, ast.ClassDef)
        for found in made.body
        if isinstance(found, ast.FunctionDef) and found.name == "__init__"
    }
    assert [name for name, things in made_of.items() if len(things) > 7] == []


@pytest.mark.parametrize("module", SANDBOX)
def test_the_emulators_know_the_wire_only(module: str):
    reached = {layer(found) for found in imports(MODULES[module])}
    only_run = {"app", "settings", "domain"} if module == "bot.sandbox.run" else set()
    assert reached <= {"errors", "sandbox", "__version__"} | only_run


def test_there_is_no_import_circle():
    """Imports for type checking count: who needs them to be read needs them to be understood."""
    arrows = {m: imports(file) & MODULES.keys() - {m} for m, file in MODULES.items()}
    TopologicalSorter(arrows).prepare()


def test_no_file_of_the_sandbox_has_the_name_of_its_folder_or_of_a_sibling_before_its_own():
    for folder in {MODULES[module].parent for module in SANDBOX}:
        names = {file.stem for file in folder.iterdir()} - {"__init__"} | {folder.name}
        assert [n for n in names if any(n.startswith(f"{other}_") for other in names)] == []


@pytest.mark.parametrize("module", INNER)
def test_the_bot_does_not_know_that_a_sandbox_exists(module: str):
    assert "sandbox" not in MODULES[module].read_text(encoding="utf-8").lower()


@pytest.mark.parametrize(
    ("command", "unwanted"),
    [
        (
            "import bot.__main__",
            ["slack_bolt", "sqlalchemy", "aiohttp", "httpx", "prometheus_client"],
        ),
        ("import bot.check", ["slack_bolt", "sqlalchemy", "aiohttp", "httpx", "bot.app"]),
        (
            "import bot.sandbox.slack.serving",
            ["slack_bolt", "sqlalchemy", "bot.domain", "bot.app"],
        ),
        ("import bot.sandbox.cliq.serving", ["httpx", "sqlalchemy", "bot.domain", "bot.app"]),
        ("import bot.domain.change", ["httpx", "sqlalchemy", "aiohttp", "slack_sdk"]),
    ],
)
def test_importing_one_thing_does_not_drag_in_another(command: str, unwanted: list[str]):
    script = f"{command}\nimport sys\nprint([m for m in {unwanted!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("patch", sorted(PLANTED.iterdir()), ids=lambda patch: patch.stem)
def test_every_bug_can_still_be_planted(patch: Path):
    """A patch moves with the code that it touches, or the long runs would prove nothing."""
    dry = ["patch", "-p1", "--dry-run", "--batch", "--forward", "--fuzz=0", "-i", str(patch)]
    tried = subprocess.run(dry, cwd=ROOT, capture_output=True, text=True)
    assert tried.returncode == 0, tried.stdout
