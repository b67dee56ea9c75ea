"""The loop under `intimacy distill` and `intimacy pretrain`: steps, rates, checkpoints, resuming.

The batches of a run are a function of its seed alone, so a run that was killed and is started
again skips those it has done and goes on as if nothing had happened. Equal weights are promised
on one CPU thread; with several they were seen to differ now and then.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from intimacy.training.config import OptimiserConfig
from intimacy.training.progress import Progress

B = TypeVar("B")
_CHECKPOINT = "checkpoint.pt"
_LOG_EVERY = 50


@dataclass(frozen=True)
class Step(Generic[B]):
    """What a run does: the batches it sees and what each of them costs."""

    batches: Callable[[], Iterator[B]]
    """All batches of the run from its first, lazily."""
    loss: Callable[[B], tuple[Tensor, int]]
    """Loss of a batch and its number of tokens."""


def run(
    name: str, model: nn.Module, step: Step[B], *, total: int, config: OptimiserConfig, out: Path
) -> None:
    """Train for ``total`` steps in all, those of an interrupted run with the same ``out`` included.

    Measurements go to ``out/metrics.jsonl`` and a bar to stderr.

    Args:
        name: Shown beside the bar and written into the measurements.
        model: Trained in place.
        step: Batches and loss.
        total: Steps of the whole run.
        config: Rates and how often to leave a checkpoint.
        out: Folder of the run.
    """
    embeddings = [p for n, p in model.named_parameters() if "embeddings.word" in n]
    body = [p for n, p in model.named_parameters() if "embeddings.word" not in n]
    optimizer = torch.optim.AdamW(
        [
            {"params": embeddings, "lr": config.lr_embeddings, "peak": config.lr_embeddings},
            {"params": body, "lr": config.lr_body, "peak": config.lr_body},
        ],
        weight_decay=config.weight_decay,
        betas=(0.9, 0.98),
        fused=next(model.parameters()).is_cuda,
    )
    done, tokens = _resume(out, model, optimizer)
    model.train()
    with Progress(name, total=total, log=out / "metrics.jsonl") as bar:
        bar.step(done)
        losses: list[Tensor] = []
        before, started = tokens, time.monotonic()
        for number, batch in enumerate(
            prefetch(itertools.islice(step.batches(), done, total)), done + 1
        ):
            if number == done + 1:  # skipping what was done is no training time
                started = time.monotonic()
            set_rate(optimizer, number / total, config.warmup)
            loss, n_tokens = step.loss(batch)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            losses.append(loss.detach())
            tokens += n_tokens
            bar.step()
            if number % _LOG_EVERY == 0 or number == total:
                # Read off only now: an accelerator would wait for every single figure.
                mean = float(torch.stack(losses).mean())
                rate = int((tokens - before) / (time.monotonic() - started))
                bar.step(0, loss=f"{mean:.4f}", tokens_s=rate)
                bar.record(step=number, total=total, loss=mean, tokens=tokens, tokens_per_s=rate)
                losses.clear()
            if number % config.checkpoint_every == 0:
                _checkpoint(out, model, optimizer, number, tokens)


def prefetch(items: Iterator[B], ahead: int = 8) -> Iterator[B]:
    """The same items, made by a thread that runs ahead of who uses them."""
    ready: queue.Queue[B | BaseException | None] = queue.Queue(ahead)
    stop = threading.Event()

    def put(item: B | BaseException | None) -> None:
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                return ready.put(item, timeout=0.1)

    def produce() -> None:
        try:
            for item in items:
                put(item)
                if stop.is_set():
                    return
            put(None)
        except BaseException as exc:  # shown where the items are used
            put(exc)

    threading.Thread(target=produce, daemon=True).start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()


def half_precision(device: torch.device) -> torch.autocast:
    """bfloat16 where the hardware has it; where it had to be emulated, single precision."""
    able = device.type != "cpu" or torch.cpu._is_avx512_bf16_supported()
    return torch.autocast(device.type, torch.bfloat16, enabled=able)


def speed_up(encoder: nn.Module, device: torch.device) -> None:
    """Compile the layers of a BERT where that pays: a long run on an accelerator."""
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
        for layer in encoder.encoder.layer:
            layer.compile(dynamic=False)


def finish(out: Path) -> None:
    """Remove what only an unfinished run needs."""
    for name in (_CHECKPOINT, f"{_CHECKPOINT}.partial"):
        (out / name).unlink(missing_ok=True)


def set_rate(optimizer: torch.optim.Optimizer, done: float, warmup: float) -> None:
    """Linear rise over the share ``warmup`` of the run, linear fall to zero at its end.

    Args:
        optimizer: Its groups have a ``peak`` beside the rate.
        done: Share of the run that is over after this step.
        warmup: Share of the run.
    """
    factor = min(done / warmup if warmup else 1.0, (1 - done) / max(1 - warmup, 1e-9))
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor


def _checkpoint(
    out: Path, model: nn.Module, optimizer: torch.optim.Optimizer, step: int, tokens: int
) -> None:
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "step": step,
        "tokens": tokens,
        "rng": torch.get_rng_state(),
        "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }
    partial = out / f"{_CHECKPOINT}.partial"
    torch.save(state, partial)
    partial.replace(out / _CHECKPOINT)


def _resume(out: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[int, int]:
    """Steps and tokens that an interrupted run has behind it."""
    path = out / _CHECKPOINT
    if not path.exists():
        return 0, 0
    state = torch.load(path, weights_only=True, map_location="cpu")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["rng"])
    if torch.cuda.is_available() and state["cuda_rng"]:
        torch.cuda.set_rng_state_all(state["cuda_rng"])
    return int(state["step"]), int(state["tokens"])


# -- batches of token ids


def cut(lengths: np.ndarray, tokens: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Indices of texts of about equal length, in batches of about ``tokens``, shuffled.

    Args:
        lengths: Tokens of each text, (texts,).
        tokens: Most tokens a batch, padding included; a longer text is a batch of its own.
        rng: Source of the order.
    """
    # A little noise on the length keeps batches from being the same in every pass.
    order = np.argsort(lengths + rng.uniform(0, 2, len(lengths)), kind="stable")
    batches, start = [], 0
    while start < len(order):
        end = start + 1
        while end < len(order) and (end - start + 1) * lengths[order[end]] <= tokens:
            end += 1
        batches.append(order[start:end])
        start = end
    return [batches[i] for i in rng.permutation(len(batches))]


def padded(ids: list[list[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Token ids and mask, both (batch, longest)."""
    width = max(len(i) for i in ids)
    tokens = torch.full((len(ids), width), pad)
    for row, values in zip(tokens, ids, strict=True):
        row[: len(values)] = torch.as_tensor(values)
    return tokens, (torch.arange(width) < torch.tensor([[len(i)] for i in ids])).long()


def mean_pool(hidden: Tensor, mask: Tensor) -> Tensor:
    """Mean of the hidden states of real tokens.

    Args:
        hidden: (batch, tokens, width).
        mask: (batch, tokens), 1 for real tokens.

    Returns: (batch, width).
    """
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1).clamp(min=1)
