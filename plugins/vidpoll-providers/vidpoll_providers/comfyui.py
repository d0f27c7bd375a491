"""ComfyUI for vidpoll. Known: the routes of 0.3.64 and 0.33.0 of https://github.com/comfyanonymous/ComfyUI (server.py,
execution.py, comfy_execution/jobs.py). Since 0.6 one request below /api/jobs returns a job's state. For an older server
vidpoll reads the queue and then the history, in this order, because a job moves from the queue to the history.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import vidpoll
from vidpoll import Follow, Problem, Refused, Request, Response, Snapshot, State, declare, parsing

WORDS = {
    "pending": State.QUEUED,
    "in_progress": State.RUNNING,
    "completed": State.COMPLETED,
    "failed": State.FAILED,
    "cancelled": State.CANCELLED,
}
KEPT = 10_000  # entries of the history
GONE = "neither in the queue nor in the history"
MAYBE = "cancelled while it was queued, deleted, lost by a restart, or never there"
LARGEST = 64 * 1024 * 1024  # responses contain whole workflows, images included

# -- reading a job ----------------------------------------------------------------------------------------------------


def decide(state: State | None, data: Mapping[str, Any]) -> State | None:
    """Before 0.9 the server calls an interrupted job failed; its events show the interrupt."""
    return State.CANCELLED if state is State.FAILED and "execution_interrupted" in events(data) else None


def refine(said: Snapshot, data: Mapping[str, Any], job_id: str) -> Snapshot:
    """Add the files, their kinds by extension, and the node that failed; drop the workflow."""
    kept = {name: value for name, value in data.items() if name != "workflow"}
    files = assets(data.get("outputs")) if said.state is State.COMPLETED else ()
    due = any(each.kind == "video" for each in files)
    node = {name: parsing.text(parsing.at(data, f"execution_error.{name}")) for name in ("node_id", "node_type")}
    if said.problem is not None and node["node_id"]:
        where = f"{node['node_type'] or 'node'} (node {node['node_id']})"
        said = replace(said, problem=Problem(f"{where}: {said.problem.message}", said.problem.code, node))
    return replace(said, assets=files, assets_due=due or said.state is not State.COMPLETED, raw=kept)


def events(data: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The events of a job by name, in order; of two events with the same name, the last."""
    found = parsing.at(data, "execution_status.messages")
    rows = [row for row in (found if isinstance(found, list) else ()) if isinstance(row, list) and len(row) == 2]
    return {name: told for name, told in rows if isinstance(name, str) and isinstance(told, dict)}


JOB = declare.Reader(
    WORDS,
    files={},
    reason="execution_error.exception_message",
    code="execution_error.exception_type",
    progress="",
    created_at="create_time",
    updated_at="",
    finished_at="execution_end_time",
    duration="",
    decide=decide,
    refine=refine,
)
ROW = replace(JOB, refine=None)  # a row names no files

# -- files ------------------------------------------------------------------------------------------------------------

ENDINGS = {
    "video": ("mp4", "webm", "mov", "mkv", "avi", "m4v", "gif"),
    "image": ("png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff", "avif"),
    "audio": ("flac", "mp3", "wav", "ogg", "opus", "m4a"),
    "model": ("glb", "gltf", "obj", "ply", "stl", "fbx", "splat", "usdz"),
}
ORDER = {kind: place for place, kind in enumerate((*ENDINGS, "file", "preview"))}
KINDS = {ending: kind for kind, endings in ENDINGS.items() for ending in endings}


def assets(outputs: object) -> tuple[vidpoll.Asset, ...]:
    """The files of all nodes, under whatever key: videos first, files that are not outputs last, as previews.

    If the only video is a preview, it is the job's video.
    """
    nodes = outputs if isinstance(outputs, dict) else {}
    found = [file for node in sorted(nodes, key=lambda name: (len(name), name)) for file in files_of(nodes[node])]
    saved = any(kind == "video" and kept for kind, kept, _ in found)
    told = [(kind if kept or (kind == "video" and not saved) else "preview", url) for kind, kept, url in found]
    return tuple(dict.fromkeys(vidpoll.Asset(url, kind) for kind, url in sorted(told, key=lambda each: ORDER[each[0]])))


def files_of(node: object) -> Iterator[tuple[str, bool, str]]:
    """For each file of a node: its kind, whether it is an output, and its URL."""
    lists = node if isinstance(node, dict) else {}
    moves = lists.get("animated") == [True]
    for item in (each for items in lists.values() for each in only(items, dict)):
        name, folder, place = (parsing.text(item.get(key)) for key in ("filename", "subfolder", "type"))
        if name:
            query = {"filename": name, "subfolder": folder or "", "type": place or "output"}
            kind = kind_of(name, parsing.text(item.get("format")) or "", moves=moves)
            yield kind, query["type"] == "output", f"./view?{urlencode(query, errors='replace')}"


def kind_of(name: str, form: str = "", *, moves: bool = False) -> str:
    """The kind by extension, or by the format that a node names: SaveVideo lists its mp4 under `images`."""
    ending = name.rpartition(".")[2].lower()
    if form.startswith("video/") or (ending == "webp" and moves):
        return "video"
    return KINDS.get(ending, "file")


def only(found: object, kind: type) -> list[Any]:
    return [each for each in found if isinstance(each, kind)] if isinstance(found, list) else []


# -- the state of a job -----------------------------------------------------------------------------------------------

QUEUE = Request("GET", "/queue")
WAITING = Request("GET", "/api/jobs", (("status", "pending"),))
COUNT = Request("GET", "/api/jobs", (("limit", "1"),))


def parse_status(response: Response, job_id: str) -> Snapshot | Follow[Snapshot]:
    """One response, if the server has the jobs routes. A 404 without ComfyUI's own words means that it has none."""
    if response.status == 404:
        return Follow(COUNT, parse_unknown, (404,)) if says_unknown(response) else Follow(QUEUE, parse_queue)
    said = JOB.parse(response, job_id)
    if isinstance(said, Snapshot) and said.state is State.QUEUED:
        return Follow(WAITING, partial(parse_waiting, said), fallback=said)
    return said


def says_unknown(response: Response) -> bool:
    try:
        return isinstance(parsing.json_object(response).get("error"), str)
    except vidpoll.Malformed:
        return False


def parse_waiting(said: Snapshot, response: Response, job_id: str) -> Snapshot:
    """Add the position in the queue, from the numbers of all queued jobs."""
    rows = parsing.json_object(response).get("jobs")
    found = {parsing.text(row.get("id")): parsing.number(row.get("priority")) for row in only(rows, dict)}
    return replace(said, queue_position=before(found, job_id))


def before(numbers: Mapping[Any, float | None], job_id: str) -> int | None:
    """How many queued jobs have a smaller number; a response does not list them in running order."""
    own = numbers.get(job_id)
    return None if own is None else sum(1 for each in numbers.values() if each is not None and each < own)


def parse_unknown(response: Response, job_id: str) -> Snapshot:
    """The server does not know the job: the number of other jobs shows what may have happened. Raises Refused."""
    if response.status == 404:  # a proxy in front of the server blocks the list
        raise Refused("not found", f"{GONE}: {MAYBE}", "unknown")
    total = parsing.count(parsing.at(parsing.json_object(response), "pagination.total"))
    if total is None:
        raise vidpoll.Malformed("the list of jobs does not contain their total number")
    if total == 0:
        raise Refused("not found", f"{GONE}, which are empty: the server was restarted, or cleared", "lost")
    if total >= KEPT:
        raise Refused("not found", f"{GONE}. The history is full ({total} jobs): this job was dropped", "evicted")
    raise Refused("not found", f"{GONE}, which contain {total} other jobs: {MAYBE}", "unknown")


def parse_queue(response: Response, job_id: str) -> Snapshot | Follow[Snapshot]:
    """The queue of an older server; a job that is not in it may be in the history."""
    return standing(response, job_id) or Follow(Request("GET", f"/history/{parsing.segment(job_id)}"), parse_history)


def standing(response: Response, job_id: str) -> Snapshot | None:
    """The state of a running or queued job from the queue; None for any other. Raises Malformed without a queue."""
    body = parsing.json_object(response)
    if not all(isinstance(body.get(name), list) for name in ("queue_running", "queue_pending")):
        raise vidpoll.Malformed("the response is not a ComfyUI queue")
    runs, waits = (numbers(body[name]) for name in ("queue_running", "queue_pending"))
    if job_id in runs:
        return Snapshot(State.RUNNING, "in_progress", job_id=job_id, raw={"number": runs[job_id]})
    if job_id in waits:
        place = before(waits, job_id)
        return Snapshot(State.QUEUED, "pending", job_id=job_id, queue_position=place, raw={"number": waits[job_id]})
    return None


def numbers(items: list[Any]) -> dict[str | None, float | None]:
    """The id and the number of each item of a queue; the rest of an item is other users' workflows and keys."""
    return {parsing.text(item[1]): parsing.number(item[0]) for item in only(items, list) if len(item) >= 2}


def parse_history(response: Response, job_id: str) -> Snapshot:
    """The entry of a finished job; for an unknown id an older server returns only `{}`."""
    body = parsing.json_object(response)
    if not body:
        raise Refused("not found", f"{GONE}: {MAYBE}, or dropped from a full history", "unknown")
    entry = body.get(job_id)
    if not isinstance(entry, dict):
        raise vidpoll.Malformed("the history does not contain the job")
    return JOB.read(as_job(entry, job_id), job_id)


ENDS = {"success": "completed", "error": "failed"}


def as_job(entry: Mapping[str, Any], job_id: str) -> dict[str, Any]:
    """An entry of the history in the form of /api/jobs."""
    outputs, told = entry.get("outputs"), events({"execution_status": entry.get("status")})
    if "status" in entry and entry["status"] is None:
        word = "completed" if outputs else "failed"  # by the rule of /api/jobs
    else:
        word = parsing.lookup(ENDS, parsing.at(entry, "status.status_str"))
    return {
        "id": parsing.text(parsing.at(entry, "prompt[1]")) or job_id,
        "status": "cancelled" if word == "failed" and "execution_interrupted" in told else word,
        "create_time": told.get("execution_start", {}).get("timestamp"),
        "execution_end_time": list(told.values())[-1].get("timestamp") if told else None,
        "execution_error": told.get("execution_error"),
        "execution_status": entry.get("status"),
        "outputs": outputs,
    }


# -- submit -----------------------------------------------------------------------------------------------------------

EXPORT = "in ComfyUI: File > Export (API)"


def read_workflow(name: str, value: Any) -> dict[str, Any]:
    """A workflow in API format, from a file, JSON text or a mapping. Raises InvalidField, with the way out."""
    try:
        graph = json.loads(value.read_text(encoding="utf-8") if isinstance(value, Path) else value)
    except TypeError:
        graph = value
    except (OSError, ValueError, RecursionError) as error:
        ways = f"give a file as pathlib.Path('flow.json'), on the command line {name}=@flow.json"
        raise vidpoll.InvalidField(f"{name} cannot be read as JSON ({error}): {ways}") from None
    if isinstance(graph, dict) and isinstance(graph.get("nodes"), list):
        raise vidpoll.InvalidField(f"{name} was saved for the editor; the server needs the API format ({EXPORT})")
    nodes = list(graph.values()) if isinstance(graph, dict) else []
    if not nodes or not all(isinstance(node, dict) and parsing.text(node.get("class_type")) for node in nodes):
        raise vidpoll.InvalidField(
            f"{name} must be in API format, with a class_type and inputs for each node ({EXPORT})"
        )
    return dict(graph)


WORKFLOW = declare.Rule(
    f"a workflow in API format ({EXPORT}): a mapping, a pathlib.Path or its JSON text; on the command line @flow.json",
    lambda v: isinstance(v, (dict, Path, str)) and v,
    read_workflow,
)


def with_value(graph: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """The workflow with one input set: `6.text`, `6.inputs.text`, or by a title or class that only one node has."""
    name, _, field = path.partition(".")
    field = field.removeprefix("inputs.")
    titled = [each for each in graph if name in (parsing.at(graph[each], "_meta.title"), graph[each]["class_type"])]
    found = [name] if name in graph else titled
    if len(found) != 1:
        why = f"several nodes are called {name!r} ({', '.join(found)})" if found else f"there is no node {name!r}"
        raise vidpoll.InvalidField(f"{path}: {why}; the workflow's nodes: {listed(graph)}")
    node = graph[found[0]]
    inputs = node.get("inputs") if isinstance(node.get("inputs"), dict) else {}
    if field not in inputs:
        told = ", ".join(inputs) or "none"
        raise vidpoll.InvalidField(
            f"{path}: {node['class_type']} (node {found[0]}) has no input {field!r}; its inputs: {told}"
        )
    typed = isinstance(value, dict) and "__type" in value  # a file of the Comfy API v2
    if isinstance(inputs[field], str) and not (isinstance(value, str) or typed):
        raise vidpoll.InvalidField(f"{path} must be text, as in the workflow: {inputs[field][:40]!r}")
    return {**graph, found[0]: {**node, "inputs": {**inputs, field: value}}}


def listed(graph: Mapping[str, Any]) -> str:
    shown = [f"{name} ({node['class_type']})" for name, node in graph.items()][:20]
    return ", ".join(shown) + (" …" if len(graph) > len(shown) else "")


NEEDED = ("workflow",)
FIELDS = {
    "workflow": WORKFLOW,
    "prompt_id": declare.matching("a UUID in lower case", r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "client_id": declare.text(),
    "extra_data": declare.object(),
    "front": declare.flag(),
    "number": declare.number(),
}
VALUE = declare.anything()


def taken(what: str, fields: Mapping[str, Any], rules: Mapping[str, declare.Rule]) -> dict[str, Any]:
    """The checked fields of a submit, with the values for nodes set in the workflow. Raises InvalidField."""
    paths = {name: value for name, value in fields.items() if "." in name and value is not None}
    for name in fields.keys() - rules.keys() - paths.keys():
        raise vidpoll.InvalidField(f"{what} takes no field {name!r}; an input of a node is NODE.INPUT, like 6.{name}")
    given = declare.take(what, {name: fields[name] for name in fields if name not in paths}, rules, NEEDED)
    for path, value in paths.items():
        if isinstance(value, Path):
            raise vidpoll.InvalidField(f"{path}: upload the file first (vidpoll upload), and give the printed name")
        if not VALUE.holds(value):
            raise vidpoll.InvalidField(f"{path} must be {VALUE.must}")
        given["workflow"] = with_value(given["workflow"], path, value)
    return given


def told_of(rules: Mapping[str, declare.Rule]) -> dict[str, str]:
    """The fields of a submit, each with a description of its values."""
    return {**declare.described(rules, NEEDED), "NODE.INPUT": "a value for an input, like 6.text or KSampler.seed"}


def submit_request(fields: Mapping[str, Any]) -> Request:
    given = taken("submit workflow", fields, FIELDS)
    return Request("POST", "/prompt", json={"prompt": given.pop("workflow"), **given})


def parse_submitted(response: Response, about: str) -> vidpoll.Submitted:
    """The job was accepted, although `node_errors` may name outputs that the server skips: they stay in `raw`."""
    body = parsing.json_object(response)
    told = parsing.text(body.get("prompt_id"))
    return parsing.submitted(told, lambda: Snapshot(State.QUEUED, "pending", job_id=told, raw=body))


REFUSED = dict.fromkeys(
    (
        "no_prompt", "prompt_no_outputs", "prompt_outputs_failed_validation", "missing_node_type", "invalid_prompt",
        "invalid_prompt_id",
    ),
    "input",
)  # fmt: skip


def parse_error(response: Response) -> Problem:
    """A refusal, with the faulty nodes and their errors."""
    problem = parsing.problem(response)
    try:
        body = response.json()
    except vidpoll.Malformed:
        body = None
    if response.status == 404 and not response.body:
        return Problem("no such route: the server is too old for this request, or it is not ComfyUI")
    if response.status == 500 and not isinstance(body, dict):
        return Problem("the server could not read the request, or failed: read its log", problem.code)
    nodes = parsing.at(body, "node_errors")
    faults = [fault for node in (nodes.items() if isinstance(nodes, dict) else ()) for fault in faults_of(*node)]
    said = "; ".join([problem.message, *faults]) if faults else problem.message
    return Problem(said, problem.code, {"node_errors": nodes} if faults else problem.details)


def faults_of(node: str, told: Any) -> list[str]:
    where = f"{parsing.text(parsing.at(told, 'class_type')) or 'node'} (node {node})"
    rows = [(row.get("message"), row.get("details")) for row in only(parsing.at(told, "errors"), dict)]
    return [f"{where}: {' '.join(filter(None, map(parsing.text, row)))}" for row in rows]


# -- list, cancel, delete, upload -------------------------------------------------------------------------------------

LIST = {
    "limit": declare.whole(1),
    "status": declare.matching("words like pending,in_progress", f"({'|'.join(WORDS)})(,({'|'.join(WORDS)}))*"),
    "sort_by": declare.one_of("created_at", "execution_duration"),
    "sort_order": declare.one_of("asc", "desc"),
}


def list_request(fields: Mapping[str, Any], token: str | None) -> Request:
    given = {"limit": 100, **declare.take("the list of jobs", fields, LIST), **({"offset": token} if token else {})}
    return Request("GET", "/api/jobs", tuple((name, str(value)) for name, value in given.items()))


def parse_list(response: Response, token: str) -> vidpoll.Page:
    """One page. If the page is the whole list, its queued jobs also get their position."""
    body = parsing.json_object(response)
    found, more = body.get("jobs"), parsing.at(body, "pagination.has_more") is True
    rows = parsing.rows(found, ROW.read)
    if more:
        return vidpoll.Page(rows, str((parsing.count(token) or 0) + len(found)) if found else None)
    numbers = {
        row.job_id: parsing.number(row.raw.get("priority")) for row in rows if row.state is State.QUEUED and not token
    }
    return vidpoll.Page(tuple(replace(row, queue_position=before(numbers, row.job_id or "")) for row in rows))


def queue_request(job_id: str) -> Request:
    parsing.segment(job_id)  # refuses an empty id: an interrupt without one stops whatever is running
    return QUEUE


def parse_cancel(response: Response, job_id: str) -> Follow[Snapshot | None]:
    """Remove a queued job from the queue; interrupt a job that was just seen running, by its id. Raises Refused."""
    said = standing(response, job_id)
    if said is None:
        raise Refused("conflict", "the job is neither queued nor running, so nothing was cancelled")
    if said.state is State.QUEUED:
        return Follow(Request("POST", "/queue", json={"delete": [job_id]}), parse_taken_out)
    return Follow(Request("POST", "/interrupt", json={"prompt_id": job_id}), lambda response, job_id: None)


def parse_taken_out(response: Response, job_id: str) -> Follow[Snapshot | None]:
    """The response is empty whatever happened: the queue shows the outcome."""
    return Follow(QUEUE, parse_left)


def parse_left(response: Response, job_id: str) -> Snapshot | None:
    if standing(response, job_id) is None:
        return Snapshot(State.CANCELLED, "cancelled")
    raise Refused("conflict", "the job started running just then: cancel it again")


def parse_delete(response: Response, job_id: str) -> Follow[None]:
    """Delete the record of a finished job; for a queued or running one a delete has no effect. Raises Refused."""
    if standing(response, job_id) is not None:
        raise Refused("conflict", "the job is queued or running: cancel it, or wait for its end")
    return Follow(Request("POST", "/history", json={"delete": [job_id]}), lambda response, job_id: None)


def upload(*endings: str) -> vidpoll.Operation[Any]:
    """The route is the same for all kinds. A loader node takes the returned name."""
    return declare.upload("POST /upload/image", endings, value="name", field="image")


STATUS = vidpoll.Operation(declare.request("GET /api/jobs/{id}"), parse_status, (404,), LARGEST)


@vidpoll.hookimpl
def vidpoll_providers() -> Iterator[vidpoll.Provider]:
    yield vidpoll.Provider(
        "comfyui",
        base_url="http://127.0.0.1:8188",
        # The server itself needs no key; a proxy in front of it may.
        auth=vidpoll.AnyOf(
            vidpoll.Bearer("COMFYUI_API_KEY", required=False),
            vidpoll.Basic("COMFYUI_USER", "COMFYUI_PASSWORD", required=False),
        ),
        pacing=vidpoll.Pacing(floor=2.0),  # none is documented
        slots=vidpoll.Slots("queues"),  # one runs at a time
        status=STATUS,
        submit={
            "workflow": vidpoll.Operation(
                submit_request, parse_submitted, fields=told_of(FIELDS), key="prompt_id", find=STATUS
            )
        },
        list=vidpoll.Operation(list_request, parse_list, fields=declare.described(LIST)),
        list_polling=vidpoll.ListPollingSpec(rows=100, fields={"status": "in_progress,pending"}),
        cancel=vidpoll.Operation(queue_request, parse_cancel, max_body=LARGEST, empty_ok=True),
        delete=vidpoll.Operation(queue_request, parse_delete, max_body=LARGEST, empty_ok=True),
        upload={
            "image": upload(".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp"),
            "video": upload(".mp4", ".webm", ".mov", ".mkv", ".avi", ".m4v"),
            "audio": upload(".mp3", ".wav", ".flac", ".ogg", ".m4a"),
        },
        error=declare.refusals(REFUSED, read=parse_error),
        stages=JOB.stages,
        drops=("extra_data", "api_key_*", "auth_token_*", "current_inputs", "queue_*[][2:]", "prompt[2:]"),
    )


@vidpoll.hookimpl
def vidpoll_simulators() -> Mapping[str, str]:
    return {"comfyui": "vidpoll_providers:samples/comfyui/index.json"}
