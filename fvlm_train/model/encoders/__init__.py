"""Image encoders by name: windows to tokens whose places are known."""
