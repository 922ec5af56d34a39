from tests.chat.serving import serving, stranger, token

__all__ = ["serving", "stranger", "token"]
