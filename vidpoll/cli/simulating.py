"""The command `simulate`: runs simulated providers in the foreground, and prints the settings for another shell."""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import vidpoll
from vidpoll.provider import ways

from .context import Arguments, Command, Context, count, speed
from .output import COMPLETED, NOT_COMPLETED, Output

if TYPE_CHECKING:
    from vidpoll.testing import Simulation


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names", nargs="*", default=(), metavar="NAME", help="the providers to simulate (default: all installed ones)"
    )
    parser.add_argument("--speed", type=speed, default=1.0, metavar="N", help="run time N times as fast (1)")
    parser.add_argument("--seed", type=int, metavar="N", help="the same N gives the same job ids and stage lengths")
    parser.add_argument(
        "--slots", type=count, metavar="N", help="each provider refuses a submit while N of its jobs are unfinished"
    )
    parser.add_argument(
        "--port-base",
        type=count,
        metavar="PORT",
        help="the port of the first provider; the others use the next ports (default: free ports)",
    )


def _simulate(args: Arguments, context: Context) -> int:
    from vidpoll.testing import simulate  # no other command needs it

    with context.client() as client:
        providers = client.providers
    names = list(simulate(*args.names).faces)
    ports = None if args.port_base is None else {name: args.port_base + number for number, name in enumerate(names)}
    if ports and max(ports.values()) > 65535:
        raise vidpoll.UsageError(
            f"--port-base {args.port_base}: the last port would be {max(ports.values())}, above 65535; use a lower one"
        )
    seed = secrets.randbelow(1_000_000) if args.seed is None else args.seed
    simulation = simulate(*names, speed=args.speed, seed=seed, ports=ports)
    try:
        simulation.start()
    except OSError as error:
        context.out.error(_not_listening(error))
        return NOT_COMPLETED
    for name in names:
        simulation.limit_slots(name, args.slots)
    try:
        _serve(simulation, providers, context.out, seed)
    except KeyboardInterrupt:
        return COMPLETED
    finally:
        simulation.close()
    return COMPLETED


def _not_listening(error: OSError) -> str:
    """Which port, why, and what to do; an error that is not about a port names none."""
    if error.filename is None:
        return f"the simulator cannot listen: {error.strerror or type(error).__name__}"
    why = os.strerror(error.errno or 0)
    return (
        f"the simulator cannot listen on {error.filename}: {why}; name other ports with --port-base PORT, "
        "or leave it out for free ports"
    )


def _serve(simulation: Simulation, providers: Mapping[str, vidpoll.Provider], out: Output, seed: int) -> None:
    names = ", ".join(simulation.faces)
    out.error(
        f"simulating {names} (--seed {seed} repeats this run); paste these lines into another shell, which then has "
        "simulated jobs only; Ctrl-C ends it"
    )
    for name, url in simulation.base_urls.items():
        settings = {f"{name.upper().replace('-', '_')}_BASE_URL": url}
        key, provider = simulation.keys[name], providers.get(name)
        if key is not None and provider is not None:
            settings |= dict.fromkeys(ways(provider.auth)[0].variables, key)
        out.line("export " + " ".join(f"{variable}={shlex.quote(value)}" for variable, value in settings.items()))
    with _own_store() as store:
        out.line(f"export VIDPOLL_STORE={shlex.quote(store)}")
        while not out.gone.wait(3600.0):
            pass


@contextlib.contextmanager
def _own_store() -> Iterator[str]:
    """A store for simulated jobs, so that they do not lie among real ones. It stays if it was used."""
    folder = Path(tempfile.mkdtemp(prefix="vidpoll-simulated-"))
    try:
        yield str(folder / "jobs.sqlite3")
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()


COMMAND = Command(
    "simulate",
    "run simulated providers on this machine, to test scripts against them",
    _arguments,
    _simulate,
    "vidpoll simulate magicoal token360 --port-base 8700",
    "No key and no account are needed, and nothing is billed. With a --speed above 1, a wait may miss short stages.\n"
    "Your own script runs against the simulator unchanged: first paste the printed export lines into its shell.\n"
    'To make a job fail, start the simulator in Python: vidpoll.testing.simulate has fail_next, see "Test your own\n'
    'code" in docs/cookbook.md.',
)
