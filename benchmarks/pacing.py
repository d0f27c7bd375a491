"""How late a verdict is heard and what it costs in requests: `Adaptive` beside fixed gaps, by simulation.

    python benchmarks/pacing.py [JOBS]

Jobs are drawn from laws and worlds of progress that the constants of `vidpoll.pacing.forecast` were not tuned on.
Every figure is a ratio to a fixed gap on the very same jobs. Goals: with MagiCoal-like progress the delay of a fixed
3 s at 0.35 of its requests; without progress, the law learnt from ten jobs, the delay of a fixed 5 s at 0.70 of its
requests. `eta` is how often the end came before, in and after the range that was told; 0.80 in it is honest.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from random import Random
from statistics import fmean

from vidpoll import Adaptive, Fixed, Law, Moment, Schedule, State
from vidpoll.pacing.forecast import forecast

FLOOR = 3.0
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


WORLDS = {"MagiCoal-like": magicoal, "smooth": smooth, "coarse": coarse, "front-loaded": front_loaded,
          "unrelated": unrelated, "none": none}  # fmt: skip


class Tally:
    """What some jobs cost: requests, and seconds from their end until it was heard."""

    def __init__(self) -> None:
        self.requests: list[int] = []
        self.delays: list[float] = []
        self.eta = [0, 0, 0]

    def follow(self, schedule: Schedule, law: Law | None, took: float, progress: Progress) -> None:
        """One job from its submit to the answer that says that it is done."""
        history = [Moment(0.0, None, None, None)]
        now, requests = 0.0, 1
        while now < took:
            shown = progress(now)
            if len(history) == 1 or shown != history[-1].progress:
                history.append(Moment(now, State.RUNNING, "drawing", shown))
            expected = forecast(law, history, now).eta
            if expected is not None:
                self.eta[(took - now > expected[0]) + (took - now > expected[1])] += 1
            now += max(FLOOR, schedule.next_gap(history, now, Random(0)))
            requests += 1
        self.requests.append(requests)
        self.delays.append(now - took)


def ratio(mine: Tally, theirs: Tally) -> str:
    delay, cost = fmean(mine.delays) / fmean(theirs.delays), fmean(mine.requests) / fmean(theirs.requests)
    before, within, after = (count / max(sum(mine.eta), 1) for count in mine.eta)
    return f"delay {delay:.2f}  requests {cost:.2f}  eta {before:.2f} {within:.2f} {after:.2f}"


def compare(world: str, law: Law, jobs: int, *, max_gap: float, fixed: float, learnt: bool) -> tuple[Tally, Tally]:
    """The same jobs with Adaptive and with a fixed gap; with `learnt` the law is learnt anew from ten jobs, often."""
    random = Random(f"{world} {law} {max_gap} {fixed}")
    mine, theirs = Tally(), Tally()
    known = DECLARED
    for number in range(jobs):
        if learnt and number % 10 == 0:
            known = Law().learnt([_drawn(law, random) for _ in range(10)])
        took = _drawn(law, random)
        progress = WORLDS[world](took, random)
        mine.follow(Adaptive(max_gap, known), known, took, progress)
        theirs.follow(Fixed(fixed), None, took, progress)
    return mine, theirs


def _drawn(law: Law, random: Random) -> float:
    return random.lognormvariate(math.log(law.median), law.sigma)


def main(jobs: int) -> None:
    print(f"max_gap 15 s beside a fixed 3 s, a floor of {FLOOR:g} s, declared 60 to 180 s ({jobs} jobs a row)")
    for world in WORLDS:
        for name, law in LAWS.items():
            mine, theirs = compare(world, law, jobs, max_gap=15.0, fixed=3.0, learnt=False)
            print(f"  {world:14} {name:12} {ratio(mine, theirs)}")
    print("no progress, the law learnt from ten jobs, max_gap 15 s beside a fixed 5 s")
    for law in (Law(104, 0.3), Law(120, 0.3), Law(104, 0.2), Law(60, 0.3), Law(200, 0.3), Law(104, 0.5)):
        mine, theirs = compare("none", law, jobs, max_gap=15.0, fixed=5.0, learnt=True)
        print(f"  median {law.median:3.0f} s, sigma {law.sigma:.1f}       {ratio(mine, theirs)}")
    print("the default, max_gap 5 s, beside a fixed 5 s")
    for world in WORLDS:
        mine, theirs = compare(world, DECLARED, jobs, max_gap=5.0, fixed=5.0, learnt=False)
        print(f"  {world:14} {'as declared':12} {ratio(mine, theirs)}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
