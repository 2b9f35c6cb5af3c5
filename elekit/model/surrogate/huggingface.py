"""u_W for texts: any encoder of Hugging Face, by its name; needs the extra `elekit[hf]`."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from elekit.model.surrogate.config import BackboneConfig
from elekit.model.surrogate.tokens import TokenBackbone, check_texts

EXAMPLE = "hf:allenai/scibert_scivocab_uncased"
MAX_LENGTH = 512  # tokens; longer texts are cut


class HuggingFaceBackbone(TokenBackbone):
    """The mean of the last states of an encoder, "hf:NAME" or "hf:FOLDER", over all tokens, then a linear map.

    All weights are trained; use a small learning rate, such as 3e-5. An artifact stores the trained weights, but
    loading it needs the encoder again.
    """

    KINDS = ("hf",)

    def __init__(self, config: BackboneConfig, dim: int):
        super().__init__()
        self.config, name = config, config.kind.partition(":")[2]
        if not name:
            raise ValueError(f"backbone 'hf' needs the name of an encoder: hf:NAME, such as {EXAMPLE}")
        try:
            from transformers import AutoModel, AutoTokenizer
        except ImportError:
            fix = "install it by: pip install 'elekit[hf]'"
            raise ValueError(f"backbone {config.kind!r} needs transformers; {fix}") from None
        try:
            self.tokenizer, self.encoder = AutoTokenizer.from_pretrained(name), AutoModel.from_pretrained(name)
        except (OSError, ValueError) as error:
            raise ValueError(f"backbone {config.kind!r} cannot be loaded: {error}") from error
        self.max_length = min(MAX_LENGTH, self.tokenizer.model_max_length)
        self.dropout = nn.Dropout(config.dropout)
        self.state_width: int = self.encoder.config.hidden_size
        self.leave = nn.Linear(self.state_width, dim)

    def read(self, inputs: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
        check_texts(inputs)
        options = {"padding": True, "truncation": True, "max_length": self.max_length, "return_tensors": "pt"}
        tokens = self.tokenizer(list(inputs), **options)
        tokens = {name: tensor.to(self.leave.weight.device) for name, tensor in tokens.items()}
        states = self.encoder(**tokens).last_hidden_state  # (B, T, H)
        states, inside = self.dropout(states), tokens["attention_mask"].bool()
        mean = (states * inside[..., None]).sum(1) / inside.sum(1, keepdim=True).clamp_min(1)
        return states, inside, self.leave(mean)

    @classmethod
    def from_inputs(cls, inputs: Sequence[str], config: BackboneConfig, dim: int) -> "HuggingFaceBackbone":
        check_texts(inputs, config.kind)
        return cls(config, dim)

    def to_config(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config(cls, config: BackboneConfig, dim: int, values: dict[str, Any]) -> "HuggingFaceBackbone":
        return cls(config, dim)
