"""vidpoll: the last polling loop for AI video jobs. Only re-exports live here; importing it starts nothing."""

from __future__ import annotations

from . import parsing
from .errors import Refused
from .hookspecs import hookimpl
from .model import Asset, Cost, Page, Problem, Quota, Request, Response, Snapshot, State, Submitted
from .provider import Basic, Bearer, Follow, KeyHeader, Minted, NoAuth, Operation, Pacing, Provider, Stage
