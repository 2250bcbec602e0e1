"""The single measurements of `mvit.bench.report`."""

from __future__ import annotations

import resource
import sys

import numpy as np
import torch

from mvit.clock import NoClock, Timing, clock_for, measure, ratio, rounds
from mvit.evaluation.predictions import Predictions
from mvit.models.multi_exit import MultiExitViT
from mvit.policies.plans import costs
from mvit.policies.replay import choose_threshold, exits_for_rule, replay, score
from mvit.policies.rules import Confidence

# accuracy that a stop rule may cost, by validation alone, and thresholds tried
MAX_DROP, TRIED = 0.005, 200
UNCHOSEN = 0.9  # threshold where there are no records to choose one by


def backbone_name(model: MultiExitViT) -> str:
    """timm's name for the backbone's architecture, or its sizes."""
    vit = model.backbone.vit
    known = (getattr(vit, "pretrained_cfg", None) or {}).get("architecture")
    return known or f"ViT, {model.depth} layers of {model.backbone.dim}"


@torch.inference_mode()
def overhead(model: MultiExitViT, x: torch.Tensor, head: str, n: int) -> dict:
    """The lazy run with a head at every layer against the plain pass and the heads alone; and with
    instruments against without."""
    plan = model.plan(head)
    tokens, kept = model.backbone.embed(x), []
    for layer in range(1, model.depth + 1):
        tokens = model.backbone.block(tokens, layer)
        kept.append(tokens)
    heads = [(model.heads[head][str(layer)], kept[layer - 1]) for layer, _ in model.exits(head)]

    def bare() -> list:
        """The same blocks and heads, the same scores on the host, but no marks and no Exits."""
        return [
            model.task.scores(logits).tolist() for *_, logits, _ in model.steps(x, plan, NoClock())
        ]

    works = {
        "plain": lambda: model.backbone.vit(x),
        "heads": lambda: [h(t) for h, t in heads],
        "run": lambda: list(model.run(x, plan)),
        "bare": bare,
    }
    ms = rounds(works, n, clock=clock_for(x.device))
    expected = ms["plain"] + ms["heads"]
    return {
        "plain_ms": float(np.median(ms["plain"])),
        "heads_ms": float(np.median(ms["heads"])),
        "run_ms": float(np.median(ms["run"])),
        "run_ratio": float(np.median(ms["run"] / expected)),
        "instrumented_ratio": ratio(ms, "run", "bare"),
    }


@torch.inference_mode()
def leaving(model: MultiExitViT, x: torch.Tensor, head: str, n: int) -> list[dict]:
    """A run that leaves after layer l against l / L of the plain pass and that head alone, for the
    exits next to a quarter, half and three quarters of the depth.

    The patch embedding is paid whole however early one leaves; `ratio_apart` leaves it out of the
    division by L.
    """
    found = []
    layers = [layer for layer, _ in model.exits(head)]
    wanted = (max(1, model.depth // 4), model.depth // 2, 3 * model.depth // 4)
    for layer in sorted({min(layers, key=lambda b: abs(b - depth)) for depth in wanted}):
        tokens = model.backbone.embed(x)
        for b in range(1, layer + 1):
            tokens = model.backbone.block(tokens, b)
        own = model.heads[head][str(layer)]
        works = {
            "plain": lambda: model.backbone.vit(x),
            "head": lambda own=own, tokens=tokens: own(tokens),
            "embed": lambda: model.backbone.embed(x),
            "left": lambda layer=layer: next(model.run(x, [(layer, head), model.final_exit])),
        }
        ms = rounds(works, n, clock=clock_for(x.device))
        part, left = layer / model.depth, ms["left"]
        shares = {
            "ratio": ms["plain"] * part,
            "ratio_apart": ms["embed"] + (ms["plain"] - ms["embed"]) * part,
        }
        ratios = {
            name: float(np.median(left / (share + ms["head"]))) for name, share in shares.items()
        }
        found.append({"layer": layer, "head": head, "ms": float(np.median(left)), **ratios})
    return found


def exits(model: MultiExitViT, x: torch.Tensor, n: int) -> list[dict]:
    """Latency of every exit from n traces: its head alone, and with its backbone."""
    model.trace(x)
    tables = [model.trace(x) for _ in range(n)]
    whole, own = (np.stack([t[c].to_numpy() for t in tables]) for c in ("ms", "head_ms"))
    found = []
    for e, row in enumerate(tables[0].itertuples()):
        timing = Timing.of(whole[:, e])
        head_ms = float(np.median(own[:, e]))
        found.append(
            {
                "layer": row.layer,
                "head": row.head,
                "ms": timing.median,
                "iqr": timing.iqr,
                "p95": timing.p95,
                "p99": float(np.percentile(whole[:, e], 99)),
                "head_ms": head_ms,
            }
        )
    return found


def threshold(
    model: MultiExitViT,
    inputs: list[torch.Tensor],
    head: str,
    recorded: dict[str, Predictions] | None,
    n: int,
) -> dict:
    """The confidence rule at equal accuracy against the plain pass: over recorded pictures, and
    really run on the given ones.

    Threshold and exits (those few with which the rule is cheapest) are chosen on the `val` records
    and judged on `test`. Expected time weights what each exit takes in a lazy run, earlier heads
    included, by the share of pictures that leave there.
    """
    plan, limit = model.practical(head), UNCHOSEN
    if len(plan) == 1:
        plan = model.plan(head)
    found: dict = {"plan": plan}
    if recorded and {"val", "test"} <= recorded.keys():
        plan = exits_for_rule(
            lambda few: Confidence(),
            recorded["val"].select(model.plan(head)),
            lambda few: costs(model, few),
            max_drop=MAX_DROP,
            n=TRIED,
        )
        found["plan"] = plan
        val, test = (recorded[split].select(plan) for split in ("val", "test"))
        macs = costs(model, plan)
        limit, _ = choose_threshold(Confidence(), val, macs, max_drop=MAX_DROP, n=TRIED)
        taken = replay(Confidence(limit), test)
        judged = score(taken, test, macs)
        finish, plain = _finishing_times(model, inputs[0], plan, n=n)
        expected, plain_ms = float(np.median(finish, axis=0)[taken].mean()), float(np.median(plain))
        found["recorded"] = {
            "threshold": limit,
            "n": len(test.truth),
            "accuracy": judged.accuracy,
            "final_accuracy": float(test.accuracy[-1]),
            "macs_saving": model.exit_macs(*model.final_exit) / judged.macs,
            "share": judged.share,
            "expected_ms": expected,
            "plain_ms": plain_ms,
            "speedup": plain_ms / expected,
            # of every picture in every round
            **{f"{name}_ms": ms for name, ms in _slow(finish[:, taken]).items()},
            **{f"plain_{name}_ms": ms for name, ms in _slow(plain).items()},
        }
    found["live"] = _live(model, inputs, plan, rule=Confidence(limit), n=max(1, n // 10))
    return found


@torch.inference_mode()
def _finishing_times(
    model: MultiExitViT, x: torch.Tensor, plan: list[tuple[int, str]], n: int
) -> tuple[np.ndarray, np.ndarray]:
    """ms after which each exit of a lazy run has finished, (n, E), and ms of the plain pass, (n,),
    alternating."""
    finish, plain = [], []
    for _ in range(n):
        finish.append([e.elapsed_ms for e in model.run(x, plan)])
        plain.append(measure(lambda: model.backbone.vit(x), 1, 0, clock=clock_for(x.device)).median)
    return np.array(finish), np.array(plain)


def _slow(ms: np.ndarray) -> dict[str, float]:
    """By when 50, 95 and 99 of 100 are done."""
    return dict(zip(("p50", "p95", "p99"), np.percentile(ms, (50, 95, 99)).tolist(), strict=True))


@torch.inference_mode()
def _live(
    model: MultiExitViT,
    inputs: list[torch.Tensor],
    plan: list[tuple[int, str]],
    rule: Confidence,
    n: int,
) -> dict:
    """Wall time of the rule's lazy runs over all pictures against the plain pass over the same,
    paired."""
    last, layers = len(plan) - 1, []

    def early() -> None:
        layers.clear()
        for x in inputs:
            rule.reset()
            for i, exit in enumerate(model.run(x, plan)):
                if i == last or rule.stop(exit):
                    layers.append(exit.layer)
                    break

    def plain() -> None:
        for x in inputs:
            model.backbone.vit(x)[0].float().softmax(0).tolist()

    ms = rounds({"plain": plain, "early": early}, n, 1, clock=clock_for(inputs[0].device))
    medians = {f"{name}_ms": float(np.median(times)) / len(inputs) for name, times in ms.items()}
    found = {"n": len(inputs), "threshold": rule.threshold, "mean_layer": float(np.mean(layers))}
    return found | medians | {"speedup": ratio(ms, "plain", "early")}


@torch.inference_mode()
def batches(
    model: MultiExitViT, x: torch.Tensor, sizes: tuple[int, ...] = (1, 4, 16, 64), n: int = 3
) -> list[dict]:
    """Time and throughput of the plain pass by the number of pictures in a batch; those of several
    tiles in smaller batches only. x: one picture, (tiles, 3, S, S)."""
    found = []
    for size in (s for s in sizes if s * len(x) <= max(sizes)):
        several = x.repeat(size, 1, 1, 1)
        timing = measure(
            lambda several=several: model.backbone.vit(several), n, 1, clock=clock_for(x.device)
        )
        found.append(
            {"batch": size, "ms": timing.median, "pictures_per_s": 1000 * size / timing.median}
        )
    return found


def memory(model: MultiExitViT) -> dict:
    """Megabytes of parameters, and the most that the process, or the GPU's allocator, has held."""

    def mb(module: torch.nn.Module) -> float:
        return sum(p.numel() * p.element_size() for p in module.parameters()) / 1e6

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1e6 if sys.platform == "darwin" else 1e3
    )
    gpu = (
        torch.cuda.max_memory_allocated(model.device) / 1e6 if model.device.type == "cuda" else None
    )
    return {
        "backbone_mb": mb(model.backbone),
        "heads_mb": mb(model.heads),
        "process_peak_mb": peak,
        "gpu_peak_mb": gpu,
    }
