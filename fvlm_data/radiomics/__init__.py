"""Features of regions of a volume, as the Image Biomarker Standardisation Initiative defines them.

Definitions: Zwanenburg et al., Image biomarker standardisation initiative, reference manual,
arXiv:1612.07003 (the IBSI), and Radiology 295:328 (2020).
"""
