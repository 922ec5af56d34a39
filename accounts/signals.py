"""What other apps may hear from accounts."""

from __future__ import annotations

from django.dispatch import Signal

# Sent inside the transaction that erases a person, before the row goes. Arguments: user.
# A receiver removes what its app keeps of that person; raising undoes the whole.
user_erasing = Signal()

# Sent after commit. Arguments: mail_id. The row of an OutgoingMail waits to be sent.
mail_waiting = Signal()

# Sent after commit. Arguments: user_id. API keys of that person ended, one by one or with a
# suspension: whoever holds sockets of theirs had better look at once. Sign-ins that end are not
# told of: the next look, within seconds, finds them.
credentials_ended = Signal()
