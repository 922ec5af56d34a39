"""What streaming costs: `make bench`. Loopback only; nothing of the product imports this."""
