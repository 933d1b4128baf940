"""Reports taken apart by a language model behind an OpenAI-compatible endpoint: an option.

Sections and sentences stay ours, with their exact offsets; the model says what each sentence
asserts. Only scrubbed text is sent, and only to the endpoint that the configuration names.
"""

from __future__ import annotations

from fvlm_data.reports.llm.config import LlmConfig

__all__ = ["LlmConfig"]
