"""Training and evaluation of fine-grained vision-language models on CT shards."""

from __future__ import annotations

from fvlm_data.telemetry import switch_telemetry_off

switch_telemetry_off()
