"""`intimacy distill`: an English sentence encoder is carried over into Italian.

The student keeps some layers of the teacher, gets a new Italian tokenizer and new embeddings
(pieces that both vocabularies spell alike copy the old vector), and learns to give an Italian
sentence the vector that the teacher gives to its English translation (Reimers & Gurevych
2020, arXiv:2004.09813).
"""

from __future__ import annotations

import math
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, PreTrainedTokenizerFast

from intimacy.errors import ConfigError
from intimacy.training import config as configs
from intimacy.training import corpora
from intimacy.training import tokenizer as tokenizers_it
from intimacy.training.config import DistillConfig, EncoderConfig
from intimacy.training.progress import Progress


def student(
    teacher: Any, teacher_vocab: dict[str, int], tokenizer: Tokenizer, config: EncoderConfig
) -> BertModel:
    """A shallower BERT over the new vocabulary, warm-started from the teacher."""
    source = teacher.config
    if not 0 <= min(config.layers) <= max(config.layers) < source.num_hidden_layers:
        raise ConfigError(
            f"encoder.layers {list(config.layers)} are not all among the teacher's "
            f"{source.num_hidden_layers} layers, counted from 0"
        )
    model = BertModel(
        BertConfig(
            vocab_size=tokenizer.get_vocab_size(),
            hidden_size=source.hidden_size,
            num_hidden_layers=len(config.layers),
            num_attention_heads=source.num_attention_heads,
            intermediate_size=source.intermediate_size,
            max_position_embeddings=config.max_positions,
            type_vocab_size=1,
            pad_token_id=tokenizer.token_to_id("[PAD]"),
        ),
        add_pooling_layer=False,
    )
    old = teacher.embeddings
    new = model.embeddings
    with torch.no_grad():
        words = old.word_embeddings.weight
        fresh = torch.randn_like(new.word_embeddings.weight) * words.std(0) + words.mean(0)
        for piece, index in tokenizer.get_vocab().items():
            if (twin := _twin(piece, tokenizer)) in teacher_vocab:
                fresh[index] = words[teacher_vocab[twin]]
        new.word_embeddings.weight.copy_(fresh)
        new.position_embeddings.weight.copy_(old.position_embeddings.weight[: config.max_positions])
        new.token_type_embeddings.weight.copy_(old.token_type_embeddings.weight[:1])
        new.LayerNorm.load_state_dict(old.LayerNorm.state_dict())
        for target, index in zip(model.encoder.layer, config.layers, strict=True):
            target.load_state_dict(teacher.encoder.layer[index].state_dict())
    return model


def _twin(piece: str, tokenizer: Tokenizer) -> str:
    """How WordPiece spells a byte-level piece: word starts bare, continuations after ##."""
    text = tokenizer.decoder.decode([piece]) if not piece.startswith("[") else piece
    return text.strip() if text.startswith(" ") or piece.startswith("[") else f"##{text}"


def mean_pool(hidden: Tensor, mask: Tensor) -> Tensor:
    """Mean of the hidden states of real tokens.

    Args:
        hidden: (batch, tokens, width).
        mask: (batch, tokens), 1 for real tokens.

    Returns: (batch, width).
    """
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1).clamp(min=1)


@dataclass(frozen=True)
class _Batches:
    """Sentences sorted by length, cut into batches of about equal token counts."""

    ids: list[list[int]]
    batches: list[np.ndarray]

    @classmethod
    def cut(cls, ids: list[list[int]], tokens: int, rng: np.random.Generator) -> _Batches:
        # A little noise on the length keeps batches from being the same in every pass.
        lengths = np.array([len(i) for i in ids]) + rng.uniform(0, 2, len(ids))
        order = np.argsort(lengths, kind="stable")
        batches, start = [], 0
        while start < len(order):
            end = start + 1
            while end < len(order) and (end - start + 1) * len(ids[order[end]]) <= tokens:
                end += 1
            batches.append(order[start:end])
            start = end
        permutation = rng.permutation(len(batches))
        return cls(ids, [batches[i] for i in permutation])


def padded(ids: list[list[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Token ids and mask, both (batch, longest)."""
    width = max(len(i) for i in ids)
    tokens = torch.full((len(ids), width), pad)
    for row, values in zip(tokens, ids, strict=True):
        row[: len(values)] = torch.tensor(values)
    return tokens, (torch.arange(width) < torch.tensor([[len(i)] for i in ids])).long()


@torch.inference_mode()
def _embed_english(
    teacher: Any, tokenizer: Any, sentences: list[str], max_tokens: int, device: torch.device
) -> np.ndarray:
    """Teacher embeddings, (sentences, width) float16, unit length."""
    encoded = tokenizer(sentences, truncation=True, max_length=max_tokens)["input_ids"]
    out = np.zeros((len(sentences), teacher.config.hidden_size), np.float16)
    rng = np.random.default_rng(0)
    cut = _Batches.cut(encoded, 4096, rng)
    teacher.eval()
    teacher.to(device)
    with Progress("teacher", total=len(sentences), unit="sentence") as bar:
        for batch in cut.batches:
            ids, mask = padded([encoded[i] for i in batch], tokenizer.pad_token_id)
            with torch.autocast(device.type, torch.bfloat16):
                hidden = teacher(ids.to(device), mask.to(device)).last_hidden_state
            vectors = nn.functional.normalize(mean_pool(hidden.float(), mask.to(device)), dim=-1)
            out[batch] = vectors.cpu().numpy()
            bar.step(len(batch))
    return out


def distill(folder: Path, out: Path, config: DistillConfig, *, device: str = "cpu") -> Path:
    """Make an Italian encoder and save it, with its tokenizer, as a transformers folder.

    A run that was killed goes on from its last checkpoint when it is started again with the
    same ``out``.

    Args:
        folder: Corpora, see `intimacy.training.corpora`.
        out: Folder to write; made if missing.
        config: What to do.
        device: A torch device.

    Returns: ``out``.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / "distill.json").write_text(configs.to_json(config), "utf-8")
    torch.manual_seed(config.seed)
    where = torch.device(device)
    tokenizer = _tokenizer(folder, out, config)
    teacher = AutoModel.from_pretrained(config.encoder.teacher)
    english_tokenizer = AutoTokenizer.from_pretrained(config.encoder.teacher)
    pairs = corpora.parallel(folder)
    targets = _targets(out, teacher, english_tokenizer, [e for e, _ in pairs], config, where)
    model = student(teacher, english_tokenizer.get_vocab(), tokenizer, config.encoder).to(where)
    italian = [i for _, i in pairs]
    _run(model, tokenizer, italian, targets, config, out, where)
    save_encoder(model, tokenizer, out)
    return out


def _tokenizer(folder: Path, out: Path, config: DistillConfig) -> Tokenizer:
    path = out / "tokenizer.json"
    if not path.exists():
        tokenizers_it.train(folder, config.tokenizer, config.tiers).save(str(path))
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.encode_special_tokens = True
    return tokenizer


def _targets(
    out: Path,
    teacher: Any,
    tokenizer: Any,
    english: list[str],
    config: DistillConfig,
    device: torch.device,
) -> np.ndarray:
    path = out / "teacher.npy"
    if not path.exists():
        np.save(path, _embed_english(teacher, tokenizer, english, config.max_tokens, device))
    targets: np.ndarray = np.load(path)
    return targets


def _run(
    model: BertModel,
    tokenizer: Tokenizer,
    italian: list[str],
    targets: np.ndarray,
    config: DistillConfig,
    out: Path,
    device: torch.device,
) -> None:
    embeddings = [p for n, p in model.named_parameters() if n.startswith("embeddings.word")]
    body = [p for n, p in model.named_parameters() if not n.startswith("embeddings.word")]
    optimizer = torch.optim.AdamW(
        [
            {"params": embeddings, "lr": config.lr_embeddings, "peak": config.lr_embeddings},
            {"params": body, "lr": config.lr_body, "peak": config.lr_body},
        ],
        weight_decay=config.weight_decay,
    )
    first = _encode(tokenizer, italian, config, pass_index=0)
    per_pass = len(_Batches.cut(first, config.tokens_per_batch, np.random.default_rng(0)).batches)
    total = max(1, math.ceil(config.passes * per_pass))
    done, pass_index = _resume(out, model, optimizer)
    start_pass = pass_index
    cls, sep, pad = (tokenizer.token_to_id(t) for t in ("[CLS]", "[SEP]", "[PAD]"))
    model.train()
    with Progress("distill", total=total, log=out / "metrics.jsonl") as bar:
        bar.step(done)
        step = done
        while step < total:
            encoded = _encode(tokenizer, italian, config, pass_index)
            rng = np.random.default_rng(config.seed + pass_index)
            batches = _Batches.cut(encoded, config.tokens_per_batch, rng).batches
            skip = done - pass_index * per_pass if pass_index == start_pass else 0
            for batch in batches[max(0, skip) :]:
                if step >= total:
                    break
                _set_rate(optimizer, step, total, config.warmup)
                started = time.monotonic()
                rows = [[cls, *encoded[i], sep] for i in batch]
                ids, mask = padded(rows, pad)
                goal = torch.from_numpy(targets[batch].astype(np.float32)).to(device)
                loss = _loss(model, ids.to(device), mask.to(device), goal, config)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                step += 1
                rate = int(mask.sum() / (time.monotonic() - started))
                bar.step(loss=f"{loss.item():.4f}", tokens_s=rate)
                if step % 50 == 0:
                    bar.record(step=step, total=total, loss=loss.item(), tokens_per_s=rate)
                if step % config.checkpoint_every == 0:
                    _checkpoint(out, model, optimizer, step, pass_index)
            pass_index += 1


def _encode(
    tokenizer: Tokenizer, texts: list[str], config: DistillConfig, pass_index: int
) -> list[list[int]]:
    rng = random.Random(config.seed * 1_000 + pass_index)
    typed = [corpora.informal(t, rng) if rng.random() < config.informal else t for t in texts]
    limit = config.max_tokens - 2
    return [e.ids[:limit] for e in tokenizer.encode_batch_fast(typed, add_special_tokens=False)]


def _loss(
    model: BertModel, ids: Tensor, mask: Tensor, goal: Tensor, config: DistillConfig
) -> Tensor:
    with torch.autocast(ids.device.type, torch.bfloat16):
        hidden = model(ids, mask).last_hidden_state
    vectors = nn.functional.normalize(mean_pool(hidden.float(), mask), dim=-1)
    cosine = (1 - (vectors * goal).sum(-1)).mean()
    # Summed over the width: unit vectors make a mean over it vanish beside the cosine.
    mse = ((vectors - goal) ** 2).sum(-1).mean() / 2
    contrast = nn.functional.cross_entropy(
        vectors @ goal.T * 20, torch.arange(len(goal), device=goal.device)
    )
    return (
        config.weight_cosine * cosine + config.weight_mse * mse + config.weight_contrast * contrast
    )


def _set_rate(optimizer: torch.optim.Optimizer, step: int, total: int, warmup: float) -> None:
    rise = max(1, int(total * warmup))
    factor = (step + 1) / rise if step < rise else max(0.0, (total - step) / (total - rise))
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor


def _checkpoint(
    out: Path, model: nn.Module, optimizer: torch.optim.Optimizer, step: int, pass_index: int
) -> None:
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "step": step,
        "pass": pass_index,
        "rng": torch.get_rng_state(),
    }
    partial = out / "checkpoint.pt.partial"
    torch.save(state, partial)
    partial.replace(out / "checkpoint.pt")


def _resume(out: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[int, int]:
    path = out / "checkpoint.pt"
    if not path.exists():
        return 0, 0
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["rng"])
    return int(state["step"]), int(state["pass"])


def save_encoder(model: BertModel, tokenizer: Tokenizer, out: Path) -> None:
    """Save as `AutoModel` and `AutoTokenizer` load it, weights in half precision."""
    model.to("cpu").half().save_pretrained(out)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        additional_special_tokens=["[CAP]", "[FOL]", "[CRE]", "[STA]"],
        model_max_length=model.config.max_position_embeddings,
    ).save_pretrained(out)
    (out / "checkpoint.pt").unlink(missing_ok=True)
    (out / "teacher.npy").unlink(missing_ok=True)
