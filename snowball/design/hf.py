"""Networks of Hugging Face's transformers, by name or folder, for classification and language modelling.

Text comes in our numbers: 0 is padding, and the tokenizer's own tokens begin at `offset` (see kinds/text.py). What a
run needs of the source is kept in its schema: the run does not read it again. Nothing is executed from it: weights are
safetensors, code of the source's own is refused.

Shapes: B rows, L or T tokens, P tokens before, V vocabulary, D width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..finding import BadInput, Finding, brief
from ..schema import ColumnSchema, Schema

__all__ = [
    "FINE_TUNING",
    "PREFIX",
    "FromHub",
    "HFClassifier",
    "HFLanguageModel",
    "begin_pretrained",
    "hub_network",
    "keep_config",
]

PREFIX = "hf:"
FINE_TUNING: Mapping[str, Any] = {  # the usual recipe since Devlin et al., 2019, appendix A.3
    "model.dropout": 0.1,
    "optim.lr": 5e-5,
    "schedule.warmup": 0.1,
    "train.batch_size": 32,
    "train.epochs": 3,
    "train.clip": 1.0,
}
MATCHED = 0.9  # of the tensors have to be there: else most of the network begins from chance
_FOREIGN = ("auto_map", "custom_pipelines", "_name_or_path", "quantization_config", "architectures")


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise BadInput("model=hf:NAME needs transformers: pip install 'snowball[hf]'") from error
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # transformers has no types
    return transformers


def _source(name: str) -> str:
    source = name.removeprefix(PREFIX)
    return str(Path(source).expanduser()) if Path(source).expanduser().is_dir() else source


def _config(name: str) -> dict[str, Any]:
    """The configuration of `hf:NAME_OR_FOLDER`, JSON-able, without whatever would name code or a place."""
    transformers = _transformers()
    try:
        config = transformers.AutoConfig.from_pretrained(_source(name), trust_remote_code=False)
    except Exception as error:  # the library raises what its network and parsers raise
        raise BadInput(f"model={name}: no configuration to be read: {brief(error)}") from error
    found: dict[str, Any] = {key: value for key, value in config.to_dict().items() if key not in _FOREIGN}
    return found


def keep_config(schema: Schema, role: str, name: str, asked: str, longest: int | None = None) -> Schema:
    """The schema with the configuration of `hf:NAME_OR_FOLDER` beside the role's tokenizer; as it is for other names.

    Refuses a source that sees fewer tokens than `longest` (default: the longest row); `asked` is the key that says so.
    """
    if not name.startswith(PREFIX):
        return schema
    column = schema.columns[role]
    state = {**column.state, "config": _config(name)}
    limit = _num_positions(state["config"])
    longest = longest or state.get("max_tokens", 0)
    if limit is not None and longest > limit:
        raise BadInput(f"model={name}: sees {limit:,} tokens at most, of {longest:,}: set {asked}={limit}")
    return replace(schema, columns={**schema.columns, role: ColumnSchema(column.column, column.kind, state)})


def _num_positions(config: Mapping[str, Any]) -> int | None:
    """The longest text that a network of learned positions sees; RoBERTa counts its own from behind its padding."""
    found = config.get("max_position_embeddings") or config.get("n_positions")
    behind = 1 + int(config.get("pad_token_id") or 0) if "roberta" in str(config.get("model_type")) else 0
    return int(found) - behind if found else None


def hub_network(kind: str, config: Mapping[str, Any], attention: str = "sdpa") -> nn.Module:
    transformers = _transformers()
    known = dict(config)
    try:
        built = transformers.AutoConfig.for_model(known.pop("model_type"), **known)
        network: nn.Module = getattr(transformers, kind).from_config(built, attn_implementation=attention)
    except Exception as error:  # so do its networks
        raise BadInput(f"a {config.get('model_type')} cannot be built for this task: {brief(error)}") from error
    return network.float()


def _load(network: nn.Module, kind: str, name: str) -> float:
    """Give `network` the weights of `hf:NAME_OR_FOLDER`; returns the share of its own tensors that were found there."""
    transformers = _transformers()
    try:
        source, about = getattr(transformers, kind).from_pretrained(
            _source(name), use_safetensors=True, trust_remote_code=False, dtype=torch.float32, output_loading_info=True
        )
    except Exception as error:  # as for the configuration
        raise BadInput(f"model={name}: no weights to be read: {brief(error)}") from error
    own, found = network.state_dict(), source.state_dict()
    found = {key: value for key, value in found.items() if key not in about["missing_keys"]}  # those are new and random
    fitting = {key: value for key, value in found.items() if key in own and own[key].shape == value.shape}
    network.load_state_dict(fitting, strict=False)
    return len(fitting) / max(1, len(own))


class FromHub(nn.Module):
    """A network around one of transformers', which can begin with that one's published weights."""

    KIND: ClassVar[str]
    """The class of transformers that makes and reads it."""
    network: nn.Module


class HFClassifier(FromHub):
    """Any encoder or decoder, the mean of its last layer over a row, and one logit a class."""

    KIND = "AutoModel"

    def __init__(self, config: Mapping[str, Any], offset: int, classes: int, dropout: float) -> None:
        super().__init__()
        self._offset = offset
        self.network = hub_network(self.KIND, config)
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(int(self.network.config.hidden_size), classes)  # type: ignore[union-attr,arg-type]  # each config has its own
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(self, text: Tensor) -> dict[str, Tensor]:
        mask = text >= self._offset
        mask = torch.cat([torch.ones_like(mask[:, :1]), mask[:, 1:]], 1)  # a row of nothing is well defined
        hidden = self.network(
            input_ids=(text - self._offset).clamp(min=0), attention_mask=mask.long()
        ).last_hidden_state
        pooled = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
        return {"logits": self.head(self.drop(pooled))}


class HFLanguageModel(FromHub):
    """Any causal language model. Its cache is the text so far, which is read again: the same for every architecture."""

    KIND = "AutoModelForCausalLM"

    def __init__(self, config: Mapping[str, Any], offset: int) -> None:
        super().__init__()
        self._offset = offset
        self.network = hub_network(self.KIND, config)

    def forward(self, text: Tensor) -> dict[str, Tensor]:
        logits = self.network(input_ids=(text - self._offset).clamp(min=0), use_cache=False).logits
        return {"logits": F.pad(logits, (self._offset, 0), value=-1e4)}  # our first tokens are never its answer

    def empty_cache(self, rows: Tensor) -> Tensor:
        return rows.new_zeros((rows.shape[0], 0), dtype=torch.int64)

    def step(self, tokens: Tensor, cache: Tensor) -> dict[str, Tensor]:
        text = torch.cat([cache, tokens], 1)
        return {"logits": self.forward(text)["logits"][:, cache.shape[1] :], "cache": text}


def begin_pretrained(model: nn.Module, name: str) -> list[Finding]:
    """Load the source's weights into a new network; a finding where few of its tensors were there."""
    if not isinstance(model, FromHub):
        return []
    share = _load(model.network, model.KIND, name)
    if share >= MATCHED:
        return []
    message = f"{name}: only {share:.0%} of the network's tensors were found among its weights"
    return [Finding("weights-missing", "error", message, {"share": share}, "name a folder with the whole network")]
