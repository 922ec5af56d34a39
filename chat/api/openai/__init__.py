"""`/v1`: the API that OpenAI's clients speak. Nothing of it is stored as a conversation."""
