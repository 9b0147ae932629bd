"""Serve: answers over HTTP, and a page to try them on.

A request is hostile until parsed: Host, Origin and token are checked first, then the size, then each cell is read as
its kind; no path and no URL that a request names is ever opened. Reading and encoding run in a few threads, the
session in one, in batches (batcher.py). Everything is written against the Task contract; no task is named here.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import logging
import os
import re
import secrets
import socket
import time
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from jinja2 import Environment, FileSystemLoader
from pydantic import Field
from starlette.datastructures import Headers, MutableHeaders, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .. import __version__
from ..display import Display
from ..finding import BadInput, nearest
from ..kind import Unreadable
from ..recipe import Section
from ..run import Run
from ..storage import file_digest, read_json, write_json
from ..task import Task
from .batcher import Batcher, Metrics, QueueFull
from .export import export_run
from .session import OnnxPredictor

__all__ = ["ServeSection", "build_app", "serve_run"]
