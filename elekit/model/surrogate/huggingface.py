"""u_W for texts by any encoder of Hugging Face, by its name; `transformers` is an extra."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from elekit.model.surrogate.config import BackboneConfig
from elekit.model.surrogate.relative_positions import REACH, text_relative_positions
from elekit.model.surrogate.tokens import check_texts

EXAMPLE = "hf:allenai/scibert_scivocab_uncased"
LONGEST = 512  # tokens; a longer text is cut


class HuggingFaceBackbone(nn.Module):
    """u_W for texts: the mean of the encoder's last states over the tokens that are there, then a linear map.

    The kind is "hf:NAME", such as "hf:allenai/scibert_scivocab_uncased", or "hf:FOLDER" of a model on the disk. All
    weights are trained: take a small learning rate, such as 3e-5. An artifact keeps the weights as trained, and asks
    for the name again where it is loaded. Raises ValueError where `transformers` is missing, or knows no such model.
    """

    KINDS = ("hf",)
    offsets, num_relative_positions = staticmethod(text_relative_positions), 2 * REACH + 1

    def __init__(self, config: BackboneConfig, dim: int):
        super().__init__()
        self.config, name = config, config.kind.partition(":")[2]
        if not name:
            raise ValueError(f"backbone 'hf' needs the name of an encoder: hf:NAME, such as {EXAMPLE}")
        try:
            from transformers import AutoModel, AutoTokenizer
        except ImportError:
            mend = "install it by: pip install 'elekit[hf]'"
            raise ValueError(f"backbone {config.kind!r} needs transformers; {mend}") from None
        try:
            self.tokenizer, self.encoder = AutoTokenizer.from_pretrained(name), AutoModel.from_pretrained(name)
        except (OSError, ValueError) as unknown:
            raise ValueError(f"backbone {config.kind!r} cannot be loaded: {unknown}") from unknown
        self.longest = min(LONGEST, self.tokenizer.model_max_length)
        self.dropout = nn.Dropout(config.dropout)
        self.leave = nn.Linear(self.encoder.config.hidden_size, dim)

    @property
    def state_width(self) -> int:
        return self.encoder.config.hidden_size

    def forward(self, texts: Sequence[str]) -> Tensor:
        return self.read(texts)[-1]

    def read(self, texts: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
        """Its state at each token (B, T, state_width), which of these are there (B, T), and u_W (B, dim)."""
        check_texts(texts)
        tokens = self.tokenizer(
            list(texts), padding=True, truncation=True, max_length=self.longest, return_tensors="pt"
        )
        tokens = {name: tensor.to(self.leave.weight.device) for name, tensor in tokens.items()}
        states = self.encoder(**tokens).last_hidden_state  # (B, T, H)
        states, inside = self.dropout(states), tokens["attention_mask"].bool()
        mean = (states * inside[..., None]).sum(1) / inside.sum(1, keepdim=True).clamp_min(1)
        return states, inside, self.leave(mean)

    @classmethod
    def from_inputs(cls, inputs: Sequence[str], config: BackboneConfig, dim: int) -> "HuggingFaceBackbone":
        if torch.is_tensor(inputs):
            shape = tuple(inputs.shape)
            raise ValueError(f"backbone {config.kind!r} reads texts, the inputs are vectors {shape}; use 'vector'")
        return cls(config, dim)

    def to_config(self) -> dict:
        return {}

    @classmethod
    def from_config(cls, config: BackboneConfig, dim: int) -> "HuggingFaceBackbone":
        return cls(config, dim)
