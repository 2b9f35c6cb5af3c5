"""u_W for texts: an encoder of Hugging Face, by its name; needs the extra `elekit[hf]`.

The name is read at training time only. An artifact holds the encoder's configuration and its tokenizer as plain
values, so that loading it asks neither a hub nor the disk for anything, and runs no code that came with a model.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from elekit.graphs import _schema
from elekit.model.surrogate.config import BackboneConfig
from elekit.model.surrogate.tokens import TokenBackbone, check_texts

EXAMPLE = "hf:allenai/scibert_scivocab_uncased"
MAX_LENGTH = 512  # tokens; longer texts are cut
ENCODERS = (  # built from plain values alone; other kinds may name further models
    "bert", "camembert", "deberta-v2", "distilbert", "electra", "modernbert", "mpnet", "roberta", "xlm-roberta",
)  # fmt: skip
SHIFTED = ("camembert", "mpnet", "roberta", "xlm-roberta")  # their positions begin after that of the padding
NOT_KEPT = {  # of a configuration: names of code, kernels and files, and options of other uses
    "_name_or_path", "add_cross_attention", "architectures", "attn_implementation", "auto_map",
    "chunk_size_feed_forward", "dtype", "id2label", "is_decoder", "is_encoder_decoder", "label2id",
    "output_attentions", "output_hidden_states", "problem_type", "quantization_config", "return_dict",
    "torch_dtype", "transformers_version", "use_cache",
}  # fmt: skip
MAX_SIZE, MAX_COUNT = 2_000_000, 128  # values of a configuration; those that count layers or heads
MAX_TOKENIZER = 48_000_000  # characters


class HuggingFaceBackbone(TokenBackbone):
    """The mean of the last states of an encoder, "hf:NAME" or "hf:FOLDER", over all tokens, then a linear map.

    All weights are trained; use a small learning rate, such as 3e-5. encoder: `model_type` and other fields of its
    configuration. tokenizer: the content of its tokenizer.json.
    """

    KINDS = ("hf",)
    FIELDS: ClassVar = {
        "encoder": _schema.by_name(_schema.anything, _schema.text()),  # `encoder_config` checks it
        "tokenizer": _schema.text(MAX_TOKENIZER),
        "max_length": _schema.whole(1, MAX_LENGTH),
    }

    def __init__(self, config: BackboneConfig, dim: int, encoder: nn.Module, tokenizer: str, max_length: int):
        super().__init__()
        self.config, self.encoder, self.max_length = config, encoder, max_length
        self._tokenizer_json = tokenizer
        try:
            from tokenizers import Tokenizer

            self.tokenizer = Tokenizer.from_str(tokenizer)
            self.tokenizer.no_padding()
            self.tokenizer.enable_truncation(max_length)
            largest = max(self.tokenizer.get_vocab().values(), default=0)
        except Exception as error:  # the library raises no kind of its own
            raise ValueError(f"the tokenizer of {config.kind!r} cannot be read: {_schema.cut(str(error))}") from None
        known: Any = encoder.config
        if largest >= known.vocab_size:
            raise ValueError(
                f"the tokenizer of {config.kind!r} has more tokens than its encoder ({known.vocab_size})"
            )
        self.padding = min(known.pad_token_id or 0, known.vocab_size - 1)
        self.dropout = nn.Dropout(config.dropout)
        self.state_width: int = known.hidden_size
        self.leave = nn.Linear(self.state_width, dim)

    def read(self, inputs: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
        check_texts(inputs)
        rows = [torch.tensor(one.ids or [self.padding]) for one in self.tokenizer.encode_batch(list(inputs))]
        device = self.leave.weight.device
        tokens = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=self.padding).to(device)
        lengths = torch.tensor([len(row) for row in rows], device=device)
        inside = torch.arange(tokens.shape[1], device=device) < lengths[:, None]  # (B, T)
        states = self.encoder(input_ids=tokens, attention_mask=inside.long()).last_hidden_state  # (B, T, H)
        states = self.dropout(states)
        mean = (states * inside[..., None]).sum(1) / lengths[:, None]
        return states, inside, self.leave(mean)

    @classmethod
    def from_inputs(cls, inputs: Sequence[str], config: BackboneConfig, dim: int) -> "HuggingFaceBackbone":
        check_texts(inputs, config.kind)
        library, name = _library(config.kind), config.kind.partition(":")[2]
        try:
            found = library.AutoConfig.from_pretrained(name, trust_remote_code=False)
            plain = encoder_config(found, library)
            encoder = library.AutoModel.from_pretrained(
                name, config=plain, trust_remote_code=False, use_safetensors=True, dtype=torch.float32
            )
            reader = library.AutoTokenizer.from_pretrained(name, trust_remote_code=False)
            if getattr(reader, "backend_tokenizer", None) is None:
                raise ValueError("its tokenizer has no tokenizer.json")
        except (OSError, ValueError, ImportError) as error:
            raise ValueError(
                f"backbone {config.kind!r} cannot be loaded: {' '.join(str(error).split())[:400]}"
            ) from error
        places = getattr(plain, "max_position_embeddings", MAX_LENGTH)
        places -= (plain.pad_token_id or 0) + 1 if plain.model_type in SHIFTED else 0
        longest = min(MAX_LENGTH, reader.model_max_length, places)
        return cls(config, dim, encoder, reader.backend_tokenizer.to_str(), longest)

    def to_config(self) -> dict[str, Any]:
        known: Any = self.encoder.config
        kept = {k: v for k, v in known.to_dict().items() if k not in NOT_KEPT}
        return {"encoder": kept, "tokenizer": self._tokenizer_json, "max_length": self.max_length}

    @classmethod
    def from_config(cls, config: BackboneConfig, dim: int, values: dict[str, Any]) -> "HuggingFaceBackbone":
        if "encoder" not in values:
            raise ValueError(
                f"backbone {config.kind!r} was saved without its encoder, by an older version; train it again"
            )
        library = _library(config.kind)
        plain = encoder_config(values["encoder"], library)
        encoder = library.AutoModel.from_config(plain, trust_remote_code=False)
        return cls(config, dim, encoder, values["tokenizer"], values["max_length"])


def encoder_config(given: Any, library: Any) -> Any:
    """A configuration of the library from another one or from plain values.

    Only the fields that the library itself gives to this kind of encoder are taken, with plain values.

    Args:
        given: The other configuration, or plain values.
        library: The module `transformers`.

    Returns:
        The configuration.

    Raises:
        ValueError: If the kind is not in ENCODERS, or a field is unknown, too large or not plain.
    """
    values = given if isinstance(given, dict) else given.to_dict()
    kind = values.get("model_type")
    if kind not in ENCODERS:
        raise ValueError(f"encoders of kind {_schema.cut(kind)} are not supported; {', '.join(ENCODERS)} are")
    known = library.AutoConfig.for_model(kind).to_dict().keys() - NOT_KEPT
    kept = {key: value for key, value in values.items() if key in known and key != "model_type"}
    if isinstance(given, dict) and (other := given.keys() - known - {"model_type"}):
        raise ValueError(f"the encoder has a field {_schema.cut(min(other))} that {kind!r} does not have")
    for key, value in kept.items():
        _check_value(key, value, 3)
    try:
        return library.AutoConfig.for_model(kind, **kept)
    except Exception as error:  # the library has kinds of its own for fields of another type
        problem = " ".join(str(error).split())[:200]
        raise ValueError(f"the configuration of the encoder is no {kind!r}: {problem}") from None


def _check_value(key: str, value: Any, levels: int) -> None:
    counts = "layer" in key or "num" in key or key.startswith("n_")
    if isinstance(value, dict | list) and levels and len(value) <= 2 * MAX_COUNT:
        for one in value.values() if isinstance(value, dict) else value:
            _check_value(key, one, levels - 1)
    elif not isinstance(value, str | bool | None):
        _schema.number(-1_000, MAX_COUNT if counts else MAX_SIZE)(value, f"the encoder's {key}")
    elif isinstance(value, str):
        _schema.text(100, visible=True)(value, f"the encoder's {key}")


def _library(kind: str) -> Any:
    """The module `transformers`."""
    if not kind.partition(":")[2]:
        raise ValueError(f"backbone 'hf' needs the name of an encoder: hf:NAME, such as {EXAMPLE}")
    try:
        import transformers
    except ImportError:
        raise ValueError(f"backbone {kind!r} needs transformers; install it by: pip install 'elekit[hf]'") from None
    return transformers
