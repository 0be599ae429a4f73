"""The sets of documentation that Hugging Face has."""

from __future__ import annotations

COMPOSITES = {
    "optimum": (
        "optimum", "optimum-habana", "optimum-neuron", "optimum-intel", "optimum-executorch", "optimum-tpu",
    ),
    "courses": (
        "llm-course", "robotics-course", "mcp-course", "smol-course", "agents-course", "deep-rl-course",
        "computer-vision-course", "audio-course", "ml-games-course", "diffusion-course", "ml-for-3d-course",
        "cookbook",
    ),
}  # fmt: skip
"""Names that stand for several sets of pages; courses lie beside the documentation."""

LIBRARIES = (
    "hub", "transformers", "diffusers", "datasets", "gradio", "trackio", "smolagents", "huggingface_hub",
    "huggingface.js", "transformers.js", "inference-providers", "inference-endpoints", "peft", "accelerate", "optimum",
    "tokenizers", "courses", "evaluate", "tasks", "dataset-viewer", "trl", "simulate", "sagemaker", "timm",
    "safetensors", "tgi", "setfit", "lerobot", "autotrain", "tei", "bitsandbytes", "sentence_transformers", "chat-ui",
    "leaderboards", "lighteval", "argilla", "distilabel", "microsoft-azure", "kernels", "google-cloud",
)  # fmt: skip
"""Sets of documentation that are known; others may exist."""
