"""`manage.py` with the server's keepalive in fast motion.

    python tests/support/hurried_server.py OPTIONS COMMAND…

OPTIONS is what takes the place of `grpc_api.transport.grpcio.OPTIONS`, in JSON.
"""

import json
import os
import sys
from pathlib import Path

# In place of this folder, whose modules would hide some of Python's own.
sys.path[0] = str(Path(__file__).parents[2])
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rainbow_site.settings")

import django  # noqa: E402
from django.core.management import execute_from_command_line  # noqa: E402

django.setup()

from grpc_api.transport import grpcio  # noqa: E402

_, options, *words = sys.argv
grpcio.OPTIONS[:] = [(name, value) for name, value in json.loads(options)]
execute_from_command_line(["manage.py", *words])
