"""How late a verdict is heard and what it costs in requests: `Adaptive` beside fixed gaps, by simulation.

    python benchmarks/pacing.py [JOBS] [--seed TEXT]

Jobs are drawn from laws and worlds of progress that the constants of `vidpoll.pacing.forecast` were not tuned on. Those
of `vidpoll.pacing.foresight` were tuned on MagiCoal-like jobs of the seed `tune`. All rows of a world are about the
very same jobs. Goals: with MagiCoal-like progress and declared ranges at most 13 requests a job, no later than a fixed
3 s, and no more stages missed than by `max_gap=5`, the default where no ranges are declared. Without ranges, with 15 s,
the delay of a fixed 3 s at 0.35 of its requests; without progress, the law learnt from ten jobs, that of a fixed 5 s at
0.70 of its requests. `eta` is how often the end came before, in and after the range that was told: 0.80 in it is right.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from random import Random
from statistics import fmean

from vidpoll import Adaptive, Fixed, Law, Moment, Schedule, State
from vidpoll.pacing.forecast import forecast
from vidpoll.pacing.foresight import Spans

FLOOR = 3.0
RANGES: Spans = {
    "generating_image": (5.0, 20.0),
    "uploading_image": (20.0, 25.0),
    "generating_video": (25.0, 90.0),
    "saving": (90.0, 100.0),
}
"""The stages of a MagiCoal job that is made from a text."""
DECLARED = Law.of((60, 180))
LAWS = {"as declared": DECLARED, "slower": Law(160, 0.45), "faster": Law(75, 0.4)}
Progress = Callable[[float], float | None]


def magicoal(took: float, random: Random) -> Progress:
    """Stages as MagiCoal's page shows them: 5 to 20, 20 to 25, 25 to 90, 90 to 100, each its own share of the time."""
    begin = random.uniform(0.01, 0.06)
    image = begin + random.uniform(0.05, 0.25)
    video = image + random.uniform(0.01, 0.05)
    points = [
        (0.0, 0.0),
        (begin, 5.0),
        (image, 20.0),
        (video, 25.0),
        (1 - random.uniform(0.02, 0.12), 90.0),
        (1.0, 100.0),
    ]

    def shown(age: float) -> float:
        share = min(age / took, 1.0)
        at = next(n for n in range(1, len(points)) if share <= points[n][0])
        (x, low), (y, high) = points[at - 1], points[at]
        return float(int(low + (high - low) * (share - x) / (y - x)))

    return shown


def smooth(took: float, random: Random) -> Progress:
    """Like time."""
    return lambda age: float(int(100 * age / took))


def coarse(took: float, random: Random) -> Progress:
    """MoneyPrinterTurbo's few steps, at any moments."""
    moments = sorted(took * random.random() for _ in range(7))
    steps = (0.0, 5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 75.0)
    return lambda age: steps[sum(moment <= age for moment in moments)]


def front_loaded(took: float, random: Random) -> Progress:
    """Quick at first, then slower and slower."""
    power = random.uniform(0.3, 0.65)
    return lambda age: float(int(99 * (age / took) ** power))


def unrelated(took: float, random: Random) -> Progress:
    """A bar that a clock moves, whatever the job does."""
    pace = random.uniform(15, 150)
    return lambda age: float(int(99 * (1 - math.exp(-age / pace))))


def none(took: float, random: Random) -> Progress:
    """Nothing is shown."""
    return lambda age: None


def stalled(took: float, random: Random) -> Progress:
    """MagiCoal-like, but it stands still for two fifths of the time."""
    shown, begun, still = magicoal(0.6 * took, random), random.uniform(0.1, 0.55) * took, 0.4 * took
    return lambda age: shown(age if age < begun else max(begun, age - still))


def back(took: float, random: Random) -> Progress:
    """Like time, but it falls to 0 once."""
    fall = random.uniform(0.2, 0.6) * took
    return lambda age: float(int(100 * age / took if age < fall else 100 * (age - fall) / (took - fall)))


def leaps(took: float, random: Random) -> Progress:
    """A few steps of any size, at any moments."""
    moments = sorted(took * random.random() for _ in range(5))
    steps = sorted(float(random.randrange(100)) for _ in range(6))
    return lambda age: steps[sum(moment <= age for moment in moments)]


def cut_off(took: float, random: Random) -> Progress:
    """A job that fails somewhere in its third stage, without a sign."""
    return magicoal(took / random.uniform(0.35, 0.85), random)


WORLDS = {"MagiCoal-like": magicoal, "smooth": smooth, "coarse": coarse, "front-loaded": front_loaded,
          "unrelated": unrelated, "none": none}  # fmt: skip
UNTOLD = {"stalled": stalled, "falls back": back, "leaps": leaps, "front-loaded": front_loaded, "coarse": coarse,
          "none": none, "unrelated": unrelated, "cut off": cut_off}  # fmt: skip
"""Progress that is not what the declared ranges say, those that keep to them least at the end."""


def stage(progress: float | None) -> str | None:
    """The stage of MagiCoal that a progress stands for."""
    if progress is None:
        return None
    return next((word for word, (low, _) in reversed(RANGES.items()) if progress >= low), "queued")


class Tally:
    """What some jobs cost: requests, seconds from their end until it was heard, and stages that were not seen."""

    def __init__(self, schedule: Schedule, ranges: Spans | None = None) -> None:
        self.schedule, self.ranges = schedule, ranges
        self.requests: list[int] = []
        self.delays: list[float] = []
        self.missed: list[int] = []
        self.eta = [0, 0, 0]

    def follow(self, law: Law | None, took: float, progress: Progress) -> None:
        """One job from its submit to the answer that says that it is done."""
        history = [Moment(0.0, None, None, None)]
        now, requests, unseen = 0.0, 1, {stage(progress(took * share / 1000)) for share in range(1000)}
        while now < took:
            shown = progress(now)
            unseen.discard(stage(shown))
            if len(history) == 1 or shown != history[-1].progress:
                history.append(Moment(now, State.RUNNING, stage(shown), shown))
            now += max(FLOOR, self._gap(law, history, now, took))
            requests += 1
        self.requests.append(requests)
        self.delays.append(now - took)
        self.missed.append(len(unseen))

    def _gap(self, law: Law | None, history: list[Moment], now: float, took: float) -> float:
        if not isinstance(self.schedule, Adaptive):
            return self.schedule.next_gap(history, now, Random(0))
        expected = forecast(law, history, now, self.ranges)
        if (eta := expected.eta) is not None:
            self.eta[(took - now > eta[0]) + (took - now > eta[1])] += 1
        return self.schedule.gap(expected)

    def __str__(self) -> str:
        requests, delay, missed = map(fmean, (self.requests, self.delays, self.missed))
        return f"{requests:5.1f} requests  {delay:5.2f} s late  {missed:.2f} stages missed"


def ratio(mine: Tally, theirs: Tally) -> str:
    delay, cost = fmean(mine.delays) / fmean(theirs.delays), fmean(mine.requests) / fmean(theirs.requests)
    before, within, after = (count / max(sum(mine.eta), 1) for count in mine.eta)
    return f"delay {delay:.2f}  requests {cost:.2f}  eta {before:.2f} {within:.2f} {after:.2f}"


def run(
    world: Callable[[float, Random], Progress], law: Law, jobs: int, seed: str, *tallies: Tally, learnt: bool = False
) -> None:
    """The same jobs for all; with `learnt` the law is learnt anew from ten jobs, often."""
    random = Random(f"{seed} {world.__name__} {law}")
    known = DECLARED
    for number in range(jobs):
        if learnt and number % 10 == 0:
            known = Law().learnt([_drawn(law, random) for _ in range(10)])
        took = _drawn(law, random)
        progress = world(took, random)
        for tally in tallies:
            tally.follow(known, took, progress)


def _drawn(law: Law, random: Random) -> float:
    return random.lognormvariate(math.log(law.median), law.sigma)


def stages(jobs: int, seed: str) -> None:
    """The default where the ranges of the stages are declared, beside what it was and fixed gaps."""
    print(f"declared ranges of the stages, a floor of {FLOOR:g} s, declared 60 to 180 s ({jobs} jobs a row)")
    laws = [("MagiCoal-like", magicoal, name) for name in LAWS]
    for world, shows, name in laws + [(world, shows, "as declared") for world, shows in UNTOLD.items()]:
        rows = {
            "Fixed(3)": Tally(Fixed(3)),
            "Fixed(5)": Tally(Fixed(5)),
            "max_gap=5": Tally(Adaptive(5)),
            "default": Tally(Adaptive(), RANGES),
        }
        run(shows, LAWS[name], jobs, seed, *rows.values())
        for row, tally in rows.items():
            print(f"  {world:14} {name:12} {row:10} {tally}")


def main(jobs: int, seed: str) -> None:
    stages(jobs, seed)
    print(f"max_gap 15 s beside a fixed 3 s, no ranges declared, a floor of {FLOOR:g} s, declared 60 to 180 s")
    for world, shows in WORLDS.items():
        for name, law in LAWS.items():
            mine, theirs = Tally(Adaptive(15)), Tally(Fixed(3))
            run(shows, law, jobs, seed, mine, theirs)
            print(f"  {world:14} {name:12} {ratio(mine, theirs)}")
    print("no progress, the law learnt from ten jobs, max_gap 15 s beside a fixed 5 s")
    for law in (Law(104, 0.3), Law(120, 0.3), Law(104, 0.2), Law(60, 0.3), Law(200, 0.3), Law(104, 0.5)):
        mine, theirs = Tally(Adaptive(15)), Tally(Fixed(5))
        run(none, law, jobs, seed, mine, theirs, learnt=True)
        print(f"  median {law.median:3.0f} s, sigma {law.sigma:.1f}       {ratio(mine, theirs)}")
    print("the default, no ranges declared, beside a fixed 5 s")
    for world, shows in WORLDS.items():
        mine, theirs = Tally(Adaptive()), Tally(Fixed(5))
        run(shows, DECLARED, jobs, seed, mine, theirs)
        print(f"  {world:14} {'as declared':12} {ratio(mine, theirs)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("jobs", type=int, nargs="?", default=1000)
    parser.add_argument("--seed", default="told")
    given = parser.parse_args()
    main(given.jobs, given.seed)
