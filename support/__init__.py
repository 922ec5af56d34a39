"""The desk: customers answered by AI first and by people when it matters. It comes after chat."""
