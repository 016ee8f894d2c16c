"""Acts on what `health` finds in a running training, and says so: in the log and in `run.json`."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from vgan_plugin.training import checkpoint
from vgan_plugin.training.health import BACK, BACKS, Finding, Watch
from vgan_plugin.training.players import Players

log = logging.getLogger("vgan_plugin.training")

GOOD = "good.npz"
"""In a run folder: all players when nothing was wrong last."""


class Rescue:
    """Listens to the log lines, looks at the validations, treats the players.

    Args:
        players: whom to treat.
        run: their run folder.
    """

    def __init__(self, players: Players, run: Path) -> None:
        self.players, self.run = players, run
        self.watch = Watch(players.settings.log_every)
        self.sharpness = 1.0

    @property
    def over(self) -> bool:
        """Whether the game cannot be saved: without the judges there is nothing that dreams could learn from."""
        return self.players.generator.preset.synthesises and self.players.balance.backs > BACKS

    def listen(self, means: Mapping[str, float], step: int) -> None:
        """Look at the scalars of one log line."""
        if self.players.settings.adversarial == "relativistic":
            self.players.balance.gamma *= self.watch.lean(means)
        finding = self.watch.line(means, self.sharpness)
        if finding:
            self._treat(finding, step)

    @property
    def good_score(self) -> float:
        """Score of the state to come back to; NaN where there is none."""
        path = self.run / GOOD
        return float(checkpoint.load(path)[1]["best"]) if path.exists() else math.nan

    def see(
        self, findings: Sequence[Finding], scores: Mapping[str, float], step: int, score: float = -math.inf
    ) -> None:
        """Look at one validation; without findings it is the state to come back to.

        Args:
            findings: what is wrong.
            scores: of the validation.
            step: now.
            score: the one that counts, more is better.
        """
        self.sharpness = scores.get("sharpness", 1.0)
        if self.players.opinion(step) is None or step == 0:
            return
        if findings:
            self._treat(findings[0], step, score)
        else:
            self.players.save(self.run / GOOD, step, score)

    def _treat(self, finding: Finding, step: int, score: float = -math.inf) -> None:
        paired = not self.players.generator.preset.synthesises
        good = self.run / GOOD
        back = finding.sign in BACK and good.exists()
        if finding.sign in BACK and not back:
            done = "nothing: no state has been good yet"
        elif back and score > self.good_score:  # on the way up not every state is well
            back, done = False, "nothing: the score is better than when all was well"
        elif finding.sign == "divergence" and not paired and not self.players.settings.gamma:
            done = "nothing: with gamma=0 slopes are not penalised"
        else:
            done = self.players.balance.answer(finding, step, paired)
        if back:
            self.players.go_back(good)
        elif finding.sign == "dead judges":
            self.players.wake_the_judges()
        log.warning("step %d: %s: %s; %s", step, finding.sign, finding.why, done)
        path = self.run / "run.json"
        facts = json.loads(path.read_text("utf-8")) if path.exists() else {}
        entry = {"step": step, "sign": finding.sign, "why": finding.why, "done": done}
        facts.setdefault("findings", []).append(entry)
        path.write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
