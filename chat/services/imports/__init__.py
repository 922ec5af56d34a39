"""Files with conversations, Parley's own and ChatGPT's, read with suspicion (A11)."""
