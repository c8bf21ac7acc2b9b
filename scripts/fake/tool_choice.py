"""Finds the tool that a scenario needs among those on offer, and fills in its arguments.

A shell is recognised by what it takes (a `command`), not by its name, so that any agent's will do; names only
settle ties.
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

from scripts.fake.instances import smallest
from scripts.fake.view import Call, JsonObject, Offer, View

_SHELL_KEYS: Final = ("command", "cmd", "commands", "script")
_SHELL_NAMES: Final = re.compile(
    r"bash|shell|exec|terminal|run_command|run_terminal", re.IGNORECASE
)
_PATH_KEYS: Final = ("file_path", "filePath", "absolute_path", "path", "filename")
_OLD_KEYS: Final = ("old_string", "oldString", "old_str", "old_text")
_NEW_KEYS: Final = ("new_string", "newString", "new_str", "new_text")
_CONTENT_KEYS: Final = ("content", "file_text", "contents")
_PROPER_NOUN: Final = re.compile(r"(?<![.!?:\"'] )(?<=\s)([A-Z][\w-]+(?: [A-Z][\w-]+)*)")


def properties(offer: Offer) -> JsonObject:
    """The properties that a tool takes, by name."""
    found = offer.schema.get("properties")
    return found if isinstance(found, dict) else {}


def call(offer: Offer, **known: Any) -> Call:
    """Call a tool with these arguments; other required ones get the smallest value that fits."""
    arguments = smallest(offer.schema, "fake") if offer.schema else {}
    base = arguments if isinstance(arguments, dict) else {}
    wanted = {key: value for key, value in known.items() if value is not None}
    return Call(offer, orjson.dumps({**base, **wanted}).decode())


def takes_plain_text(offer: Offer) -> bool:
    """True for a freeform tool, also one that a gateway dressed up as a function with one `input`."""
    return offer.freeform or list(properties(offer)) == ["input"]


def text_call(offer: Offer, text: str) -> Call:
    """Call a tool that takes plain text."""
    return Call(offer, text) if offer.freeform else call(offer, input=text)


def find(view: View, name: str) -> Offer | None:
    """The offer of that name, or None."""
    return next((offer for offer in view.offers if offer.name == name), None)


def shell(view: View) -> Offer | None:
    """The tool that runs a command, or None."""
    takers = [offer for offer in view.offers if _shell_key(offer)]
    needed = [offer for offer in takers if _shell_key(offer) in offer.schema.get("required", ())]
    named = [offer for offer in needed or takers if _SHELL_NAMES.search(offer.name)]
    freeform = [
        offer
        for offer in view.offers
        if takes_plain_text(offer) and _SHELL_NAMES.search(offer.name)
    ]
    return next(iter(named or needed or takers or freeform), None)


def _shell_key(offer: Offer) -> str | None:
    return next((key for key in _SHELL_KEYS if key in properties(offer)), None)


def shell_call(offer: Offer, command: str) -> Call:
    """Run `command` with a shell tool, in whatever form that tool takes it."""
    if takes_plain_text(offer):
        # Codex' freeform `exec` takes a script in which the plain tools are functions.
        script = (
            f"const r = await tools.exec_command({{cmd: {orjson.dumps(command).decode()}}});\n"
            "text(typeof r === 'string' ? r : JSON.stringify(r));\n"
        )
        return text_call(offer, script)
    key = _shell_key(offer) or "command"
    if properties(offer).get(key, {}).get("type") in ("array", "ARRAY"):
        return call(offer, **{key: ["bash", "-c", command]})
    extra = {"description": "Run a command"} if "description" in properties(offer) else {}
    return call(offer, **{key: command}, **extra)


def editor(view: View) -> Offer | None:
    """The tool that replaces one text by another in a file, or None."""
    return _having(view, _PATH_KEYS, _OLD_KEYS, _NEW_KEYS)


def edit_call(offer: Offer, path: str, old: str, new: str) -> Call:
    """Replace `old` by `new` in the file at `path`."""
    keys = [_first(offer, group) for group in (_PATH_KEYS, _OLD_KEYS, _NEW_KEYS)]
    return call(offer, **dict(zip(keys, (path, old, new), strict=True)), **_reasons(offer))


def writer(view: View) -> Offer | None:
    """The tool that writes a whole file, or None."""
    return _having(view, _PATH_KEYS, _CONTENT_KEYS)


def write_call(offer: Offer, path: str, content: str) -> Call:
    """Write `content` to the file at `path`."""
    keys = [_first(offer, group) for group in (_PATH_KEYS, _CONTENT_KEYS)]
    return call(offer, **dict(zip(keys, (path, content), strict=True)))


def reader(view: View) -> Offer | None:
    """The tool that reads a file, or None."""
    return next((offer for offer in view.offers if _reads(offer, "read")), None)


def viewer(view: View) -> Offer | None:
    """The tool that shows an image file to the model: one of its own, else the one that reads files."""
    own = (offer for offer in view.offers if _reads(offer, "view_image"))
    return next(own, None) or reader(view)


def _reads(offer: Offer, name: str) -> bool:
    needed = offer.schema.get("required", ())
    return name in offer.name.lower() and len(needed) == 1 and needed[0] in _PATH_KEYS


def read_call(offer: Offer, path: str) -> Call:
    """Read the file at `path`."""
    return call(offer, **{_first(offer, _PATH_KEYS): path})


def patcher(view: View) -> Offer | None:
    """The tool that takes a patch as plain text, or None."""
    return next(
        (offer for offer in view.offers if takes_plain_text(offer) and "patch" in offer.name), None
    )


def _reasons(offer: Offer) -> JsonObject:
    wanted = [key for key in ("instruction", "explanation") if key in properties(offer)]
    return dict.fromkeys(wanted, "Replace the word")


def _having(view: View, *groups: tuple[str, ...]) -> Offer | None:
    for offer in view.offers:
        if all(_first(offer, group) for group in groups):
            return offer
    return None


def _first(offer: Offer, keys: tuple[str, ...]) -> str:
    return next((key for key in keys if key in properties(offer)), "")


def subjects(prompt: str) -> list[str]:
    """The names in a prompt (`Oslo`, `New York`): capitalised words that do not begin a sentence."""
    found = _PROPER_NOUN.findall(" " + prompt.replace("\n", " "))
    start = prompt.strip().split(" ")[0] if prompt.strip() else ""
    return list(dict.fromkeys(name for name in found if name != start))


def plain_call(view: View, offer: Offer, ordinal: int) -> Call:
    """Call any tool: its first required text is the `ordinal`th name in the prompt, or the prompt itself."""
    if takes_plain_text(offer):
        return text_call(offer, view.prompt[:80] or "fake")
    needed = [
        key
        for key in offer.schema.get("required", ())
        if properties(offer).get(key, {}).get("type") in ("string", "STRING")
        and not properties(offer)[key].get("enum")
    ]
    if not needed:
        return call(offer)
    names = subjects(view.prompt)
    value = names[ordinal % len(names)] if names else (view.prompt[:80] or "fake")
    return call(offer, **{needed[0]: value})
