"""The one script of a page: itables' offline bundle of DataTables, and the few lines of ours that start it.

The tables are whole without it: a page with scripts off, or printed, shows the same rows, unsorted.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files
from pathlib import Path

OWN = Path(__file__).parents[1] / "templates" / "page.js"
_EXPORTS = re.compile(r"\bexport\s*\{([^{}]*)\}\s*;")
CSP = "default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'unsafe-inline'; img-src data:"
"""What every page may do: show itself. A page with tables adds the hash of its script."""


@cache
def script() -> str:
    """The text of a page's module script.

    Raises:
        RuntimeError: the installed itables has another bundle than expected.
    """
    bundle = (files("itables") / "html" / "dt_bundle.js").read_text(encoding="utf-8")
    exports = _EXPORTS.search(bundle)
    name = re.search(r"([\w$]+) as default", exports[1]) if exports else None
    if exports is None or name is None:
        raise RuntimeError("itables' dt_bundle.js has no default export; expected itables 2.x, see constraints.txt")
    own = OWN.read_text(encoding="utf-8")
    bundle = bundle[: exports.start()] + bundle[exports.end() :]  # what follows are the licences
    bundle = bundle.replace("<!--", "<\\!--")  # else HTML would read a comment inside the script
    text = f"{bundle}\n{{\nconst DataTable = {name[1]};\n{own}\n}}\n"
    if re.search(r"</script|\r|\0", text, re.IGNORECASE):
        raise RuntimeError(
            "itables' dt_bundle.js cannot stand inside a page; expected itables 2.x, see constraints.txt"
        )
    return text


@cache
def policy() -> str:
    """The Content-Security-Policy of a page with that script, and no other."""
    digest = base64.b64encode(hashlib.sha256(script().encode()).digest()).decode()
    return f"{CSP}; script-src 'sha256-{digest}'"
