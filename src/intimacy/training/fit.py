"""The loop: threads varied afresh each epoch, soft targets, averaged weights, best epoch kept."""

from __future__ import annotations

import copy
import math
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from intimacy.annotation import AnnotatedThread, possible
from intimacy.backends import Batch
from intimacy.bundle import columns
from intimacy.render import ModelInput, Renderer
from intimacy.shelf import CHUNK
from intimacy.training import loop
from intimacy.training.config import TrainConfig
from intimacy.training.model import ThreadModel
from intimacy.training.progress import Progress
from intimacy.training.variation import Variation

Heads = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class _Example:
    item: AnnotatedThread
    targets: dict[str, Tensor]
    """Head → distribution over its values; heads without a known value are absent."""
    allowed: Tensor
    """Labels that the thread's structure leaves open, as booleans."""
    weight: float = 1.0


def _example(item: AnnotatedThread, heads: Heads, weight: float = 1.0) -> _Example:
    names = heads["label"]
    allowed = torch.tensor([name in possible(item.thread, names) for name in names])
    targets: dict[str, Tensor] = {}
    scope = next(iter(item.flags), "in_scope")
    targets["scope"] = _one_hot(heads["scope"], scope)
    if not item.flags:
        label = torch.tensor([item.target.get(name, 0.0) for name in names]) * allowed
        if label.sum() > 0:
            targets["label"] = label / label.sum()
        for head, values in heads.items():
            if head not in targets and (target := _axis(item, head, values)) is not None:
                targets[head] = target
    return _Example(item, targets, allowed, weight)


def _axis(item: AnnotatedThread, head: str, values: Sequence[Any]) -> Tensor | None:
    """Distribution of the annotators' answers on one axis; None where nobody answered."""
    answers = [vote[head] for vote in item.votes if vote.get(head) is not None]
    if not answers and item.attributes.get(head) is not None:
        answers = [item.attributes[head]]
    known = [_one_hot(values, answer) for answer in answers if answer in values]
    return torch.stack(known).mean(0) if known else None


def _one_hot(values: Sequence[Any], value: Any) -> Tensor:
    out = torch.zeros(len(values))
    out[list(values).index(value)] = 1.0
    return out


def fit(
    network: ThreadModel,
    train_items: Sequence[AnnotatedThread],
    dev_items: Sequence[AnnotatedThread],
    renderer: Renderer,
    config: TrainConfig,
    log: Path,
    *,
    weights: Sequence[float] | None = None,
) -> float:
    """Train with early stopping on the development loss; leaves the best weights in place, which
    may be those it began with.

    Args:
        network: Its heads are those that are learnt.
        train_items: Threads to learn from.
        dev_items: Threads to choose the epoch by.
        renderer: Turns threads into tokens.
        config: What to do.
        log: JSONL file for the losses.
        weights: What each training thread counts; None counts all alike.

    Returns: Their loss.
    """
    heads = network.values
    counts = [1.0] * len(train_items) if weights is None else list(weights)
    variation = Variation(train_items, config)
    dev = [_example(item, heads) for item in dev_items]
    dev_inputs = [renderer.render(item.thread) for item in dev_items]
    optimizer = _optimizer(network, config)
    averaged: AveragedModel | None = None
    rng = random.Random(config.seed)
    # A model that goes on from another may be best as it is.
    best, waited = copy.deepcopy(network.state_dict()), 0
    best_loss = _dev_loss(network, dev, dev_inputs, heads, config)
    with Progress("train", total=config.epochs, unit="epoch", log=log) as bar:
        for epoch in range(config.epochs):
            network.train()
            if config.tune == "frozen":
                network.encoder.eval()
            losses = []
            drawing = _epoch(train_items, counts, variation, renderer, heads, config, rng)
            for share, n_batches, drawn in drawing:
                averaged = averaged or _averaged(network, config.averaging * n_batches)
                loop.set_rate(optimizer, (epoch + share) / config.epochs, config.warmup)
                logits = _run(network, [inputs for _, inputs in drawn])
                loss = _loss(logits, [example for example, _ in drawn], heads, config)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimizer.step()
                averaged.update_parameters(network)
                losses.append(loss.item())
            dev_loss = _dev_loss(averaged.module, dev, dev_inputs, heads, config)
            mean = sum(losses) / len(losses)
            bar.step(loss=f"{mean:.3f}", dev_loss=f"{dev_loss:.3f}")
            bar.record(epoch=epoch, loss=mean, dev_loss=dev_loss)
            if dev_loss < best_loss:
                best, best_loss, waited = copy.deepcopy(averaged.module.state_dict()), dev_loss, 0
            else:
                waited += 1
                if waited > config.patience:
                    break
    network.load_state_dict(best)
    return best_loss


def _epoch(
    items: Sequence[AnnotatedThread],
    weights: Sequence[float],
    variation: Variation,
    renderer: Renderer,
    heads: Heads,
    config: TrainConfig,
    rng: random.Random,
) -> Iterator[tuple[float, int, list[tuple[_Example, ModelInput]]]]:
    """Batches of one epoch: the share of it that is done with them, about how many there are, and
    the threads. More threads than a chunk come in chunks drawn afresh, so that no more of them are
    in memory; fewer come as they stand.
    """
    n_chunks = max(1, math.ceil(len(items) / CHUNK))
    order = list(range(len(items)))
    if n_chunks > 1:
        rng.shuffle(order)
    for chunk in range(n_chunks):
        # In the order of the corpus, which is that of the disk.
        rows = sorted(order[chunk::n_chunks])
        examples = [_example(variation.of(items[row], rng), heads, weights[row]) for row in rows]
        inputs = [renderer.render(example.item.thread) for example in examples]
        batches = _shuffled(inputs, config.tokens_per_batch, rng)
        for number, batch in enumerate(batches):
            share = (chunk + (number + 1) / len(batches)) / n_chunks
            yield share, len(batches) * n_chunks, [(examples[i], inputs[i]) for i in batch]


def _optimizer(network: ThreadModel, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW; the deeper a layer, the more carefully it is changed. Adapters of low rank learn ten
    times as fast (Schulman et al. 2025, *LoRA Without Regret*)."""
    layers = network.encoder.config.num_hidden_layers
    top = config.lr * (10 if config.tune == "lora" else 1)
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        if not name.startswith("encoder."):
            rate = config.lr_heads
        elif found := _LAYER.search(name):
            rate = top * config.layer_decay ** (layers - 1 - int(found[1]))
        else:
            rate = top * config.layer_decay**layers
        groups.setdefault(rate, []).append(parameter)
    return torch.optim.AdamW(
        [{"params": params, "lr": rate, "peak": rate} for rate, params in groups.items()],
        weight_decay=config.weight_decay,
    )


_LAYER = re.compile(r"\.layers?\.(\d+)\.")


def _averaged(network: ThreadModel, steps: float) -> AveragedModel:
    """A copy whose weights are the mean of those of about the last ``steps`` steps."""
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(1 - 1 / max(1.0, steps)))


def _shuffled(inputs: Sequence[ModelInput], tokens: int, rng: random.Random) -> list[list[int]]:
    """Batches of similar lengths, of at most ``tokens`` padded tokens, in random order."""
    order = sorted(range(len(inputs)), key=lambda i: len(inputs[i].ids) + rng.uniform(0, 12))
    batches: list[list[int]] = []
    longest = 0
    for i in order:
        longest = max(longest, len(inputs[i].ids)) if batches else len(inputs[i].ids)
        if batches and (len(batches[-1]) + 1) * longest <= tokens:
            batches[-1].append(i)
        else:
            batches.append([i])
            longest = len(inputs[i].ids)
    rng.shuffle(batches)
    return batches


def _run(network: ThreadModel, inputs: list[ModelInput]) -> Tensor:
    """Logits, in single precision on the CPU whatever the network runs on."""
    batch = Batch.of(inputs)
    where = next(network.parameters()).device
    arrays = (batch.input_ids, batch.attention_mask, batch.segments)
    # Short runs on few threads: on a CPU single precision costs little and is exact.
    with torch.autocast(where.type, torch.bfloat16, enabled=where.type != "cpu"):
        logits: Tensor = network(*(torch.from_numpy(array).to(where) for array in arrays))
    return logits.float().cpu()


def _loss(
    logits: Tensor, examples: Sequence[_Example], heads: Heads, config: TrainConfig
) -> Tensor:
    """Soft cross-entropy of every head over the threads that have a target for it."""
    weights = {"label": 1.0, "scope": config.heads.scope}
    total = logits.new_zeros(())
    for head, where in columns(heads).items():
        rows = [i for i, e in enumerate(examples) if head in e.targets]
        if not rows:
            continue
        raw = logits[rows, where]
        if head == "label":
            allowed = torch.stack([examples[i].allowed for i in rows])
            raw = raw.masked_fill(~allowed, -1e4)
        target = torch.stack([examples[i].targets[head] for i in rows])
        each = nn.functional.cross_entropy(raw, target, reduction="none")
        counts = torch.tensor([examples[i].weight for i in rows])
        loss = (each * counts).sum() / counts.sum().clamp(min=1e-9)
        total = total + weights.get(head, config.heads.axes) * loss
    return total


@torch.inference_mode()
def _dev_loss(
    network: ThreadModel,
    examples: Sequence[_Example],
    inputs: Sequence[ModelInput],
    heads: Heads,
    config: TrainConfig,
) -> float:
    """Loss of label and scope on the development threads."""
    network.eval()
    order = sorted(range(len(inputs)), key=lambda i: len(inputs[i].ids))
    logits = torch.cat(
        [_run(network, [inputs[i] for i in order[s : s + 16]]) for s in range(0, len(order), 16)]
    )
    only = replace(config, heads=replace(config.heads, axes=0.0))
    return float(_loss(logits, [examples[i] for i in order], heads, only))
