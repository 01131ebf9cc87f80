"""`application` for servers that take a file: `uwsgi --http :8080 --wsgi-file wsgi_main.py`.

Works in a checkout too in which EMDC is not installed, if the packages are that it needs.
"""

import importlib.util
import sys
from pathlib import Path

if importlib.util.find_spec("emdc") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

from emdc.wsgi import application

__all__ = ["application"]
