"""What came after the paper, each part by itself: four ways to make exits and backbone learn
together better, against the paper's end-to-end training at the same cost.

Mixed regime (Kubaty et al., "How to Train Your Multi-Exit Model?", 2025): the backbone learns
first, then both. Self-distillation and gradient equilibrium: see mvit.training.joint_loss. Patch
average: the head `mlp_mean` in place of `mlp`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial

from mvit.bundles import weights
from mvit.evaluation.ablation import ABLATION as FILE
from mvit.models.multi_exit import FINAL, MultiExitViT
from mvit.training.finetune import Recipe, fine_tune
from mvit.training.joint import JointRecipe, learn_together, phases_of
from mvit.training.lab import Lab, refuse_another
from mvit.training.study import Study, check_sizes


@dataclass(frozen=True, kw_only=True)
class Way:
    """One training: whether the backbone learns first, and what exits learn with."""

    mixed: bool = False
    self_distillation: bool = False
    gradient_equilibrium: bool = False
    head: str = "mlp"


WAYS = {
    "end-to-end": Way(),
    "all together": Way(
        mixed=True, self_distillation=True, gradient_equilibrium=True, head="mlp_mean"
    ),
    "mixed regime": Way(mixed=True),
    "self-distillation": Way(self_distillation=True),
    "gradient equilibrium": Way(gradient_equilibrium=True),
    "patch average": Way(head="mlp_mean"),
}
PLAIN = "no exits"


@dataclass(kw_only=True)
class Cost:
    """What each training may cost: `images` pictures of `px` pixels a side in all.
    self_distillation: how much it counts where it is used."""

    px: int = 96
    images: int = 24_000
    batch: int = 64
    learning_rate: float = 2e-4
    exit_rate: float = 1e-3
    self_distillation: float = 0.5
    seed: int = 0

    def fields(self, share: float, n: int) -> dict:
        """The fields of a recipe that sees a share of the pictures, for a training set of n."""
        return {
            "stages": ((self.px, share * self.images / n),),
            "batch": self.batch,
            "learning_rate": self.learning_rate,
            "warmup_steps": max(1, round(share * self.images / self.batch / 10)),
            "seed": self.seed,
        }


@dataclass(kw_only=True)
class Ablation:
    """Which comparison: study says task, data, start weights, run folder, device, precision and
    limits."""

    study: Study
    cost: Cost = field(default_factory=Cost)


@dataclass(kw_only=True)
class AblationLab(Lab):
    """Trains and measures single ways."""

    cost: Cost

    def taught(self, share: float) -> MultiExitViT:
        """The backbone after its share of the pictures, without exits; from its checkpoint if that
        is done."""
        backbone = self.backbone(self.cost.seed)
        file = self.run / f"backbone_{share:g}.safetensors"
        recipe = Recipe(**self.cost.fields(share, len(self.train)))
        fine_tune(backbone, self.task, val=self.val, recipe=recipe, checkpoint=file, **self.given)
        return MultiExitViT(backbone, self.task, {})

    def plain(self) -> dict:
        """The backbone alone, which saw as many pictures."""
        return self.accuracies(self.taught(1.0))

    def way(self, name: str) -> dict:
        """Train in one way and measure it; its checkpoint is removed once it is done with."""
        way, cost = WAYS[name], self.cost
        backbone = self.taught(0.5).backbone if way.mixed else self.backbone(cost.seed)
        model = MultiExitViT.untrained(backbone, self.task, [way.head])
        recipe = JointRecipe(
            exit_rate=cost.exit_rate,
            self_distillation=cost.self_distillation if way.self_distillation else 0.0,
            gradient_equilibrium=way.gradient_equilibrium,
            **cost.fields(0.5 if way.mixed else 1.0, len(self.train)),
        )
        file = self.run / f"{name.replace(' ', '_')}.safetensors"
        phases = phases_of(model, "end-to-end")
        learn_together(model, phases, recipe=recipe, checkpoint=file, **self.given)
        result = self.accuracies(model)
        if self.accelerator.is_main_process:
            file.unlink(missing_ok=True)
        return result

    def accuracies(self, model: MultiExitViT) -> dict:
        """{"final": accuracy, "layers": [accuracy of the exit after layer 1, 2, ...]}."""
        found = self.predicted(model).quality
        final = found.pop((model.depth, FINAL))
        return {"final": final, "layers": [found[key] for key in sorted(found)]}


def compare(ablation: Ablation, say: Callable[[str], None] = print) -> dict:
    """Train and measure every way that the run folder does not hold yet, write ablation.json after
    each, and return its content.

    {"task", "architecture", "n" (test pictures), "budget", "rows": [{"way", "final", "layers"
    (accuracy after each layer, none for the plain backbone), "seconds"}], "missing": ways not yet
    done}. Raises CheckpointError if the run folder was begun with another budget, TrainingError on
    a loss that is not finite.
    """
    study, cost = ablation.study, ablation.cost
    check_sizes(replace(study, recipe=Recipe(stages=((cost.px, 1),))))
    lab = AblationLab.of(
        study,
        replace(study.task, input_px=cost.px),
        study.run / "ablation",
        asdict(cost),
        cost=cost,
    )
    file = weights.root() / lab.task.name / (study.name or study.architecture) / FILE
    refuse_another(file, lab.settings, study.overwrite)
    jobs = {PLAIN: lab.plain} | {name: partial(lab.way, name) for name in WAYS}
    result = {
        "task": lab.task.name,
        "architecture": study.architecture,
        "n": len(lab.test),
        "budget": lab.settings,
        "rows": [],
        "missing": len(jobs),
    }
    for name, job in jobs.items():
        done = lab.once(name, job)
        result["rows"].append({"way": name} | {k: done[k] for k in ("final", "layers", "seconds")})
        result["missing"] -= 1
        say(in_words(name, done))
        lab.write(file, result)
    return result


def in_words(name: str, done: dict) -> str:
    """Return what a way reached, on one line."""
    layers = " ".join(f"{100 * accuracy:.1f}" for accuracy in done["layers"]) or "none"
    return f"{name}: exits after each layer {layers}; final exit {done['final']:.2%}"
