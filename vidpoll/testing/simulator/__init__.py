"""Play video providers on loopback: real HTTP servers, simulated time, no account and no cost.

This package exports the names that users, provider faces and tests import. Its modules are

- ``timeline``: jobs, their stages and the queue (pure: time is an argument);
- ``limits``: counting windows and the poll floor (pure);
- ``assets``: the files of a finished job, served with Range;
- ``wire``: the HTTP server, the only file that touches sockets;
- ``face``: the base class of a provider's face;
- ``sample_face`` and ``answers``: a face without code, played from the samples of a provider's contract;
- ``recorded_face``: a face that plays recorded traffic;
- ``engine``: the :class:`Simulator`, the only file that reads a clock.

Only ``sample_face``, ``answers`` and their helpers may import the rest of vidpoll. No module imports anything else
outside the standard library.
"""

from __future__ import annotations

from .assets import Asset, RangeMalformed, RangeNotSatisfiable, audio, image, parse_range, serve, subtitles, video
from .engine import Exchange, Simulator
from .face import Clock, Face, Route
from .limits import Allowance, Floor, Window
from .recorded_face import RecordedFace
from .sample_face import SampleFace
from .timeline import Fate, Job, Jobs, Moment, Stage, Timeline
from .wire import Reply, Request, json_reply, text_reply

__all__ = [
    "Allowance",
    "Asset",
    "Clock",
    "Exchange",
    "Face",
    "Fate",
    "Floor",
    "Job",
    "Jobs",
    "Moment",
    "RangeMalformed",
    "RangeNotSatisfiable",
    "RecordedFace",
    "Reply",
    "Request",
    "Route",
    "SampleFace",
    "Simulator",
    "Stage",
    "Timeline",
    "Window",
    "audio",
    "image",
    "json_reply",
    "parse_range",
    "serve",
    "subtitles",
    "text_reply",
    "video",
]
