"""The commands about accounts and about vidpoll itself: jobs, quota, providers, plugins.

Each makes one query and prints the result. This module has no waiting and no network code.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from itertools import islice

import vidpoll
from vidpoll import redact
from vidpoll.installing import PACK, from_clone
from vidpoll.model import amount
from vidpoll.provider import ways

from .context import Arguments, Command, Context, as_json, bounded, count, where
from .deadline import Deadline
from .fields import fields, provider_of, with_fields
from .lost_submits import PARTIAL, shows_running
from .output import COMPLETED, NOT_COMPLETED, iso, job_object, status_line
from .store_commands import local_arguments, local_jobs


def _jobs_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="ACCOUNT", help="the provider's name, or that of an --account")
    fields(parser, "the provider's own fields for its list")
    parser.add_argument("--limit", type=count, default=50, metavar="N", help="show at most N jobs (50)")
    local_arguments(parser)
    bounded(parser)
    where(parser)
    as_json(parser)


def _jobs(args: Arguments, context: Context) -> int:
    if args.local:
        return local_jobs(args, context)
    if args.forget or args.forget_before is not None:
        raise vidpoll.UsageError("jobs: --forget and --forget-before apply to the jobs kept here: add --local")
    if args.name is None:
        raise vidpoll.UsageError("jobs: name an ACCOUNT, or add --local for the jobs kept here")
    deadline = Deadline(context.clock, args.timeout)
    with context.client([args.name], args, within=args.timeout, keep=False) as client:
        provider = provider_of(client, args)
        rows = with_fields(partial(client.jobs, args.name), args.fields, provider.list)
        none = True
        for job in islice(rows, args.limit):
            none = False
            if deadline.over:
                context.out.error(
                    f"the list was not complete within {args.timeout:g} s; --timeout {args.timeout * 4:g} allows more"
                )
                return NOT_COMPLETED
            if args.json:
                context.out.json(job_object(job))
            else:
                context.out.line(status_line(job, 0.0))
            if context.out.gone.is_set():
                return COMPLETED
        if none:
            partial_list = "" if shows_running(provider) else f"; {PARTIAL}"
            context.out.error(f"{args.name} lists no job{partial_list}")
        elif next(rows, None) is not None:
            context.out.error(f"there are more than {args.limit}; --limit {args.limit * 4} shows more")
    return COMPLETED


def _quota_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="ACCOUNT", help="the provider's name, or that of an --account")
    bounded(parser)
    where(parser)
    as_json(parser)


def _quota(args: Arguments, context: Context) -> int:
    with context.client([args.name], args, within=args.timeout) as client:
        quota = client.quota(args.name)
    said = {
        "account": args.name,
        "plan": None if quota.plan is None else redact.text(quota.plan, limit=100),
        "limit": quota.limit,
        "used": quota.used,
        "remaining": quota.remaining,
        "unlimited": quota.unlimited,
        "balance": quota.balance,
        "prices": dict(quota.prices),
        "unit": redact.text(quota.unit, limit=40),
        "reset_at": iso(quota.reset_at),
    }
    if args.json:
        context.out.json(said)
        return COMPLETED
    unit = redact.text(quota.unit, limit=40)
    videos = [f"{quota.used} used"] if quota.used is not None else []
    videos += [f"{quota.remaining} left"] if quota.remaining is not None and not quota.unlimited else []
    videos += ["no limit"] if quota.unlimited else [f"limit {quota.limit}"] if quota.limit is not None else []
    rows = [
        ("plan", said["plan"]),
        ("videos", ", ".join(videos)),
        ("balance", None if quota.balance is None else f"{amount(quota.balance)} {unit}"),
        ("prices", ", ".join(f"{kind} {amount(price)} {unit}" for kind, price in quota.prices.items())),
        ("resets", said["reset_at"]),
    ]
    for name, value in rows:
        if value:
            context.out.line(f"{name:<8} {value}")
    return COMPLETED


def _names(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help="show only these, with details")
    as_json(parser)


def _providers(args: Arguments, context: Context) -> int:
    with context.client() as client:
        if args.names:
            _details([client.provider(name) for name in args.names], args, context)
            return COMPLETED
        rows = [(name, report.version, report.distribution) for report in client.plugins for name in report.providers]
    if not rows:
        context.out.error(f"no provider is installed: install a plugin, like {from_clone(PACK)}")
        return NOT_COMPLETED
    if args.json:
        for row in sorted(rows):
            context.out.json(dict(zip(("name", "version", "distribution"), row, strict=True)))
    else:
        context.out.table([("NAME", "VERSION", "DISTRIBUTION"), *((a, b or "-", c) for a, b, c in sorted(rows))])
    return COMPLETED


def _details(providers: Sequence[vidpoll.Provider], args: Arguments, context: Context) -> None:
    """Show each provider with the variable of its key and whether that is set; the value is never read."""
    rows = [("NAME", "BASE URL", "KEY", "OPERATIONS")]
    for provider in providers:
        variable = f"{provider.name.upper().replace('-', '_')}_BASE_URL"
        url = redact.base_url(os.environ.get(variable) or provider.base_url)
        keys = {key: bool(os.environ.get(key)) for key in provider.auth.variables}
        if args.json:
            said = {"name": provider.name, "base_url": url, "keys": keys, "key_required": provider.auth.required}
            operations = provider.operations()
            fields = {name: dict(each.fields) for name, each in operations.items() if each.fields}
            pacing = {"floor": provider.pacing.floor, "typical": provider.pacing.typical}
            context.out.json({**said, **pacing, "operations": list(operations), "fields": fields})
        missing = "not set" if provider.auth.required else "not set, not needed"
        told = {key: f"{key} ({'set' if there else missing})" for key, there in keys.items()}
        shown = ", or ".join(" and ".join(told[key] for key in way.variables) for way in ways(provider.auth))
        rows.append((provider.name, url, shown or "none", ", ".join(provider.operations())))
    if not args.json:
        context.out.table(rows)


def _plugins(args: Arguments, context: Context) -> int:
    with context.client() as client:
        _load(client, args.names)
        reports = [report for report in client.plugins if not args.names or report.name in args.names]
        brought = {name: client.provider(name) for each in reports if each.loaded for name in each.providers}
    rows = [("NAME", "VERSION", "DISTRIBUTION", "KEY", "PROVIDES")]
    for report in reports:
        providers = [brought[name] for name in report.providers if name in brought]
        keys = {key: bool(os.environ.get(key)) for provider in providers for key in provider.auth.variables}
        needed = any(provider.auth.required for provider in providers)
        if args.json:
            said = {"name": report.name, "version": report.version, "distribution": report.distribution}
            brings = {"providers": list(report.providers), "hooks": list(report.hooks), "keys": keys}
            state = {"problem": report.problem, "disabled": report.disabled, "loaded": report.loaded}
            context.out.json({**said, **brings, **state, "never_called": list(report.never_called)})
        there = all(any(all(keys[name] for name in way.variables) for way in ways(each.auth)) for each in providers)
        key = "-" if not keys else "set" if there else "not set" if needed else "not needed"
        rows.append((report.name, report.version or "-", report.distribution, key, _brings(report)))
    if not reports:
        context.out.error("no plugin is installed")
    elif not args.json:
        context.out.table(rows)
    return NOT_COMPLETED if any(report.problem for report in reports) else COMPLETED


def _load(client: vidpoll.Client, names: Sequence[str]) -> None:
    """Load the plugins of these names; any problem of a plugin is in its report."""
    known = [report.name for report in client.plugins]
    for name in names:
        if name not in known:
            raise vidpoll.UsageError(f"plugins: no plugin {name!r} is installed; `vidpoll plugins` lists them")
        with suppress(vidpoll.UnknownProvider):
            client.provider(name)


def _brings(report: vidpoll.PluginReport) -> str:
    if report.problem:
        return f"SKIPPED: {report.problem}"
    if report.disabled:
        return "switched off by VIDPOLL_DISABLE"
    hooks = [hook for hook in report.hooks if hook != "vidpoll_providers"]
    return ", ".join([*(f"provider {name}" for name in report.providers), *hooks])


COMMANDS = (
    Command(
        "jobs",
        "list an account's jobs at its provider, or with --local the jobs kept here",
        _jobs_arguments,
        _jobs,
        "vidpoll jobs token360 order=asc --limit 200",
        "The order is the provider's own; some providers list only completed jobs. --local lists the jobs kept here,\n"
        "and sends no request.",
    ),
    Command(
        "quota",
        "show an account's plan, balance, prices and remaining videos",
        _quota_arguments,
        _quota,
        "vidpoll quota magicoal --json",
    ),
    Command(
        "providers",
        "list the installed providers; with NAME, its base URL, operations and key variables",
        _names,
        _providers,
        "vidpoll providers magicoal",
    ),
    Command(
        "plugins",
        "list the installed plugins, what each provides, and any problem with it",
        _names,
        _plugins,
        "vidpoll plugins",
        "Exits with 1 if a plugin is broken. A provider is loaded only when needed: name it to check it.\n"
        "VIDPOLL_DISABLE=name,name switches plugins off, VIDPOLL_TRACE=1 shows every hook call.",
    ),
)
