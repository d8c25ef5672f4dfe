"""The only script of a page: itables' offline bundle of DataTables, and the few lines of page.js that start it.

Tables are complete without it: printed, or with scripts off, a page shows the same rows.
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
"""The policy of every page: load nothing from outside. A page with tables adds the hash of its script."""


@cache
def script() -> str:
    """Return the text of a page's module script.

    Raises:
        RuntimeError: the bundle of the installed itables is not as expected.
    """
    bundle = (files("itables") / "html" / "dt_bundle.js").read_text(encoding="utf-8")
    exports = _EXPORTS.search(bundle)
    name = re.search(r"([\w$]+) as default", exports[1]) if exports else None
    if exports is None or name is None:
        raise RuntimeError("itables' dt_bundle.js has no default export; install itables 2.x (see constraints.txt)")
    own = OWN.read_text(encoding="utf-8")
    bundle = bundle[: exports.start()] + bundle[exports.end() :]  # keep the licences after the exports
    bundle = bundle.replace("<!--", "<\\!--")  # else HTML would read a comment inside the script
    text = f"{bundle}\n{{\nconst DataTable = {name[1]};\n{own}\n}}\n"
    if re.search(r"</script|\r|\0", text, re.IGNORECASE):
        raise RuntimeError(
            "itables' dt_bundle.js cannot be embedded in a page; install itables 2.x (see constraints.txt)"
        )
    return text


@cache
def policy() -> str:
    """Return the Content-Security-Policy that allows this script and no other."""
    digest = base64.b64encode(hashlib.sha256(script().encode()).digest()).decode()
    return f"{CSP}; script-src 'sha256-{digest}'"
