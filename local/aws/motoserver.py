"""Moto's server, without what takes most of the time of a small request.

Without these lines it lists the folders of all its services and prints a line
for each request.
"""

import functools

import moto.backends
from moto.server import main
from werkzeug.serving import WSGIRequestHandler

folders = moto.backends.list_of_moto_modules
moto.backends.list_of_moto_modules = functools.cache(lambda: frozenset(folders()))
WSGIRequestHandler.log_request = lambda *_, **__: None

main()
