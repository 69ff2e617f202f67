"""Text: encoders, tokenization, LoRA adapters, causal language models, generation."""
